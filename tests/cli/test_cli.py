"""The command line: help with examples, exit codes, one line per error, JSON for machines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import flows_for_tests as flows
import numpy as np
import pytest
from jobflow import Flow

from mscflow import run
from mscflow.builder import build
from mscflow.cli.calculations import compute_species
from mscflow.cli.campaigns import _conclude
from mscflow.cli.progress import REFRESH_S, Progress
from mscflow.errors import CalculationError, InputError, OutOfTimeError
from mscflow.files import write
from mscflow.jobs import StructureMaker
from mscflow.levels import parse_level
from mscflow.tasks.relax import relax

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("build", "list", "analyze", "relax", "vibrate", "refine", "excite", "exchange"),
    *("run", "status", "resume", "report", "compare", "fetch", "rank", "rates", "models", "train", "doctor"),
)


def mscflow(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-m", "mscflow", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def structure(tmp_path_factory):
    return write(build("ZnL2"), tmp_path_factory.mktemp("structure") / "zn.xyz")


def test_help_lists_every_command_and_each_has_an_example():
    overview = mscflow("--help").stdout
    for command in COMMANDS:
        assert f" {command} " in overview
        result = mscflow(command, "--help")
        assert result.returncode == 0
        assert f"Example: mscflow {command}" in result.stdout


LOADED = "print([m for m in ('torch', 'pyscf', 'jobflow', 'pymatgen', 'pandas') if m in sys.modules])"
HELP = """
import sys
sys.argv = ["mscflow", "--help"]
from mscflow.cli import main
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("code", ["import mscflow, sys\n", HELP], ids=["import", "help"])
def test_import_and_help_load_nothing_heavy(code):
    result = subprocess.run([sys.executable, "-c", code + LOADED], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip().splitlines()[-1] == "[]"


def bad_input(tmp_path):
    """Command lines with bad input, and what their one line must say."""
    (tmp_path / "odd.xyz").write_text("1\n\nH 0 0 0\n")
    (tmp_path / "nan.xyz").write_text("1\n\nHe nan 0 0\n")
    (tmp_path / "same.xyz").write_text("2\n\nHe 0 0 0\nHe 0 0 0.1\n")
    (tmp_path / "empty.xyz").write_text("0\n\n")
    (tmp_path / "element.xyz").write_text("1\n\nXq 0 0 0\n")
    (tmp_path / "he.xyz").write_text("1\n\nHe 0 0 0\n")
    (tmp_path / "syntax.yaml").write_text("name: [\n")
    (tmp_path / "key.yaml").write_text("name: x\nstructure: {build: In4P}\nrelxa: {}\n")
    (tmp_path / "file.yaml").write_text("name: x\nstructure: {file: none.xyz}\n")
    (tmp_path / "ion.yaml").write_text("name: x\nstructure: {build: In4P}\nexchange: {ions: [Zn3+]}\n")
    (tmp_path / "fmax.yaml").write_text("name: x\nstructure: {build: In4P}\nrelax: {fmax: -1}\n")
    (tmp_path / "locked").write_text("a file where a directory is wanted")
    (tmp_path / "ok.yaml").write_text("name: x\nstructure: {build: ZnL2}\n")
    (tmp_path / "d.xyz").mkdir()
    run(StructureMaker().make(build("ZnL2")), dir=tmp_path / "run")
    (tmp_path / "site.yaml").write_text("pools: {all: {cores: 1, memory_gib: 1}}\n")
    return {
        "relax": "; mscflow relax --help shows what is right",
        "build In4P --seed=-1": "Invalid value for '--seed': ",
        "relax he.xyz --fmx 0.1": "No such option: --fmx",
        "relax he.xyz --fmax small": "Invalid value for '--fmax': ",
        "relaks he.xyz": "No such command 'relaks'",
        "exchange he.xyz": "Missing option '--ion'",
        "relax none.xyz": "none.xyz: no such file",
        "relax odd.xyz": "odd.xyz: charge 0 leaves 1 electrons, an odd number: multiplicity must be 2, 4",
        "relax nan.xyz": "nan.xyz: line 3: coordinates are not finite",
        "relax same.xyz": "same.xyz: lines 3 and 4: atoms 0 (He) and 1 (He) coincide",
        "relax empty.xyz": "empty.xyz: ",
        "relax element.xyz": "element.xyz: line 3: unknown element 'Xq'",
        "relax he.xyz": "was not trained on He",
        "relax he.xyz --level gfn3-xtb": "unknown level 'gfn3-xtb': did you mean 'gfn",
        "relax he.xyz --level gfn2-xtb --fmax=-0.1": "fmax must be positive",
        "relax he.xyz --fixed shell": "--fixed must be 'core' or atom indices such as 1,2, not 'shell'",
        "refine he.xyz --level pbe/def2-svp[threshold=1]": "unknown setting 'threshold': known are solvent,",
        "vibrate he.xyz": "is one atom: it has no vibrations",
        "build In4Q": "did you mean 'In4P'",
        "build In4P --ligand formiate": "did you mean 'formate'",
        "build In26P13 --mode chelate=3": "unknown binding mode 'chelate': did you mean 'chelating'",
        "build In26P13 --mode chelating": "a binding mode and a number are needed",
        "build CuL --shells 2": "only 1 different arrangement",
        "build In4P -o no/such/dir.xyz": "cannot be written",
        "relax none.xyz -o nodir/r.xyz": "nodir/r.xyz: cannot be written: there is no directory nodir",
        "relax none.xyz -o r.cif": "r.cif: cannot write '.cif'",
        "refine none.xyz -o d.xyz": "d.xyz: cannot be written: this is a directory",
        "exchange he.xyz --ion Zn9+": "unknown ion 'Zn9+'",
        "exchange he.xyz --ion Zn2+ --sites inside": "sites must be 'surface', 'core', 'all' or atom indices",
        "run none.yaml": "none.yaml: no such file",
        "run run": "run: a directory, no campaign file: a run goes on with mscflow resume run",
        "run syntax.yaml": "syntax.yaml: line 2, column 1: YAML syntax",
        "run key.yaml": "key.yaml: unknown key 'relxa': did you mean 'relax'",
        "run file.yaml": "none.xyz: no such file",
        "run ion.yaml": "ion.yaml: exchange.ions.0: unknown ion 'Zn3+'",
        "run fmax.yaml": "fmax.yaml: relax.fmax:",
        "run ok.yaml --executor cloud": "unknown executor 'cloud'",
        "run ok.yaml --executor slurm --site site.yaml --walltime 2h": "--walltime is for jobs on this",
        "run ok.yaml --executor slurm --site site.yaml --memory 2": "--memory is for jobs on this machine",
        "run ok.yaml --dir locked/run": "cannot be written",
        "resume nowhere": "no run here",
        "status nowhere": "no run here",
        "report nowhere": "no run here",
        "report run -o nodir/r.html": "nodir/r.html: cannot be written: there is no directory nodir",
        "report run -o d.xyz": "d.xyz: cannot be written: this is a directory",
        "compare run run -o nodir/c.html": "nodir/c.html: cannot be written",
        "train none.yaml": "none.yaml: no such file",
    }


def test_bad_input_gives_one_line_and_exit_code_2(tmp_path):
    for command, message in bad_input(tmp_path).items():
        result = mscflow(*command.split(), cwd=tmp_path)
        assert result.returncode == 2, (command, result)
        lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, (command, result.stderr)
        assert message in lines[0], (command, lines)
        assert "Traceback" not in result.stderr
        assert result.stdout == "", command
    assert not list(tmp_path.glob("**/*.partial"))


def test_debug_shows_the_traceback(tmp_path):
    result = mscflow("--debug", "relax", "none.xyz", cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" in result.stderr


def test_build_analyze_and_relax_speak_json(tmp_path):
    made = mscflow("build", "ZnL2", "-o", "zn.xyz", "--json", cwd=tmp_path)
    assert json.loads(made.stdout)["symbols"][0] == "Zn"
    analysed = json.loads(mscflow("analyze", "zn.xyz", "--json", cwd=tmp_path).stdout)
    assert [mode["mode"] for mode in analysed["binding_modes"]] == ["chelating"] * 2
    relaxed = mscflow("relax", "zn.xyz", "--level", "gfn2-xtb", "-o", "out.json", "--json", cwd=tmp_path)
    document = json.loads(relaxed.stdout)
    assert document["converged"]
    assert document["level_text"] == "gfn2-xtb"
    assert (tmp_path / "out.json").exists()
    assert "out.json" in relaxed.stderr


def test_a_structure_that_is_not_kept_is_said_before_it_is_computed(structure, tmp_path):
    options = ("--level", "gfn2-xtb", "--fmax", "0.5")
    lost = mscflow("relax", structure, *options, cwd=tmp_path)
    assert lost.stderr.startswith("warning: the structure at the end is not kept: give -o FILE")
    kept = mscflow("relax", structure, *options, "-o", "zn.xyz", cwd=tmp_path)
    assert "not kept" not in kept.stderr
    assert kept.stdout.splitlines()[-1] == "→ zn.xyz"
    assert [path.name for path in tmp_path.iterdir()] == ["zn.xyz"]


def test_a_dry_run_says_what_its_estimate_leaves_out(tmp_path):
    text = "name: x\nstructure: {build: In4P}\nexchange: {ions: [Zn2+]}\nrelax: {}\nrefine: {}\n"
    (tmp_path / "x.yaml").write_text(text)
    rows = json.loads(mscflow("run", "x.yaml", "--dry-run", "--json", cwd=tmp_path).stdout)
    times = {row["job"].split()[0]: row["estimated time / s"] for row in rows}
    assert times["exchange"] is None
    total = times["relax"] + times["refine"]
    assert total > 0
    shown = mscflow("run", "x.yaml", "--dry-run", cwd=tmp_path).stdout
    assert f"in all {total:.0f} s on this machine" in shown
    assert "species of exchanges and reactions follow from the relaxed structure" in shown


def test_rates_are_shown_with_four_digits(tmp_path):
    k = 1.234e-4
    rows = "".join(f"{t},{np.exp(-k * t)}\n" for t in range(0, 20000, 1000))
    (tmp_path / "series.csv").write_text("time / s,PhAc\n" + rows)
    shown = mscflow("rates", "series.csv", cwd=tmp_path).stdout
    assert "0.0001234" in shown
    assert f"{np.log(2) / k:.4g}" in shown


def test_a_refinement_and_excitations_go_on_from_their_state_files(structure, tmp_path):
    level = ("--level", "pbe/def2-svp[grid=0]", "--json")
    steps = ("--steps", 1, "--state-file", tmp_path / "refine.npz")
    loose, tight = (
        json.loads(mscflow("refine", structure, *level, *steps, "--fmax", fmax).stdout) for fmax in (30, 0.01)
    )
    assert (loose["converged"], tight["converged"]) == (True, False)
    assert tight["scf"][0] == loose["scf"][0]  # with the time it took: it was not computed again
    states = ("--nstates", 1, "--state-file", tmp_path / "excite.npz")
    first, second = (json.loads(mscflow("excite", structure, *level, *states).stdout) for _ in range(2))
    assert second["scf"] == first["scf"]


def test_vibrations_stop_in_time_and_go_on_from_their_state_file(structure, tmp_path):
    options = ("--level", "gfn2-xtb", "--json", "--state-file", tmp_path / "vibrations.npz")
    stopped = mscflow("vibrate", structure, *options, MSCFLOW_DEADLINE="0")
    assert stopped.returncode == 75
    assert "no time for another step; its state is kept in vibrations.npz" in stopped.stderr
    with np.load(tmp_path / "vibrations.npz") as kept:
        assert len(kept["rows"]) == 1
    found, whole = (
        [mode["frequency"] for mode in json.loads(mscflow("vibrate", structure, *kind).stdout)["modes"]]
        for kind in (options, options[:3])
    )
    assert found == pytest.approx(whole, abs=0.01)


def test_the_directory_for_cubes_is_made_before_anything_is_computed(structure, tmp_path):
    (tmp_path / "file").write_text("where a directory is wanted")
    result = mscflow("excite", structure, "--cubes", tmp_path / "file" / "cubes")
    assert result.returncode == 2
    assert "file/cubes: the directory for cube files cannot be made" in result.stderr


def test_vibrate_prints_modes_and_whether_it_is_a_minimum(structure, tmp_path):
    mscflow("relax", structure, "--level", "gfn2-xtb", "--fmax", "0.005", "-o", tmp_path / "zn.xyz")
    result = mscflow("vibrate", tmp_path / "zn.xyz", "--level", "gfn2-xtb", "--json")
    document = json.loads(result.stdout)
    assert document["is_minimum"]
    assert len(document["modes"]) == 3 * 9 - 6
    assert document["modes"][-1]["description"] == "C–H stretching"
    assert "displacements" not in document
    text = mscflow("vibrate", tmp_path / "zn.xyz", "--level", "gfn2-xtb").stdout
    assert "0 imaginary modes; a minimum" in text


def test_the_list_says_where_every_cluster_comes_from():
    rows = json.loads(mscflow("list", "--json").stdout)["clusters"]
    assert {"name", "formula", "atoms", "λ / nm", "family", "provenance", "source"} <= set(rows[0])
    by_name = {row["name"]: row for row in rows}
    assert "guess" in by_name["In26As18"]["provenance"]
    assert "lattice" in by_name["Cd35Se20"]["provenance"]
    assert "reference 29" in by_name["In37P20"]["source"]
    table = mscflow("list", COLUMNS="200").stdout
    assert "provenance" in table
    assert "best guess" in table


def test_unbalanced_charge_of_a_file_is_a_warning(structure, tmp_path):
    result = mscflow("analyze", structure, "--charge", "2", "--json", cwd=tmp_path)
    assert result.returncode == 0
    assert "charge does not balance" in result.stderr
    assert "difference +2" in result.stderr


def test_exchange_prints_a_table_of_every_site(tmp_path):
    start = write(build("InL3"), tmp_path / "in.xyz")
    result = mscflow("exchange", start, "--ion", "Ga3+", "--level", "gfn2-xtb", "--json", cwd=tmp_path)
    energies = json.loads(result.stdout)
    # Exchanging the only cation of In(O2CH)3 gives Ga(O2CH)3 + In(O2CH)3: nothing happens.
    assert abs(energies["reactions"][0]["energy"]) < 5e-3
    site = mscflow("exchange", start, "--ion", "Ga3+", "--level", "gfn2-xtb", "--sites", "0,1", cwd=tmp_path)
    assert "site 1 is not a cation; cations: [0]" in site.stderr


def test_an_ion_that_the_level_does_not_know_is_refused_before_anything_is_relaxed(tmp_path):
    start = write(build("InL3"), tmp_path / "in.xyz")
    result = mscflow("exchange", start, "--ion", "Ga3+", "--ion", "Mn2+", cwd=tmp_path)
    assert result.returncode == 2
    assert "was not trained on Mn" in result.stderr
    assert "[1/" not in result.stderr


def test_a_species_that_fails_does_not_take_the_others_along(capsys):
    level, start = parse_level("gfn2-xtb"), build("InL3")
    reactant = relax(start, level, fmax=0.5)
    zinc = build("ZnL2")
    bare = zinc.replace(charge=8, name="bare")  # its field does not converge
    species = {cluster.hash: cluster for cluster in (reactant.cluster, bare, zinc)}
    results, vibrations = compute_species(species, reactant, level, 0.5, with_vibrations=False)
    assert list(results) == [reactant.cluster.hash, zinc.hash]
    assert vibrations == {}
    assert "warning: gfn2-xtb, bare: tblite: SCF not converged" in capsys.readouterr().err


def test_the_moving_line_fits_into_a_narrow_terminal(monkeypatch):
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with Progress("long-name-" * 20):
            time.sleep(1.5 * REFRESH_S)
        shown = os.read(ours, 10_000).decode()
    line = shown.replace("\r\033[K", "")
    assert line == ("long-name-" * 20)[:39]
    os.close(ours)


def test_doctor_finds_everything_that_is_needed(tmp_path):
    result = mscflow("doctor", "--json", cwd=tmp_path)
    findings = {finding["what"]: finding for finding in json.loads(result.stdout)}
    assert result.returncode == 0, findings
    for needed in ("machine", "torch", "MACE models", "xTB", "PySCF", "store"):
        assert findings[needed]["state"] == "ok", findings[needed]


def test_models_lists_the_shipped_one():
    models = json.loads(mscflow("models", "--json").stdout)
    assert "msc-small" in [model["name"] for model in models]


CAMPAIGN = """\
name: too-much
structure: {build: In4P}
relax: {level: gfn2-xtb, fmax: 0.005}
exchange: {ions: [Zn2+, Cd2+, Ga3+, Mn2+], sites: all}
"""


def test_a_campaign_that_runs_out_of_time_says_so_by_its_exit_code(tmp_path):
    (tmp_path / "x.yaml").write_text(CAMPAIGN)
    result = mscflow("run", "x.yaml", "--dir", "run", "--walltime", "8", cwd=tmp_path)
    assert result.returncode == 75, result.stderr
    assert "no time for them: go on with mscflow resume run" in result.stderr


def test_a_failed_job_does_not_hide_that_another_waits_for_time(tmp_path, monkeypatch):
    flow = Flow([flows.fail(), flows.count_to(6, str(tmp_path / "state"))])
    monkeypatch.setenv("MSCFLOW_DEADLINE", str(time.time() + 10))
    run(flow, dir=tmp_path / "run", n_workers=2)
    with pytest.raises(OutOfTimeError, match=r"1 job\(s\) left, no time for them \(failed: 'fail'\)"):
        _conclude(tmp_path / "run", as_json=False)
    monkeypatch.delenv("MSCFLOW_DEADLINE")
    run(flow, dir=tmp_path / "run")
    with pytest.raises(CalculationError, match=r"1 job\(s\) failed, the first is 'fail'"):
        _conclude(tmp_path / "run", as_json=False)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5m", 90), ("12h", 43200), ("01:30:00", 5400)])
def test_walltimes_are_read_as_people_write_them(text, seconds):
    from mscflow.cli.limits import seconds as parsed

    assert parsed(text) == seconds


def test_a_walltime_that_is_none_is_refused():
    from mscflow.cli.limits import seconds as parsed

    with pytest.raises(InputError, match="HH:MM:SS"):
        parsed("soon")
