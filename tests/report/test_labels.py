"""Every number of a page says what it is of: level, model, method, structure."""

from __future__ import annotations

import shutil

import pytest

from mscflow.builder import precursor
from mscflow.errors import InputError
from mscflow.levels import MACE
from mscflow.levels.potentials.registry import shipped_models
from mscflow.reactions.energies import collect
from mscflow.reactions.exchange import exchange
from mscflow.report import CampaignResults
from mscflow.report.notebook import document_html
from mscflow.report.page import render
from mscflow.report.tables.record import levels_table
from mscflow.tasks.relax import relax


def test_a_model_that_is_gone_is_named_by_the_bytes_that_were_used(tmp_path):
    file = tmp_path / "mine.model"
    shutil.copy(shipped_models()["msc-small"].path, file)
    level = MACE(model=str(file)).trusting()
    used = level.hash
    start = precursor("In3+")
    reactions = exchange(start, "Ga3+")
    species = {c.hash: c for reaction in reactions for c, _ in reaction.species}
    relaxed = {key: relax(c, level, fmax=0.5) for key, c in species.items()}
    energies = collect(reactions, relaxed, level.text)
    file.unlink()
    with pytest.raises(InputError):
        _ = level.hash
    relaxation = relaxed[reactions[0].species[0][0].hash]
    results = CampaignResults(name="demo", relaxation=relaxation, exchange=energies)
    assert [row[-1] for row in levels_table(results).rows] == [used[:12]] * 2
    assert used[:12] in render(results)
    assert used[:12] in document_html(energies)
    earlier = relaxation.model_copy(update={"level_hash": ""})
    assert levels_table(CampaignResults(name="earlier", relaxation=earlier)).rows[0][-1] == "–"
