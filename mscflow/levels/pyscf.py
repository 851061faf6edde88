"""Density functional theory through PySCF: Gaussian bases, or pseudopotentials on multigrids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from mscflow.chemistry import suggest
from mscflow.errors import InputError
from mscflow.levels.base import Estimate, Level
from mscflow.processor import choose_kernels

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster

choose_kernels()

FUNCTIONALS = {"pbe": "PBE", "pbe0": "PBE0", "b3lyp": "B3LYP", "hse06": "HSE06", "camb3lyp": "CAM-B3LYP"}
HYBRIDS = ("pbe0", "b3lyp", "hse06", "camb3lyp")
RANGE_SEPARATED = ("hse06", "camb3lyp")
"""Functionals whose exact exchange depends on the distance."""

DISPERSIONS = {"d3bj": "D3(BJ) dispersion", "d4": "D4 dispersion"}
BASES = ("def2-svp", "def2-tzvp", "gth-dzvp-molopt-sr", "gth-szv-molopt-sr")

SOLVENTS = {
    "n-hexane": 1.8819, "cyclohexane": 2.0165, "n-octane": 1.9406, "n-hexadecane": 2.0402, "benzene": 2.2706,
    "toluene": 2.3741, "mesitylene": 2.2650, "diethylether": 4.2400, "chloroform": 4.7113,
    "tetrahydrofuran": 7.4257, "dichloromethane": 8.9300, "pyridine": 12.978, "acetone": 20.493,
    "ethanol": 24.852, "methanol": 32.613, "acetonitrile": 35.688, "dimethylsulfoxide": 46.826,
    "water": 78.355,
}  # fmt: skip
"""Static dielectric constants: Minnesota Solvent Descriptor Database (Winget et al., 1999)."""

SOLVATIONS = {"c-pcm": "as a dielectric (C-PCM)", "smd": "as a dielectric with a surface tension (SMD)"}
"""What a solvent is, by the name of its model."""

SMD_ELEMENTS = frozenset({"H", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br"})
"""Elements on whose surface SMD has a tension."""

SEMICORE_CUTOFF = {"Cu": 200.0, "Zn": 200.0, "Ga": 280.0, "Mn": 280.0, "Co": 280.0}
"""Cutoffs / Eh that GTH potentials with 3d electrons need: at 120 the sum of all forces, which should vanish,
is 3 to 6 eV/Å with Cu, Zn and Ga, at these 0.1; with Ag and Cd below 0.1 at 120. Mn, Co: not measured."""

BOX_SETTINGS = ("box_margin", "ke_cutoff")
"""Settings of the GTH bases only; grids are those of the def2 bases only."""

SETTINGS = ("solvent", "solvation", "exchange", "grid", "conv_tol", *BOX_SETTINGS)
"""Settings that stand in brackets behind the basis."""

LAST_ALL_ELECTRON = 36
"""The def2 bases keep the core electrons up to krypton (Weigend & Ahlrichs, PCCP 2005, 7, 3297)."""


class PySCF(Level):
    """Kohn–Sham density functional theory (PySCF; Sun et al., J. Chem. Phys. 2020, 153, 024109).

    A def2 basis means an isolated molecule with a density-fitted Coulomb matrix and, beyond krypton, def2
    effective core potentials. A GTH basis means GTH-PBE pseudopotentials and a molecule in a periodic box,
    Γ point, densities on multigrids. The two are different levels of theory: never mix their energies.

    Attributes
    ----------
    xc
        Functional, one of `FUNCTIONALS`.
    basis
        One of `BASES`.
    dispersion
        ``"d3bj"`` (Grimme et al., J. Comput. Chem. 2011, 32, 1456), ``"d4"`` (Caldeweyher et al., J. Chem.
        Phys. 2019, 150, 154122) or None.
    solvent
        One of `SOLVENTS` around the molecule (def2 bases), or None.
    solvation
        ``"c-pcm"``: the solvent is a dielectric (Barone & Cossi, J. Phys. Chem. A 1998, 102, 1995), without
        cavitation or dispersion. ``"smd"``: a dielectric and a surface tension (Marenich, Cramer & Truhlar,
        J. Phys. Chem. B 2009, 113, 6378), which is fitted for `SMD_ELEMENTS`.
    exchange
        Exact exchange of hybrid functionals (def2 bases): ``"fitted"``, or ``"seminumerical"`` (PySCF's SGX
        after Neese et al., Chem. Phys. 2009, 356, 98), which takes far less memory.
    grid
        Level of PySCF's exchange-correlation grid, 0 to 9 (def2 bases). 3 is PySCF's default.
    conv_tol
        Convergence threshold of the energy / Eh.
    box_margin
        Vacuum between the outermost atoms and each face of the box / Å (GTH bases).
    ke_cutoff
        Kinetic-energy cutoff of the finest grid / Eh (GTH bases).
    """

    kind: Literal["pyscf"] = "pyscf"
    xc: Literal["pbe", "pbe0", "b3lyp", "hse06", "camb3lyp"] = "pbe"
    basis: Literal["def2-svp", "def2-tzvp", "gth-dzvp-molopt-sr", "gth-szv-molopt-sr"] = "def2-svp"
    dispersion: Literal["d3bj", "d4"] | None = None
    solvent: str | None = None
    solvation: Literal["c-pcm", "smd"] = "c-pcm"
    exchange: Literal["fitted", "seminumerical"] = "fitted"
    grid: int = Field(default=3, ge=0, le=9)
    conv_tol: float = Field(default=1e-8, ge=1e-13, le=1e-4)
    box_margin: float = Field(default=5.0, ge=3.0, le=100.0)
    ke_cutoff: float = Field(default=120.0, ge=40.0, le=2000.0)

    @field_validator("solvent")
    @classmethod
    def _known_solvent(cls, name: str | None) -> str | None:
        if name is not None and name not in SOLVENTS:
            raise ValueError(f"unknown solvent {name!r}: {suggest(name, SOLVENTS)}")
        return name

    @model_validator(mode="after")
    def _solvent_outside_a_box(self) -> PySCF:
        if self.solvent is not None and self.is_periodic:
            raise ValueError(f"a solvent needs a def2 basis, not {self.basis}")
        if self.solvent is None and self.solvation == "smd":
            raise ValueError("solvation=smd needs a solvent, e.g. solvent=toluene")
        return self

    @model_validator(mode="after")
    def _settings_of_its_basis(self) -> PySCF:
        names, basis = (("grid",), "def2-svp") if self.is_periodic else (BOX_SETTINGS, "gth-dzvp-molopt-sr")
        for name in names:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} needs a basis such as {basis}, {self.basis} knows none")
        return self

    @model_validator(mode="after")
    def _seminumerical_exchange_is_exchange(self) -> PySCF:
        if self.exchange == "seminumerical" and not self.is_hybrid:
            raise ValueError(f"{self.xc} has no exact exchange that could be seminumerical")
        return self

    @property
    def is_periodic(self) -> bool:
        """Whether the level works in a periodic box with pseudopotentials."""
        return self.basis.startswith("gth-")

    @property
    def is_hybrid(self) -> bool:
        """Whether the functional contains exact exchange."""
        return self.xc in HYBRIDS

    @property
    def auxiliary_basis(self) -> str:
        """Basis that fits products of basis functions (Weigend, PCCP 2006, 8, 1057; JCC 2008, 29, 167)."""
        return "def2-universal-jkfit" if self.is_hybrid else "def2-universal-jfit"

    @property
    def text(self) -> str:
        """``XC[-d3bj]/BASIS``, with settings that are not the default in brackets."""
        method = f"{self.xc}-{self.dispersion}" if self.dispersion else self.xc
        fields = type(self).model_fields
        settings = {name: getattr(self, name) for name in SETTINGS}
        changed = [
            f"{name}={value if isinstance(value, str) else _exact(value)}"
            for name, value in settings.items()
            if value != fields[name].default
        ]
        return f"{method}/{self.basis}" + (f"[{','.join(changed)}]" if changed else "")

    @property
    def description(self) -> str:
        """Functional, dispersion, basis, core potentials, route and its numerical settings."""
        dispersion = f" with {DISPERSIONS[self.dispersion]}" if self.dispersion else " without dispersion"
        if self.is_periodic:
            return (
                f"{FUNCTIONALS[self.xc]}{dispersion}, {self.basis.upper()} basis, GTH-PBE pseudopotentials, "
                f"periodic box with {self.box_margin:g} Å of vacuum on each side, Γ point, multigrid to "
                f"{self.ke_cutoff:g} Eh (PySCF)"
            )
        fitted = "Coulomb and exchange matrices" if self.is_hybrid else "Coulomb matrix"
        if self.exchange == "seminumerical":
            fitted = "Coulomb matrix, seminumerical exchange (SGX)"
        return (
            f"{FUNCTIONALS[self.xc]}{dispersion}, {self.basis} basis, def2 effective core potentials beyond "
            f"krypton, density-fitted {fitted}, grid level {self.grid}"
            + (f", {self.solvent} {SOLVATIONS[self.solvation]}" if self.solvent else "")
            + " (PySCF)"
        )

    def require(self, cluster: Cluster) -> list[str]:
        """Refuse elements without basis or pseudopotential and functionals without a route; warn of charge.

        Raises
        ------
        InputError
            If an element is not covered, there are no electrons, or a GTH basis is combined with another
            functional than PBE or with too low a cutoff.
        """
        if cluster.charge >= sum(cluster.numbers):
            raise InputError(
                f"{cluster.name or cluster.formula} with charge {cluster.charge} has no electrons: "
                f"{self.text} needs one at least"
            )
        if self.is_periodic and self.xc != "pbe":
            raise InputError(
                f"{self.text}: GTH-PBE pseudopotentials and the multigrid need xc 'pbe', not {self.xc!r}; "
                f"for {self.xc} use {self.xc}/def2-svp"
            )
        needed = self.cutoff_for(cluster)
        if self.is_periodic and self.ke_cutoff < needed:
            hard = sorted(set(SEMICORE_CUTOFF) & set(cluster.composition))
            raise InputError(
                f"{self.text}: the 3d electrons of {', '.join(hard)} in {cluster.name or cluster.formula} "
                f"need ke_cutoff={needed:g} at least, not {self.ke_cutoff:g}: forces are wrong by eV/Å below"
            )
        missing = sorted(symbol for symbol in cluster.composition if _n_functions(self.basis, symbol) is None)
        if missing:
            raise InputError(
                f"{self.basis} has no functions or core potential for {', '.join(missing)} "
                f"in {cluster.name or cluster.formula}: use {_other_basis(self)} or gfn2-xtb"
            )
        others = sorted(set(cluster.composition) - SMD_ELEMENTS)
        if self.solvation == "smd" and others:
            return [f"SMD knows no surface tension of {', '.join(others)}: only the dielectric acts on them"]
        if self.is_periodic and cluster.charge:
            return [
                f"charge {cluster.charge} in a periodic box: the energy contains the interaction with a "
                "uniform background; compare it with boxes of the same size only"
            ]
        return []

    def cutoff_for(self, cluster: Cluster) -> float:
        """Return the larger of the multigrid's cutoff / Eh and that which the elements of a cluster need."""
        return max(self.ke_cutoff, *(SEMICORE_CUTOFF.get(symbol, 0.0) for symbol in cluster.composition))

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return an ASE calculator; each geometry starts from the density of the one before."""
        from mscflow.levels.dft.calculator import PySCFCalculator

        return PySCFCalculator(cluster, self)

    def estimate(self, cluster: Cluster) -> Estimate:
        """Count basis functions and scale measured times and sizes; nothing is built."""
        from mscflow.levels.dft.cost import estimate

        return estimate(cluster, self)


def _exact(value: float) -> str:
    """Return a number in six digits, or in as many as it needs to be read again as it is."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _n_functions(basis: str, symbol: str) -> int | None:
    """Return the number of basis functions of an element, None where it is not covered."""
    from mscflow.levels.dft.cost import n_functions

    return n_functions(basis, symbol)


def _other_basis(level: PySCF) -> str:
    return "def2-svp" if level.is_periodic else "gth-dzvp-molopt-sr (PBE only)"
