"""Documents for reports: real ones where they are cheap, plausible literals for DFT."""

from __future__ import annotations

import shutil

import pytest
from browser_for_tests import FLAGS
from jobflow import SETTINGS, job, run_locally
from playwright.sync_api import sync_playwright

from mscflow.builder import build, precursor
from mscflow.levels import PySCF
from mscflow.reactions.energies import collect
from mscflow.reactions.exchange import exchange
from mscflow.tasks.analyse import analyse
from mscflow.tasks.excite import Excitations, State
from mscflow.tasks.refine import Refinement, ScfRecord
from mscflow.tasks.relax import relax
from mscflow.tasks.structure import describe
from mscflow.tasks.vibrate import vibrate

LEVEL = "gfn2-xtb"


@job
def returned(document):
    return document


def stored(name: str, document) -> dict:
    """What jobflow's store holds of a document returned by a job."""
    made = returned(document)
    made.name = name
    run_locally(made, log=False, ensure_success=True)
    return SETTINGS.JOB_STORE.query_one({"uuid": made.uuid})


def real_documents() -> list[dict]:
    """Structure, relaxation, analysis and exchange of In4P(O2CH)9, loosely converged with GFN2-xTB."""
    start = build("In4P")
    relaxation = relax(start, LEVEL, fmax=0.5, n_frames=6)
    reactions = exchange(relaxation.cluster, "Ga3+", sites=[1])
    species = {c.hash: c for r in reactions for c, _ in r.species}
    results = {key: relax(c, LEVEL, fmax=0.5) for key, c in species.items()}
    return [
        stored("structure x", describe(start)),
        stored("relax x", relaxation),
        stored("analyse x", analyse(relaxation.cluster, of="relaxed at gfn2-xtb")),
        stored("exchange x energies", collect(reactions, results, LEVEL)),
    ]


def dft_documents() -> list[dict]:
    """A refinement and excitations with literal numbers: data for tests, not results."""
    level = PySCF()
    scf = ScfRecord(guess="ions", cycles=11, converged=True, stages=["coarse", "fine"], energy=-1000.0)
    common = {
        "input_hash": "0" * 64,
        "cluster": build("In4P"),
        "level": level,
        "level_text": level.text,
        "level_description": level.description,
    }
    refinement = Refinement(
        **common,
        energy=-1000.0,
        converged=True,
        homo=-7.0,
        lumo=-2.5,
        gap=4.5,
        n_basis=545,
        route="test",
        scf=[scf],
    )
    states = [
        State(energy=e, wavelength=1239.84 / e, oscillator_strength=f, transition="HOMO → LUMO (0.9)")
        for e, f in ((4.1, 0.02), (4.3, 0.11), (4.6, 0.0))
    ]
    excitations = Excitations(**common, states=states, method="test data", converged=True, scf=scf)
    return [stored("refine x", refinement), stored("excite x", excitations)]


JOBS = [
    {"name": f"{word} x", "state": "done", "wall_time_s": 1.0, "n_attempts": 1}
    for word in ("structure", "relax", "analyse", "vibrate", "exchange", "refine", "excite")
] + [{"name": "exchange x energies", "state": "done", "wall_time_s": 0.1, "n_attempts": 1}]


@pytest.fixture(scope="session")
def documents() -> list[dict]:
    vibrations = stored("vibrate x", vibrate(precursor("Zn2+"), LEVEL))
    return [*real_documents(), *dft_documents(), vibrations]


@pytest.fixture
def jobs() -> list[dict]:
    return [dict(job) for job in JOBS]


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "chromium is needed to test the report: apt-get install chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()
