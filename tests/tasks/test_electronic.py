"""Charges, spins, bond orders and orbital shares of ground states."""

import numpy as np
import pytest
from ase.build import molecule
from ase.units import Hartree

from mscflow.builder import precursor
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.levels import PySCF
from mscflow.levels.dft.hirshfeld import hirshfeld_charges
from mscflow.levels.dft.populations import Populations
from mscflow.levels.dft.scf import ground_state
from mscflow.tasks.electronic import electronic_structure, spin_warnings
from mscflow.tasks.refine import refine

LEVEL = PySCF(grid=0)
WATER = Cluster.from_ase(molecule("H2O"))


def test_charges_are_those_of_pyscf_and_sum_up():
    mf = ground_state(WATER.replace(charge=-1, multiplicity=2), LEVEL).mf
    mine = Populations(mf)
    np.testing.assert_allclose(mine.charges, mf.mulliken_pop(verbose=0)[1], atol=1e-10)
    assert mine.charges.sum() == pytest.approx(-1)
    assert mine.spins.sum() == pytest.approx(1)


def test_hirshfeld_charges_of_water_are_known_and_depend_little_on_the_basis():
    """About -0.3 e for O is what other programs find."""
    small, large = (
        hirshfeld_charges(ground_state(WATER, PySCF(grid=1, basis=basis)).mf)
        for basis in ("def2-svp", "def2-tzvp")
    )
    assert small[0] == pytest.approx(-0.3, abs=0.05)
    np.testing.assert_allclose(small, large, atol=0.02)
    assert small.sum() == pytest.approx(0, abs=1e-12)
    assert small[1] == pytest.approx(small[2], abs=1e-6)


def test_hirshfeld_charges_of_equal_atoms_are_equal_whatever_the_total():
    for charge, multiplicity in ((0, 1), (1, 2)):
        nitrogen = Cluster.from_ase(molecule("N2")).replace(charge=charge, multiplicity=multiplicity)
        found = hirshfeld_charges(ground_state(nitrogen, LEVEL).mf)
        np.testing.assert_allclose(found, charge / 2, atol=1e-5)


def test_valences_of_molecules_are_their_bond_orders():
    for name, pair, order in (("N2", (0, 1), 3.0), ("C2H4", (0, 1), 2.0), ("H2O", (0, 1), 1.0)):
        orders = Populations(ground_state(Cluster.from_ase(molecule(name)), LEVEL).mf).bond_orders
        assert orders[pair] == pytest.approx(order, abs=0.3)
        np.testing.assert_allclose(orders, orders.T)


def test_one_electron_is_half_a_bond():
    ion = Cluster(("H", "H"), np.array([[0, 0, 0], [0, 0, 1.06]]), charge=1, multiplicity=2)
    assert Populations(ground_state(ion, LEVEL).mf).bond_orders[0, 1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("cluster", "atoms"),
    [
        (fragment("Cd2Se", "chloride"), {"core": ["Se"], "surface": ["Cd"], "ligand": ["Cl"]}),
        (precursor("Mn2+", "chloride"), {"core": [], "surface": ["Mn"], "ligand": ["Cl"]}),
    ],
    ids=["closed shell", "sextet"],
)
def test_shares_of_orbitals_are_those_of_the_atoms_of_a_part(cluster, atoms):
    mf = ground_state(cluster, LEVEL).mf
    orbitals = electronic_structure(cluster, LEVEL, mf).orbitals
    of_atom = mf.mol.aoslice_by_atom()[:, 2:]
    found = []
    for energies, coefficients in zip(
        np.atleast_2d(mf.mo_energy), np.reshape(mf.mo_coeff, (-1, mf.mol.nao, mf.mol.nao)), strict=True
    ):
        populations = coefficients * (mf.get_ovlp() @ coefficients)
        for energy, population in zip(energies * Hartree, populations.T, strict=True):
            shares = dict.fromkeys(atoms, 0.0)
            for symbol, (first, last) in zip(cluster.symbols, of_atom, strict=True):
                (part,) = (name for name, symbols in atoms.items() if symbol in symbols)
                shares[part] += population[first:last].sum()
            found.append((energy, *shares.values()))
    kept = [
        row for row in sorted(found) if orbitals.energies[0] - 1e-5 < row[0] < orbitals.energies[-1] + 1e-5
    ]
    given = [orbitals.energies, *(getattr(orbitals, part) for part in atoms)]
    np.testing.assert_allclose(np.transpose(given), kept, atol=2e-6)


def test_refinement_of_a_sextet():
    result = refine(precursor("Mn2+", "chloride"), LEVEL)
    electronic = result.electronic
    manganese = result.cluster.symbols.index("Mn")
    assert electronic.spin_square == pytest.approx(8.75, abs=0.05)
    assert electronic.spins[manganese] > 4.5
    assert electronic.charges[manganese] > 0.2
    assert electronic.hirshfeld[manganese] > 0.2
    assert {(bond.i, bond.j) for bond in electronic.bond_orders} >= {(0, 1), (0, 2)}
    orbitals = electronic.orbitals
    shares = np.array([orbitals.core, orbitals.surface, orbitals.ligand])
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-3)
    assert orbitals.energies == sorted(orbitals.energies)
    highest = max(e for e, n in zip(orbitals.energies, orbitals.occupations, strict=True) if n)
    assert highest == pytest.approx(result.homo, abs=1e-3)
    assert not any("contamination" in warning for warning in result.warnings)


def test_a_contaminated_spin_state_is_named():
    triplet = molecule("O2")
    result = refine(Cluster.from_ase(triplet).replace(multiplicity=3), LEVEL)
    assert not any("spin contamination" in warning for warning in result.warnings)
    mixed = result.electronic.model_copy(update={"spin_square": 2.3})
    (warning,) = spin_warnings(result.cluster, mixed)
    assert warning.startswith("spin contamination: ⟨S²⟩ = 2.30, 2.00 for a pure multiplicity 3")


def test_a_periodic_box_gives_the_same_picture():
    boxed = refine(WATER, PySCF(basis="gth-szv-molopt-sr", ke_cutoff=80.0, box_margin=4.0))
    assert sum(boxed.electronic.charges) == pytest.approx(0, abs=1e-3)
    assert boxed.electronic.hirshfeld is None
    oxygen = WATER.symbols.index("O")
    assert boxed.electronic.charges[oxygen] < 0
