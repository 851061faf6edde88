"""Roles, ligands and charges are derived from the atoms alone."""

import networkx as nx
import numpy as np
import pytest
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem.rdDistGeom import EmbedMolecule
from scipy.spatial.transform import Rotation

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.tasks.analyse import analyse
from mscflow.topology import Role, require_charge_balance, topology


@pytest.mark.parametrize("ligand", ["formate", "acetate"])
@pytest.mark.parametrize("name", ["In4P", "InL3", "CdL2", "AgL"])
def test_carboxylates_are_whole_and_have_charge_minus_one(name, ligand):
    graph = topology(build(name, ligand))
    assert graph.charge_balance.difference == 0
    assert all(lig.charge == -1 and len(lig.donors) == 2 for lig in graph.ligands)
    assert graph.fragments == graph.ligands


def test_in4p_has_six_bridging_and_three_chelating_formates():
    graph = topology(build("In4P"))
    assert [len(lig.metals) for lig in graph.ligands] == [2] * 6 + [1] * 3
    assert graph.roles.count(Role.SURFACE_CATION) == 4
    assert graph.roles.count(Role.CORE_ANION) == 1
    assert graph.roles.count(Role.LIGAND) == 36


def test_topology_does_not_depend_on_orientation_or_order():
    cluster = build("In4P")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(cluster))
    turned = cluster.positions @ Rotation.random(random_state=1).as_matrix().T + [3.0, -1.0, 2.0]
    moved = topology(cluster.replace(positions=turned).select(order))
    graph = topology(cluster)
    inverse = {int(old): new for new, old in enumerate(order)}
    assert nx.utils.graphs_equal(nx.relabel_nodes(graph.graph, inverse), moved.graph)
    assert [graph.roles[i] for i in order] == list(moved.roles)


@pytest.mark.parametrize(("name", "charge"), [("HCOOH", 0), ("NH3", 0), ("PH3", 0), ("CH3SH", 0), ("H2O", 0)])
def test_free_molecules_are_neutral(name, charge):
    graph = topology(Cluster.from_ase(molecule(name)))
    assert graph.charge_balance.expected == charge
    assert set(graph.roles) == {Role.FREE}


def test_a_missing_ligand_shows_in_the_charge_balance():
    cluster = build("In4P")
    lost = topology(cluster).ligands[0]
    rest = [i for i in range(len(cluster)) if i not in lost.atoms]
    cation = cluster.select(rest, charge=1)
    assert topology(cation).charge_balance.difference == 0
    with pytest.raises(InputError, match=r"difference -2"):
        require_charge_balance(cluster.select(rest, charge=-1))


def test_halides_and_amines_have_their_charges():
    symbols = ("Cd", "Cl", "Cl", "N", "H", "H", "H")
    ammonia = np.array([[0, 0, 2.3], [0.94, 0, 2.65], [-0.47, 0.81, 2.65], [-0.47, -0.81, 2.65]])
    cluster = Cluster(symbols, np.vstack([[[0, 0, 0], [2.2, 0, -0.8], [-2.2, 0, -0.8]], ammonia]))
    assert [(lig.formula, lig.charge) for lig in topology(cluster).ligands] == [
        ("Cl", -1),
        ("Cl", -1),
        ("H3N", 0),
    ]


@pytest.mark.parametrize(
    ("symbols", "along"),
    [("NCS", (2.2, 3.36, 4.99)), ("SCN", (2.5, 4.13, 5.29)), ("NNN", (2.2, 3.4, 4.54)), ("NC", (2.2, 3.36))],
)
def test_bound_pseudohalides_have_charge_minus_one(symbols, along):
    positions = np.array([[0, 0, 0], [-2.4, 0, 0], *([x, 0, 0] for x in along)])
    cluster = Cluster(("Cd", "Cl", *symbols), positions)
    assert [ligand.charge for ligand in topology(cluster).ligands] == [-1, -1]


def test_a_metal_without_an_oxidation_state_is_named():
    cluster = Cluster(
        ("Pb", "S", "Cd", "Cl"), np.array([[0, 0, 0], [2.6, 0, 0], [5.1, 0, 0], [7.5, 0, 0]]), 1
    )
    assert topology(cluster).unknown_metals == ("Pb",)
    assert any("no oxidation state is known for Pb" in warning for warning in analyse(cluster).warnings)


@pytest.mark.parametrize(
    "smiles",
    [
        *("CC(=O)[O-]", "CC(=O)O", "OC([O-])=O", "[O-]C([O-])=O", "CC(=O)OC", "CC(=O)C", "CN(C)C=O"),
        *("C[N+](=O)[O-]", "[N+](=O)([O-])[O-]", "c1ccncc1", "CC#N", "C[N+](C)(C)C"),
        *("CP(C)(C)=O", "CP(C)(=O)[O-]", "CP(C)(C)=S", "C[P+](C)(C)C", "F[P-](F)(F)(F)(F)F"),
        *("CS(C)=O", "CS(=O)(=O)[O-]", "OS(=O)(=O)[O-]", "CN(C)C(=S)[S-]", "[O-]Cl(=O)(=O)=O"),
        *("[O-]c1ccccc1", "CC([O-])=CC(C)=O", "CC(O)=CC(C)=O", "CC(=O)CC(C)=O", "CC(=O)c1ccccc1"),
        *("O=C1C=CC(=O)C=C1", "[O-]c1cccc2cccnc12", "[O-]C(=O)c1ccccc1O", "O=c1cccccc1[O-]"),
        *("[O-]c1ccc([N+](=O)[O-])cc1", "[O-]c1ccccc1[O-]", "O=c1cc[nH]cc1", "CC=O", "C=CC(C)=O"),
        *("NC(=O)c1ccccc1", "F[B-](F)(F)F", "C1CCOC1", "[S-]C#N", "[N-]=[N+]=[N-]", "[C-]#N"),
    ],
)
def test_free_molecules_and_ions_have_their_charge(smiles):
    symbols, positions, charge = embedded(smiles)
    cluster = Cluster(symbols, positions, charge=charge)
    assert topology(cluster).charge_balance.expected == charge


@pytest.mark.parametrize("smiles", ["c1cccc(c1)[O-]", "CC([O-])=CC(C)=O", "CC=O", "CC([O-])=O"])
def test_a_ligand_on_a_cation_has_the_charge_of_the_free_one(smiles):
    symbols, positions, charge = embedded(smiles)
    oxygen = positions[symbols.index("O")]
    outwards = oxygen - positions[symbols.index("O") - 1]
    cadmium = oxygen + 2.2 * outwards / np.linalg.norm(outwards)
    (ligand,) = topology(Cluster(("Cd", *symbols), np.vstack([cadmium, positions]), 2 + charge)).ligands
    assert ligand.charge == charge


def embedded(smiles: str) -> tuple[list[str], np.ndarray, int]:
    """Elements, coordinates and charge of a molecule."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    EmbedMolecule(molecule, randomSeed=1)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return symbols, molecule.GetConformer().GetPositions(), Chem.GetFormalCharge(molecule)
