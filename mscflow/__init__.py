"""mscflow: DFT and machine-learning workflows on ligand-capped magic-sized clusters.

Names are imported when they are first used, so that ``import mscflow`` stays fast.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mscflow.analysis.binding import binding_modes
    from mscflow.analysis.homology import homology
    from mscflow.analysis.scattering import diffraction, pdf
    from mscflow.analysis.separations import separations
    from mscflow.builder import build, build_different
    from mscflow.campaign import Campaign, load_campaign
    from mscflow.cluster import Cluster
    from mscflow.executors import resume, run
    from mscflow.files import read, write
    from mscflow.levels import parse_level
    from mscflow.reactions.balance import balanced, interconversion
    from mscflow.reactions.exchange import exchange
    from mscflow.reactions.ligands import anion_exchange, ligand_exchange, strip
    from mscflow.reactions.removal import binding, displacement
    from mscflow.tasks.excite import excite
    from mscflow.tasks.refine import refine
    from mscflow.tasks.relax import relax
    from mscflow.tasks.relax_batch import relax_batch
    from mscflow.tasks.vibrate import vibrate

_HOMES = {
    "Campaign": "mscflow.campaign",
    "Cluster": "mscflow.cluster",
    "anion_exchange": "mscflow.reactions.ligands",
    "balanced": "mscflow.reactions.balance",
    "binding": "mscflow.reactions.removal",
    "binding_modes": "mscflow.analysis.binding",
    "build": "mscflow.builder",
    "build_different": "mscflow.builder",
    "diffraction": "mscflow.analysis.scattering",
    "displacement": "mscflow.reactions.removal",
    "exchange": "mscflow.reactions.exchange",
    "excite": "mscflow.tasks.excite",
    "homology": "mscflow.analysis.homology",
    "interconversion": "mscflow.reactions.balance",
    "ligand_exchange": "mscflow.reactions.ligands",
    "load_campaign": "mscflow.campaign",
    "parse_level": "mscflow.levels",
    "pdf": "mscflow.analysis.scattering",
    "read": "mscflow.files",
    "refine": "mscflow.tasks.refine",
    "relax": "mscflow.tasks.relax",
    "relax_batch": "mscflow.tasks.relax_batch",
    "resume": "mscflow.executors",
    "run": "mscflow.executors",
    "separations": "mscflow.analysis.separations",
    "strip": "mscflow.reactions.ligands",
    "vibrate": "mscflow.tasks.vibrate",
    "write": "mscflow.files",
}

__all__ = [
    "Campaign",
    "Cluster",
    "anion_exchange",
    "balanced",
    "binding",
    "binding_modes",
    "build",
    "build_different",
    "diffraction",
    "displacement",
    "exchange",
    "excite",
    "homology",
    "interconversion",
    "ligand_exchange",
    "load_campaign",
    "parse_level",
    "pdf",
    "read",
    "refine",
    "relax",
    "relax_batch",
    "resume",
    "run",
    "separations",
    "strip",
    "vibrate",
    "write",
]

try:
    __version__ = version("mscflow")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mscflow' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()) is not None:
    import_module("mscflow.notebook").register(_shell.display_formatter)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
