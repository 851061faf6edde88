"""Ligands by name or SMILES, in the frame in which they are attached.

The point that is attached lies at the origin and the rest on the +z side: of a carboxylate its carbon, with
the oxygens on the -z side in the xz plane; of every other ligand its donor (of a diamine the middle of its
donors, which lie on the x axis). Donors come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from mscflow.chemistry import suggest
from mscflow.errors import InputError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

CO_BOND = 1.26
CH_BOND = 1.10
CC_BOND = 1.51
OCO_ANGLE = 126.0
CONFORMER_SEED = 2026
N_CONFORMERS = 6
N_TRIALS = 24

ORGANIC = frozenset(("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "Te", "I"))
"""Elements of ligands."""

CHELATE_RINGS = (4, 5, 6, 7)
"""Sizes of the ring that a diamine closes with its cation."""


class Kind(StrEnum):
    """How a ligand binds."""

    CARBOXYLATE = "carboxylate"
    BRIDGING_ANION = "chalcogenolate, phosphanide or halide"
    NEUTRAL = "amine or phosphine"
    CHELATE = "diamine"


@dataclass(frozen=True)
class LigandTemplate:
    """A ligand ready to be attached.

    Parameters
    ----------
    name
        Name by which it is asked for.
    formula
        Short chemical formula used in names, e.g. ``O2CH``.
    symbols, positions
        Atoms and coordinates / Å in the frame of the module's docstring; donors first.
    charge
        Formal charge / e.
    n_donors
        Number of leading atoms that bind.
    kind
        How it binds.
    bonds
        Pairs of atoms.
    conformers
        Other coordinates / Å in the same frame, for where the first do not fit.
    """

    name: str
    formula: str
    symbols: tuple[str, ...]
    positions: np.ndarray
    charge: int
    n_donors: int
    kind: Kind = Kind.CARBOXYLATE
    bonds: tuple[tuple[int, int], ...] = ()
    conformers: tuple[np.ndarray, ...] = field(default=(), repr=False)


SMILES: dict[str, tuple[str, str]] = {
    "formate": ("O2CH", "[O-:1]C=[O:1]"),
    "acetate": ("O2CCH3", "[O-:1]C(C)=[O:1]"),
    "benzoate": ("O2CPh", "[O-:1]C(=[O:1])c1ccccc1"),
    "phenylacetate": ("O2CCH2Ph", "[O-:1]C(=[O:1])Cc1ccccc1"),
    "4-tert-butylphenylacetate": ("O2CCH2C6H4tBu", "[O-:1]C(=[O:1])Cc1ccc(C(C)(C)C)cc1"),
    "m-tolylacetate": ("O2CCH2C6H4Me", "[O-:1]C(=[O:1])Cc1cccc(C)c1"),
    "o-tolylacetate": ("O2CCH2C6H4Me", "[O-:1]C(=[O:1])Cc1ccccc1C"),
    "3,5-dimethylphenylacetate": ("O2CCH2C6H3Me2", "[O-:1]C(=[O:1])Cc1cc(C)cc(C)c1"),
    "3,5-di-tert-butylphenylacetate": (
        "O2CCH2C6H3tBu2",
        "[O-:1]C(=[O:1])Cc1cc(C(C)(C)C)cc(C(C)(C)C)c1",
    ),
    "myristate": ("O2CC13H27", "[O-:1]C(=[O:1])CCCCCCCCCCCCC"),
    "oleate": ("O2CC17H33", "[O-:1]C(=[O:1])CCCCCCC/C=C\\CCCCCCCC"),
    "benzenethiolate": ("SPh", "[S-:1]c1ccccc1"),
    "benzeneselenolate": ("SePh", "[Se-:1]c1ccccc1"),
    "chloride": ("Cl", "[Cl-:1]"),
    "bromide": ("Br", "[Br-:1]"),
    "iodide": ("I", "[I-:1]"),
    "ammonia": ("NH3", "[NH3:1]"),
    "methylamine": ("H2NMe", "[NH2:1]C"),
    "n-butylamine": ("H2NBu", "[NH2:1]CCCC"),
    "TMEDA": ("TMEDA", "C[N:1](C)CC[N:1](C)C"),
    "PH3": ("PH3", "[PH3:1]"),
    "PMe3": ("PMe3", "C[P:1](C)C"),
    "PEt3": ("PEt3", "CC[P:1](CC)CC"),
    "PEt2Ph": ("PEt2Ph", "CC[P:1](CC)c1ccccc1"),
    "PPr3": ("PPr3", "CCC[P:1](CCC)CCC"),
}
"""Short formula and SMILES of the named ligands; atoms of map number 1 bind."""

ALIASES: dict[str, str] = {
    "PhAc": "phenylacetate",
    "tBu": "4-tert-butylphenylacetate",
    "3-Me": "m-tolylacetate",
    "3,5-Me2": "3,5-dimethylphenylacetate",
    "SePh": "benzeneselenolate",
    "SPh": "benzenethiolate",
    "Cl": "chloride",
    "Br": "bromide",
    "I": "iodide",
    "NH3": "ammonia",
    "butylamine": "n-butylamine",
}
"""Other names of the same ligands, as the literature writes them."""

LIGANDS: tuple[str, ...] = tuple(SMILES)
"""Names of the ligands."""


def ligand_template(name: str) -> LigandTemplate:
    """Return the ligand called `name`, or that of a SMILES with marked donors.

    Parameters
    ----------
    name
        A name of `LIGANDS`, an alias, or a SMILES whose binding atoms carry the map number 1, e.g.
        ``"[O-:1]C(=[O:1])CCl"``.

    Raises
    ------
    InputError
        If there is none; the nearest name is suggested.
    """
    name = ALIASES.get(name, name)
    if name in SMILES:
        return _template(name, *SMILES[name])
    if ":1]" in name:
        return _template(name, "", name)
    raise InputError(
        f"unknown ligand {name!r}: {suggest(name, (*LIGANDS, *ALIASES))} (or a SMILES with the donors "
        "marked, e.g. '[O-:1]C(=[O:1])CCl')"
    )


def ligand_smiles(name: str) -> str:
    """Return the SMILES of a ligand by name or alias; a SMILES is returned as it is."""
    name = ALIASES.get(name, name)
    return SMILES[name][1] if name in SMILES else name


def n_atoms(name: str) -> int:
    """Return the number of atoms of a named ligand."""
    return len(_named_graphs()[ALIASES.get(name, name)][1])


def identify(symbols: Sequence[str], bonds: Iterable[tuple[int, int]]) -> str | None:
    """Return the name of the ligand with these atoms and bonds, or None if it has none.

    Parameters
    ----------
    symbols, bonds
        Atoms, and pairs of them, of one ligand.
    """
    graph = _graph(symbols, bonds)
    formula = _hill(tuple(symbols))
    same_element = nx.algorithms.isomorphism.categorical_node_match("symbol", None)
    for name, (known, found) in _named_graphs().items():
        if known == formula and nx.is_isomorphic(graph, found, node_match=same_element):
            return name
    return None


@lru_cache(maxsize=1)
def _named_graphs() -> dict[str, tuple[str, nx.Graph]]:
    """Return formula and bond graph of every named ligand."""
    graphs = {}
    for name, (_, smiles) in SMILES.items():
        molecule = _molecule(smiles)
        symbols = tuple(atom.GetSymbol() for atom in molecule.GetAtoms())
        bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
        graphs[name] = (_hill(symbols), _graph(symbols, bonds))
    return graphs


def _graph(symbols: Sequence[str], bonds: Iterable[tuple[int, int]]) -> nx.Graph:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from((i, {"symbol": symbol}) for i, symbol in enumerate(symbols))
    graph.add_edges_from(bonds)
    return graph


@lru_cache(maxsize=64)
def _template(name: str, formula: str, smiles: str) -> LigandTemplate:
    if name in _RIGID:
        return _carboxylate(name, formula, *_RIGID[name])
    molecule = _molecule(smiles)
    donors = [a.GetIdx() for a in molecule.GetAtoms() if a.GetAtomMapNum() == 1]
    try:
        kind, pivot = _kind(molecule, donors)
    except InputError as err:
        raise InputError(f"{name}: {err}") from err
    rest = [a.GetIdx() for a in molecule.GetAtoms() if a.GetIdx() not in (*donors, pivot)]
    order = [*donors, *([pivot] if pivot is not None else []), *rest]
    number = {old: new for new, old in enumerate(order)}
    symbols = tuple(molecule.GetAtomWithIdx(i).GetSymbol() for i in order)
    bonds = sorted(
        tuple(sorted((number[b.GetBeginAtomIdx()], number[b.GetEndAtomIdx()]))) for b in molecule.GetBonds()
    )
    neighbours = [j for i, j in bonds if i < len(donors) <= j]
    shapes = [
        _framed(shape[order], kind, neighbours) for shape in _conformers(molecule, donors, kind, smiles)
    ]
    return LigandTemplate(
        name=name,
        formula=formula or _hill(symbols),
        symbols=symbols,
        positions=shapes[0],
        charge=sum(a.GetFormalCharge() for a in molecule.GetAtoms()),
        n_donors=len(donors),
        kind=kind,
        bonds=tuple((i, j) for i, j in bonds),
        conformers=tuple(shapes[1:]),
    )


def _molecule(smiles: str) -> Mol:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InputError(f"ligand {smiles!r} is no valid SMILES")
    if len(Chem.GetMolFrags(molecule)) > 1:
        raise InputError(f"ligand {smiles!r}: one molecule is needed, these are several")
    return Chem.AddHs(molecule)


def _kind(molecule: Mol, donors: list[int]) -> tuple[Kind, int | None]:
    """Return how a ligand binds, and the carbon of a carboxylate."""
    atoms = [molecule.GetAtomWithIdx(i) for i in donors]
    elements = [a.GetSymbol() for a in atoms]
    charge = sum(a.GetFormalCharge() for a in molecule.GetAtoms())
    foreign = sorted({a.GetSymbol() for a in molecule.GetAtoms()} - ORGANIC)
    if foreign:
        raise InputError(f"ligand with {', '.join(foreign)}: only {', '.join(sorted(ORGANIC))} can be in one")
    if any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms()):
        raise InputError("ligand with unpaired electrons: closed shells can be attached")
    if set(elements) == {"O"} and charge == -1:
        pivot = _carboxyl_carbon(molecule, donors)
        if len(donors) == 2 and pivot is not None:
            return Kind.CARBOXYLATE, pivot
        if len(donors) == 1 and pivot is not None:
            raise InputError("carboxylate with one oxygen marked: mark both, as in '[O-:1]C(=[O:1])C'")
    if len(donors) == 1 and charge == -1 and elements[0] in ("P", "S", "Se", "Te", "F", "Cl", "Br", "I"):
        return Kind.BRIDGING_ANION, None
    if len(donors) == 1 and charge == 0 and elements[0] in ("N", "P", "O", "S"):
        return Kind.NEUTRAL, None
    if len(donors) == 2 and charge == 0 and set(elements) <= {"N", "P"}:
        from rdkit.Chem import GetShortestPath

        ring = len(GetShortestPath(molecule, *donors)) + 1
        if ring not in CHELATE_RINGS:
            raise InputError(
                f"its two donors would close a ring of {ring} with the cation: rings of {CHELATE_RINGS[0]} "
                f"to {CHELATE_RINGS[-1]} can be; mark one donor to bind it by one end"
            )
        return Kind.CHELATE, None
    raise InputError(
        f"ligand with donors {elements} and charge {charge:+d}: carboxylates, thiolates, selenolates, "
        "phosphanides, halides, amines, diamines and phosphines can be attached"
    )


def _carboxyl_carbon(molecule: Mol, donors: list[int]) -> int | None:
    """Return the carbon whose oxygens, all terminal, include the donors."""
    around = [{n.GetIdx() for n in molecule.GetAtomWithIdx(i).GetNeighbors()} for i in donors]
    shared = set.intersection(*around)
    for i in shared if all(len(near) == 1 for near in around) else ():
        atom = molecule.GetAtomWithIdx(i)
        terminal = [n for n in atom.GetNeighbors() if n.GetSymbol() == "O" and n.GetDegree() == 1]
        if atom.GetSymbol() == "C" and len(terminal) == 2:
            return i
    return None


def _conformers(molecule: Mol, donors: list[int], kind: Kind, smiles: str) -> list[np.ndarray]:
    """Return different shapes / Å, the one that reaches farthest from its donors first."""
    from rdkit import rdBase
    from rdkit.Chem.rdDistGeom import EmbedMultipleConfs
    from rdkit.Chem.rdForceFieldHelpers import MMFFOptimizeMoleculeConfs

    if molecule.GetNumAtoms() == 1:
        return [np.zeros((1, 3))]
    with rdBase.BlockLogs():  # selenium has no parameters: the embedded shapes stay as they are
        made = EmbedMultipleConfs(molecule, N_TRIALS, randomSeed=CONFORMER_SEED)
        MMFFOptimizeMoleculeConfs(molecule)
    if not len(made):
        raise InputError(f"ligand {smiles!r}: RDKit finds no three-dimensional structure")
    shapes = [np.array(conformer.GetPositions()) for conformer in molecule.GetConformers()]
    if kind is Kind.CHELATE:
        bite = [float(np.linalg.norm(shape[donors[0]] - shape[donors[1]])) for shape in shapes]
        shapes = [shape for shape, d in zip(shapes, bite, strict=True) if d < min(bite) + 0.3]
    heavy = [a.GetIdx() for a in molecule.GetAtoms() if a.GetAtomicNum() > 1]

    def reach(shape: np.ndarray) -> float:
        return float(np.linalg.norm(shape[heavy] - shape[donors].mean(axis=0), axis=1).mean())

    chosen: list[np.ndarray] = []
    for shape in sorted(shapes, key=reach, reverse=True):
        if all(abs(reach(shape) - reach(other)) > 0.05 for other in chosen):
            chosen.append(shape)
    return chosen[:N_CONFORMERS]


def _framed(positions: np.ndarray, kind: Kind, neighbours: list[int]) -> np.ndarray:
    """Return coordinates in the frame of the module's docstring; donors (and the carboxyl C) come first."""
    if kind is Kind.CARBOXYLATE:
        origin, wide = positions[2], positions[0] - positions[1]
        out = origin - positions[:2].mean(axis=0)
    elif kind is Kind.CHELATE:
        origin, wide = positions[:2].mean(axis=0), positions[0] - positions[1]
        out = positions.mean(axis=0) - origin
    else:
        origin, wide = positions[0], np.array([1.0, 0.3, 0.1])
        out = positions[neighbours].mean(axis=0) - origin if neighbours else np.array([0.0, 0.0, 1.0])
    x = wide / np.linalg.norm(wide)
    if kind is Kind.CHELATE:
        z = _unit(out - (out @ x) * x)
    else:
        z = _unit(out)
        x = _unit(wide - (wide @ z) * z)
    return (positions - origin) @ np.array([x, np.cross(z, x), z]).T


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _hill(symbols: tuple[str, ...]) -> str:
    order = sorted(set(symbols), key=lambda s: (s != "C", s != "H", s))
    return "".join(f"{s}{symbols.count(s) if symbols.count(s) > 1 else ''}" for s in order)


def _carboxylate(name: str, formula: str, symbols: tuple[str, ...], tail: np.ndarray) -> LigandTemplate:
    half = np.radians(OCO_ANGLE / 2)
    x, z = CO_BOND * np.sin(half), -CO_BOND * np.cos(half)
    head = np.array([[x, 0.0, z], [-x, 0.0, z], [0.0, 0.0, 0.0]])
    bonds = ((0, 2), (1, 2), (2, 3), *((3, i) for i in range(4, 3 + len(symbols))))
    return LigandTemplate(
        name,
        formula,
        ("O", "O", "C", *symbols),
        np.vstack([head, tail]),
        charge=-1,
        n_donors=2,
        bonds=bonds,
    )


def _methyl() -> np.ndarray:
    theta = np.radians(180 - 109.47)
    ring = [
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
        for phi in np.radians([90, 210, 330])
    ]
    carbon = np.array([0.0, 0.0, CC_BOND])
    return np.vstack([carbon, carbon + CH_BOND * np.array(ring)])


_RIGID: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
    "formate": (("H",), np.array([[0.0, 0.0, CH_BOND]])),
    "acetate": (("C", "H", "H", "H"), _methyl()),
}
"""Ligands with one shape only: symbols and coordinates / Å behind the carboxyl group."""
