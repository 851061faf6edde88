"""Text forms of levels: ``mace:msc-small``, ``gfn2-xtb``, ``pbe-d3bj/def2-svp``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field, ValidationError

from mscflow.chemistry import suggest
from mscflow.errors import InputError
from mscflow.levels.base import Level
from mscflow.levels.corrected import CorrectedXTB
from mscflow.levels.mace import MACE
from mscflow.levels.pyscf import BASES, DISPERSIONS, FUNCTIONALS, SETTINGS, PySCF
from mscflow.levels.xtb import XTB

AnyLevel: TypeAlias = Annotated[MACE | XTB | CorrectedXTB | PySCF, Field(discriminator="kind")]

XTB_METHODS = {"gfn1-xtb": "GFN1-xTB", "gfn2-xtb": "GFN2-xTB"}
EXAMPLES = (
    "mace:msc-small", *XTB_METHODS, CorrectedXTB().text, "pbe-d3bj/def2-svp", "pbe-d3bj/gth-dzvp-molopt-sr",
)  # fmt: skip
"""One text of each kind, suggested where none is known."""

FALLBACK = "gfn2-xtb"
"""Covers every element of the field, where another level does not."""


def parse_level(text: str | Level) -> Level:
    """Return the level written as text; a level is returned as it is.

    Parameters
    ----------
    text
        ``mace:MODEL`` (a name of ``mscflow models`` or a path; ``mace:MODEL@HEAD`` where a model has
        several output heads), ``gfn1-xtb``, ``gfn2-xtb``, ``gfn2-xtb+pairs``, or ``XC[-D]/BASIS`` such as
        ``pbe-d3bj/def2-svp`` (density-fitted, all bases of `BASES`) and ``pbe-d3bj/gth-dzvp-molopt-sr``
        (multigrid), with settings in brackets: ``pbe-d3bj/def2-svp[solvent=toluene,grid=1]``.

    Raises
    ------
    InputError
        If the level is unknown; the nearest one is suggested.

    Examples
    --------
    >>> parse_level("gfn2-xtb").text
    'gfn2-xtb'
    """
    if isinstance(text, Level):
        return text
    word = text.strip()
    kind, _, model = word.partition(":")
    if kind.lower() == "mace" and model:
        name, at, head = model.rpartition("@")
        if not at or not name or Path(model).is_file():
            return MACE(model=model)
        if not head:
            raise InputError(f"level {text!r}: name a head of the model after '@', or write mace:{name}")
        return MACE(model=name, head=head)
    if word.lower() in XTB_METHODS:
        return XTB(method=XTB_METHODS[word.lower()])  # type: ignore[arg-type]
    if word.lower() == CorrectedXTB().text:
        return CorrectedXTB()
    method, slash, rest = word.lower().partition("/")
    basis, bracket, settings = rest.partition("[")
    if not slash:
        raise InputError(f"unknown level {text!r}: {suggest(word, EXAMPLES)}")
    xc, _, dispersion = method.rpartition("-") if method.endswith(tuple(DISPERSIONS)) else (method, "", "")
    if xc not in FUNCTIONALS:
        raise InputError(f"unknown functional {xc!r} in level {text!r}: {suggest(xc, FUNCTIONALS)}")
    if basis not in BASES:
        raise InputError(f"unknown basis {basis!r} in level {text!r}: {suggest(basis, BASES)}")
    return _pyscf(text, settings if bracket else None, xc=xc, basis=basis, dispersion=dispersion or None)


def _pyscf(text: str, settings: str | None, **method: str | None) -> PySCF:
    """Return the level with the numerical settings that stood in brackets."""
    try:
        pairs = [setting.split("=") for setting in settings.rstrip("] ").split(",")] if settings else []
        values = {name.strip(): value.strip() for name, value in pairs}
    except ValueError:
        raise InputError(f"level {text!r}: write settings as [name=value,...], e.g. [grid=1]") from None
    for name in values:
        if name not in SETTINGS:
            raise InputError(f"level {text!r}: unknown setting {name!r}: known are {', '.join(SETTINGS)}")
    try:
        return PySCF.model_validate({**method, **values})
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = "".join(f"{name}: " for name in problem["loc"])
        raise InputError(f"level {text!r}: {where}{problem['msg']}") from err
