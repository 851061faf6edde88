"""The foundation models of mace-torch: their own names, where they come from, what they cover.

Nothing here touches the network or imports torch. Names, addresses and file names in the cache are those
of mace-torch 0.3.16 (``mace.calculators.foundations_models``). ``small_off`` and ``mace_omol`` are its
training program's names, because ``small`` alone would mean two models; ``mace_anicc`` is its function,
which keeps the file beside its own source, while here it goes to the cache like the others. Elements, data
and licences are those of the table in the README of ACEsuit/mace-foundations; elements of the two OMol25
families are those of the data set (Levine et al., arXiv:2505.08762), the first 83. What the file itself
says wins once it is on this machine. No checksum is published: one is recorded when a file is fetched.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ase.data import chemical_symbols
from pydantic import BaseModel, ConfigDict

ASL = "ASL (Academic Software License: no commercial use)"
MP_RELEASES = "https://github.com/ACEsuit/mace-mp/releases/download"
FOUNDATION_RELEASES = "https://github.com/ACEsuit/mace-foundations/releases/download"
OFF_FILES = "https://raw.githubusercontent.com/ACEsuit/mace-off/main/mace_off23"

TO_BISMUTH = tuple(chemical_symbols[1:84])
MATERIALS_PROJECT = (*TO_BISMUTH, *chemical_symbols[89:95])
ORGANIC = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")


class FoundationModel(BaseModel):
    """A published model.

    Attributes
    ----------
    name
        mace-torch's name of it, as in ``mace:NAME``.
    family
        Name of the publication of the weights, e.g. ``MACE-MPA-0``.
    url
        Where mace-torch downloads it from.
    elements
        Elements it was trained on.
    teacher
        Level of theory of its labels, and the data set.
    licence
        Licence of the weights.
    reads_charge
        Whether total charge and spin multiplicity are inputs of the network.
    head
        Output head to use where there are several; None: the user has to choose one.
    needs
        Package that the model needs beside mace-torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: str
    url: str
    elements: tuple[str, ...]
    teacher: str
    licence: str
    reads_charge: bool = False
    head: str | None = None
    needs: str | None = None

    @property
    def path(self) -> Path:
        """Place of the file in mace-torch's cache: the name there is what its functions look for."""
        name = self.url.rsplit("/", 1)[-1]
        if not self.family.startswith(("MACE-OFF", "MACE-OMOL", "MACE-ANI")):
            name = "".join(character for character in name if character.isalnum() or character in "_")
        return cache_directory() / name


def cache_directory() -> Path:
    """Return mace-torch's cache, ``$XDG_CACHE_HOME/mace`` or ``~/.cache/mace``."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mace"


def _materials(name: str, family: str, url: str, teacher: str, licence: str = "MIT") -> FoundationModel:
    return FoundationModel(
        name=name, family=family, url=url, elements=MATERIALS_PROJECT, teacher=teacher, licence=licence
    )


def _mptrj(name: str, family: str, file: str) -> FoundationModel:
    return _materials(name, family, f"{MP_RELEASES}/{file}", "PBE(+U), MPtrj")


def _organic(size: str) -> FoundationModel:
    return FoundationModel(
        name=f"{size}_off",
        family="MACE-OFF23",
        url=f"{OFF_FILES}/MACE-OFF23_{size}.model",
        elements=ORGANIC,
        teacher="ωB97M-D3(BJ)/def2-TZVPPD, SPICE",
        licence=ASL,
    )


def _polar(size: str) -> FoundationModel:
    return FoundationModel(
        name=f"polar-1-{size.lower()}",
        family="MACE-POLAR-1",
        url=f"{FOUNDATION_RELEASES}/mace_polar_1/MACE-POLAR-1-{size}.model",
        elements=TO_BISMUTH,
        teacher="ωB97M-V, OMol25",
        licence=ASL,
        reads_charge=True,
        needs="graph_longrange",
    )


@cache
def foundation_models() -> dict[str, FoundationModel]:
    """Return the foundation models that mace-torch can download, by name."""
    cross = "several levels (one head each), OMAT, OMol25, OC20, MATPES"
    models = (
        _mptrj("small", "MACE-MP-0a", "mace_mp_0/2023-12-10-mace-128-L0_energy_epoch-249.model"),
        _mptrj("medium", "MACE-MP-0a", "mace_mp_0/2023-12-03-mace-128-L1_epoch-199.model"),
        _mptrj("large", "MACE-MP-0a", "mace_mp_0/MACE_MPtrj_2022.9.model"),
        _mptrj("small-0b", "MACE-MP-0b", "mace_mp_0b/mace_agnesi_small.model"),
        _mptrj("medium-0b", "MACE-MP-0b", "mace_mp_0b/mace_agnesi_medium.model"),
        _mptrj("small-0b2", "MACE-MP-0b2", "mace_mp_0b2/mace-small-density-agnesi-stress.model"),
        _mptrj("medium-0b2", "MACE-MP-0b2", "mace_mp_0b2/mace-medium-density-agnesi-stress.model"),
        _mptrj("large-0b2", "MACE-MP-0b2", "mace_mp_0b2/mace-large-density-agnesi-stress.model"),
        _mptrj("medium-0b3", "MACE-MP-0b3", "mace_mp_0b3/mace-mp-0b3-medium.model"),
        _materials(
            "medium-mpa-0",
            "MACE-MPA-0",
            f"{MP_RELEASES}/mace_mpa_0/mace-mpa-0-medium.model",
            "PBE(+U), MPtrj and sAlex",
        ),
        *(
            _materials(
                f"{size}-omat-0",
                "MACE-OMAT-0",
                f"{MP_RELEASES}/mace_omat_0/mace-omat-0-{size}.model",
                "PBE(+U), OMAT",
                ASL,
            )
            for size in ("small", "medium")
        ),
        *(
            _materials(
                f"mace-matpes-{xc}-0",
                f"MACE-MATPES-{label}-0",
                f"{FOUNDATION_RELEASES}/mace_matpes_0/MACE-matpes-{xc}-omat-ft.model",
                f"{label}, MATPES",
                ASL,
            )
            for xc, label in (("pbe", "PBE"), ("r2scan", "r2SCAN"))
        ),
        *(
            _materials(
                f"mh-{n}",
                f"MACE-MH-{n}",
                f"{FOUNDATION_RELEASES}/mace_mh_1/mace-mh-{n}.model",
                cross,
                ASL,
            )
            for n in (0, 1)
        ),
        *(_organic(size) for size in ("small", "medium", "large")),
        FoundationModel(
            name="mace_omol",
            family="MACE-OMOL-0",
            url=f"{FOUNDATION_RELEASES}/mace_omol_0/MACE-omol-0-extra-large-1024.model",
            elements=TO_BISMUTH,
            teacher="ωB97M-V, OMol25",
            licence=ASL,
            reads_charge=True,
            head="omol",
        ),
        *(_polar(size) for size in ("S", "M", "L")),
        FoundationModel(
            name="mace_anicc",
            family="MACE-ANI-CC",
            url="https://github.com/ACEsuit/mace/raw/main/mace/calculators/foundations_models/"
            "ani500k_large_CC.model",
            elements=("H", "C", "N", "O"),
            teacher="coupled cluster, ANI-1ccx",
            licence="MIT",
        ),
    )
    return {model.name: model for model in models}
