"""A campaign file is checked before anything runs; every refusal is one line that says what is right."""

import json
from pathlib import Path

import pytest

from mscflow.analysis.binding import binding_modes
from mscflow.builder import precursor
from mscflow.campaign import load_campaign, parse_campaign
from mscflow.errors import InputError
from mscflow.files import write

GOOD = "name: x\nstructure: {build: In4P}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "line 1.*YAML syntax"),
        ("- a\n- b\n", "a campaign is a mapping"),
        ("", "a campaign is a mapping"),
        ("structure: {build: In4P}\n", "'name' is missing"),
        (GOOD + "relx: {}\n", "unknown key 'relx': did you mean 'relax'"),
        (GOOD + "relax: {fmx: 0.1}\n", "unknown key 'relax.fmx': did you mean 'fmax'"),
        (GOOD + "relax: {fmax: -0.1}\n", "relax.fmax: .*greater than 0.*-0.1"),
        (GOOD + "relax: {level: gfn3-xtb}\n", "relax.level: unknown level 'gfn3-xtb': did you mean 'gfn"),
        (GOOD + "vibrate: {levle: gfn2-xtb}\n", "unknown key 'vibrate.levle': did you mean 'level'"),
        (GOOD + "refine: {level: pbe/def2-sv}\n", "unknown basis 'def2-sv'.*did you mean 'def2-svp'"),
        (GOOD + "refine: {level: gfn2-xtb}\n", "a DFT level"),
        (GOOD + "exchange: {ions: [Zn]}\n", r"unknown ion 'Zn': did you mean 'Zn2\+'"),
        (GOOD + "exchange: {ions: []}\n", "exchange.ions"),
        (
            GOOD + "exchange: {ions: [Zn2+], sites: srface}\n",
            "exchange.sites: must be one of surface, core, all",
        ),
        (GOOD.replace("In4P", "In4Q"), "structure.build: unknown cluster 'In4Q': did you mean 'In4P'"),
        (GOOD.replace("In4P", "In4P, ligand: formiate"), "unknown ligand 'formiate': did you mean 'formate'"),
        (GOOD.replace("build: In4P", "build: In4P, file: a.xyz"), "exactly one of 'build'"),
        (GOOD.replace("build: In4P", "build: In4P, charge: 1"), "belong to 'file'"),
        (GOOD.replace("In4P", "In4P, ligand: [formate, foo]"), "^structure.ligand.1: unknown ligand 'foo'"),
        (GOOD.replace("build: In4P", "file: a.xyz, seed: 3"), "structure: 'seed' belongs to 'build'"),
        (GOOD.replace("build: In4P", "file: a.xyz, ligand: formate"), "structure: 'ligand' belongs to"),
        (GOOD.replace("name: x", "name: ../x"), "name: "),
        (GOOD.replace("name: x", "name: 2024-13-45"), "YAML syntax: month must be in 1..12"),
        (GOOD + "relax:\n", "^'relax' is empty: write 'relax: {}' for its defaults, or leave it out"),
        (GOOD + "exchange:\n", "'exchange.ions' is missing"),
        (GOOD + "exchange: {ions: [Zn2+], sites: []}\n", "exchange.sites: must be one of surface.* list"),
        (
            GOOD + "reactions: {displacement: {neutral: formate}}\n",
            "reactions.displacement.neutral: a neutral ligand such as methylamine is needed",
        ),
        (GOOD + "reactions: {strip: foo}\n", "^reactions.strip: must be all or a list of numbers"),
    ],
)
def test_bad_campaigns(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_campaign(text)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        load_campaign(tmp_path / "none.yaml")


def test_the_flow_has_a_job_for_every_part():
    campaign = load_campaign(Path("inputs/quickstart.yaml"))
    flow = campaign.flow(campaign.cluster())
    assert [job.name.split()[0] for job in flow.jobs] == [
        "structure",
        "relax",
        "analyse",
        "exchange",
        "refine",
        "excite",
    ]


def test_structure_files_are_relative_to_the_campaign(tmp_path):
    (tmp_path / "he.xyz").write_text("1\n\nHe 0 0 0\n")
    campaign = parse_campaign("name: x\nstructure: {file: he.xyz}\n")
    assert campaign.cluster(tmp_path).formula == "He"


def test_levels_that_cannot_represent_the_cluster_are_refused(tmp_path):
    (tmp_path / "he.xyz").write_text("1\n\nHe 0 0 0\n")
    campaign = parse_campaign("name: x\nstructure: {file: he.xyz}\nrelax: {level: 'mace:msc-small'}\n")
    with pytest.raises(InputError, match="was not trained on He"):
        campaign.require(campaign.cluster(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exchange: {ions: [Zn2+], sites: [999]}", "exchange: site 999 is not a cation"),
        ("exchange: {ions: [Zn2+], sites: core}", "exchange: nothing to exchange for Zn2"),
        ("exchange: {ions: [In3+]}", "exchange: nothing to exchange for In3"),
        ("reactions: {binding: [999]}", "reactions.binding: site 999 is not a cation"),
        ("reactions: {binding: core}", "reactions.binding: the cluster has no core cations"),
        (
            "reactions: {displacement: {neutral: methylamine, sites: [0]}}",
            "reactions.displacement.sites: site 0",
        ),
        ("reactions: {ligands: {oleate: acetate}}", "reactions.ligands: .* no ligand oleate: it has formate"),
        ("reactions: {anions: {Se: S}}", "reactions.anions: the cluster has no core anion Se: it has P"),
        ("excite: {level: pbe/gth-dzvp-molopt-sr}", "excite: excitations need a def2 basis"),
        ("reactions: {strip: [0, 9]}", "reactions.strip: there is no ligand 9: they have the numbers 0 to 8"),
    ],
)
def test_what_the_cluster_does_not_have_is_refused(text, message):
    campaign = parse_campaign(GOOD + text)
    with pytest.raises(InputError, match=message):
        campaign.require(campaign.cluster())


def test_ions_of_a_higher_charge_are_refused():
    campaign = parse_campaign("name: x\nstructure: {build: ZnL2}\nexchange: {ions: [Ga3+]}\n")
    with pytest.raises(InputError, match=r"exchange: Ga3\+ for Zn2\+ would need 1 more ligand"):
        campaign.require(campaign.cluster())


def test_levels_that_are_not_written_down_are_checked_too(tmp_path):
    write(precursor("Mn2+"), tmp_path / "mn.xyz")
    start = "name: x\nstructure: {file: mn.xyz}\n"
    vibrated = parse_campaign(start + "vibrate: {}\n")
    with pytest.raises(InputError, match="was not trained on Mn"):
        vibrated.require(vibrated.cluster(tmp_path))
    exchanged = parse_campaign(start + "exchange: {ions: [Zn2+]}\n")
    (warning,) = exchanged.require(exchanged.cluster(tmp_path))
    assert warning.endswith("all species of the exchange are computed with gfn2-xtb")


CAMPAIGNS = [path for path in sorted(Path("inputs").glob("*.yaml")) if not path.stem.startswith("train")]


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_every_campaign_dry_runs_with_its_jobs_and_their_cost(path, capsys, monkeypatch):
    from mscflow.cli import main

    monkeypatch.setattr("sys.argv", ["mscflow", "run", str(path), "--dry-run", "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    jobs = json.loads(capsys.readouterr().out)
    assert jobs[0]["job"].startswith("structure")
    relax = next(job for job in jobs if job["job"].startswith("relax"))
    assert relax["estimated time / s"] > 0


def test_the_source_of_a_campaign_is_what_decides_its_flow(tmp_path):
    write(precursor("Zn2+"), tmp_path / "zn.xyz")
    text = "name: x\nstructure: {file: zn.xyz}\nexcite: {fwhm: 0.2}\n"
    source = parse_campaign(text).source(tmp_path)
    assert parse_campaign(text.replace("0.2", "0.1") + "# a comment\n").source(tmp_path) == source
    assert parse_campaign(text + "relax: {}\n").source(tmp_path) != source
    write(precursor("Cd2+"), tmp_path / "zn.xyz")
    assert parse_campaign(text).source(tmp_path) != source


def test_a_campaign_steers_binding_modes():
    text = "name: x\nstructure: {build: In26P13, ligand: formate, modes: {chelating: 12}}\n"
    modes = [mode.mode.split()[0] for mode in binding_modes(parse_campaign(text).cluster())]
    assert modes.count("chelating") == 12
