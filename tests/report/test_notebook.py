"""Clusters, documents and campaigns show themselves in Jupyter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from IPython.core.formatters import DisplayFormatter

from mscflow.builder import build
from mscflow.notebook import register
from mscflow.report import CampaignResults
from mscflow.report.notebook import cluster_figure, document_html
from mscflow.report.results import KNOWN
from mscflow.tasks.document import Document
from mscflow.topology import topology


@pytest.fixture(scope="module")
def formatter():
    found = DisplayFormatter()
    register(found)
    return found


def test_importing_mscflow_in_ipython_is_enough():
    code = (
        "import mscflow; shown = get_ipython().display_formatter.format(mscflow.build('ZnL2'))[0];"
        "print('mscflow.report' in __import__('sys').modules, sorted(shown), shown['text/plain'])"
    )
    env = {**os.environ, "PLOTLY_RENDERER": "plotly_mimetype"}  # what plotly chooses in JupyterLab
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "-c", code], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "application/vnd.plotly.v1+json" in done.stdout
    assert "<Cluster Zn(O2CH)2, ZnC2H2O4, 9 atoms, charge 0, multiplicity 1>" in done.stdout


def test_a_cluster_is_drawn_with_all_atoms_and_bonds():
    cluster = build("In4P")
    traces = cluster_figure(cluster)["data"]
    atoms = [text for trace in traces if trace["mode"] == "markers" for text in trace["text"]]
    assert sorted(atoms) == sorted(f"{symbol}{i}" for i, symbol in enumerate(cluster.symbols))
    ends = zip(*(traces[-1][axis] for axis in "xyz"), strict=True)
    assert sum(end == (None, None, None) for end in ends) == topology(cluster).graph.number_of_edges()


def test_every_document_of_a_report_shows_itself(formatter):
    html = formatter.formatters["text/html"]
    for kind in (*KNOWN.values(), CampaignResults):
        assert html.lookup_by_type(kind), kind


def test_a_document_that_reports_do_not_know_shows_as_text():
    assert document_html(Document(input_hash="0")) is None


def test_documents_and_campaigns_are_tables(formatter, documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="<i>demo</i>")
    html = formatter.format(results.exchange)[0]["text/html"]
    assert f"{results.exchange.reactions[0].energy:+.3f}" in html
    rows = [row.model_copy(update={"kind": "binding"}) for row in results.exchange.reactions]
    html = formatter.format(results.exchange.model_copy(update={"reactions": rows}))[0]["text/html"]
    assert f"{rows[0].energy:+.3f}" in html
    html = formatter.format(results.refinement)[0]["text/html"]
    assert "DFT energy" in html
    html = formatter.format(results)[0]["text/html"]
    assert "In1–In2" in html
    assert "&lt;i&gt;demo&lt;/i&gt;" in html
