"""`mscflow doctor`: what works on this machine, what is missing, how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from mscflow.cli.arguments import Json
from mscflow.cli.output import show_json, show_table

GIB = 1024**3

SLOW_LAPACK = (
    "; its LAPACK is not optimised: with LD_PRELOAD=libopenblas.so.0 (Debian's libopenblas0-pthread) "
    "200 atoms take a sixth of the time"
)


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Parameters
    ----------
    what
        What was examined.
    state
        ``ok``, ``missing`` (optional) or ``broken`` (needed).
    detail
        What was found, or how to get it.
    """

    what: str
    state: str
    detail: str


def doctor(
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Time each kind of calculation, for cost estimates (minutes).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Examine cores, memory, engines, models, store and schedulers; or time this machine."""
    if calibrate:
        _calibrate(as_json)
        return
    findings = [_examined(name, check) for name, check in CHECKS.items()]
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        show_table("mscflow doctor", [asdict(finding) for finding in findings])
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _calibrate(as_json: bool) -> None:
    from mscflow.builder import build
    from mscflow.levels import calibration
    from mscflow.tasks.relax import relax

    factors = calibration.calibrate(relax(build("In4P"), fmax=0.1).cluster)
    if as_json:
        show_json(factors)
        return
    rows = [
        {"calculation": kind, "timed": calibration.REFERENCES[kind], "against the expected time": factor}
        for kind, factor in factors.items()
    ]
    show_table("One energy and forces of In4P(O2CH)9", rows)
    typer.echo(f"Kept in {calibration.kept_in()}; estimates use it from now on.")


def _examined(name: str, check: Callable[[], tuple[str, str]]) -> Finding:
    try:
        return Finding(name, *check())
    except Exception as err:  # noqa: BLE001 - an examination reports whatever is broken
        return Finding(name, "broken", f"{type(err).__name__}: {err}")


def _machine() -> tuple[str, str]:
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "ok", (
        f"{cores} cores, {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB memory free, "
        f"Python {platform.python_version()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    )


def _torch() -> tuple[str, str]:
    import torch

    return "ok", f"{torch.__version__}, {torch.get_num_threads()} threads"


def _cuda() -> tuple[str, str]:
    import torch

    if torch.cuda.is_available():
        return "ok", torch.cuda.get_device_name(0)
    return "missing", "no CUDA device: everything runs on the CPU"


def _models() -> tuple[str, str]:
    from mscflow.levels.potentials.registry import require_known_file, shipped_models

    names = list(shipped_models())
    for name in names:
        require_known_file(name)
    return ("ok", ", ".join(f"mace:{n}" for n in names)) if names else ("broken", "none: reinstall mscflow")


def _tight_binding() -> tuple[str, str]:
    from mscflow.builder import precursor
    from mscflow.levels import XTB

    cluster = precursor("Zn2+")
    atoms = cluster.to_ase()
    atoms.calc = XTB().calculator(cluster)
    found = f"tblite {version('tblite')}: E(Zn(O2CH)2) = {atoms.get_potential_energy():.3f} eV"
    return "ok", found + (SLOW_LAPACK if _reference_lapack() else "")


def _reference_lapack() -> bool:
    """Return whether tblite runs with the unoptimised LAPACK that its wheel carries."""
    import tblite

    carried = any(Path(tblite.__file__).parents[1].glob("tblite.libs/liblapack-*"))
    return carried and "blas" not in os.environ.get("LD_PRELOAD", "")


def _pyscf() -> tuple[str, str]:
    from pyscf import gto

    gto.M(atom="In 0 0 0; H 0 0 1.8", basis="def2-svp", ecp={"In": "def2-svp"}, verbose=0)
    return "ok", f"pyscf {version('pyscf')}, dispersion {version('pyscf-dispersion')}"


def _store() -> tuple[str, str]:
    from mscflow.store import job_store

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        store = job_store(Path(directory) / "store.sqlite")
        store.connect()
        store.close()
    free = shutil.disk_usage(Path.cwd()).free
    return "ok", f"SQLite works here, {free / GIB:.0f} GiB of disk free"


def _scheduler(command: str, name: str) -> Callable[[], tuple[str, str]]:
    def check() -> tuple[str, str]:
        found = shutil.which(command)
        return ("ok", found) if found else ("missing", f"no {command} on PATH: run on the cluster for {name}")

    return check


def _extra(package: str, extra: str) -> Callable[[], tuple[str, str]]:
    def check() -> tuple[str, str]:
        try:
            return "ok", version(package)
        except PackageNotFoundError:
            return "missing", f"pip install 'mscflow[{extra}]'"

    return check


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "machine": _machine,
    "torch": _torch,
    "CUDA": _cuda,
    "MACE models": _models,
    "xTB": _tight_binding,
    "PySCF": _pyscf,
    "store": _store,
    "Slurm": _scheduler("sbatch", "Slurm"),
    "PBS": _scheduler("qsub", "PBS"),
    "Parsl": _extra("parsl", "slurm"),
    "jobflow-remote": _extra("jobflow-remote", "remote"),
}
