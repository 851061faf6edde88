"""From a crystal to one cluster: hydrogens, alternatives, special positions, counter-ions, charge."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mscflow.cluster import Cluster
from mscflow.errors import InputError, RepairWarning
from mscflow.files import read
from mscflow.reading.crystal import parse_cif
from mscflow.topology import topology

CELL = 22.0
HEAD = """data_test
_cell_length_a 22
_cell_length_b 22
_cell_length_c 22
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_disorder_assembly
_atom_site_disorder_group
"""
MIDDLE = np.array([11.0, 11.0, 11.0])
LINEAR = (["Cd", "Cl", "Cl"], np.array([[0, 0, 0], [2.4, 0, 0], [-2.4, 0, 0]]))


def rows(symbols, positions, occupancy=1.0, assembly=".", group=".", tag="") -> str:
    return "".join(
        f"{s}{tag}{n} {s} {x:.6f} {y:.6f} {z:.6f} {occupancy} {assembly} {group}\n"
        for n, (s, (x, y, z)) in enumerate(zip(symbols, np.asarray(positions) / CELL, strict=True))
    )


def embedded(smiles):
    """Elements and coordinates / Å of a molecule."""
    from rdkit import Chem
    from rdkit.Chem.rdDistGeom import EmbedMolecule
    from rdkit.Chem.rdForceFieldHelpers import MMFFOptimizeMolecule

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    EmbedMolecule(molecule, randomSeed=3)
    MMFFOptimizeMolecule(molecule)
    return [a.GetSymbol() for a in molecule.GetAtoms()], molecule.GetConformer().GetPositions()


def bound(smiles, donor, direction, turn=0.0):
    """A molecule without its hydrogens, its first `donor` 2.35 Å from the origin along ±z."""
    symbols, positions = embedded(smiles)
    heavy = [i for i, s in enumerate(symbols) if s != "H"]
    first = next(i for i in heavy if symbols[i] == donor)
    z = positions[heavy].mean(axis=0) - positions[first]
    z /= np.linalg.norm(z)
    x = np.cross(z, np.eye(3)[np.argmin(np.abs(z))])
    x /= np.linalg.norm(x)
    x = np.cos(turn) * x + np.sin(turn) * np.cross(z, x)
    local = (positions[heavy] - positions[first]) @ np.array([x, np.cross(z, x), z]).T
    return [symbols[i] for i in heavy], (local + np.array([0, 0, 2.35])) * np.array([1, direction, direction])


def from_cif(tmp_path, text) -> tuple[Cluster, str]:
    path = tmp_path / "test.cif"
    path.write_text(text)
    with pytest.warns(RepairWarning) as caught:
        cluster = read(path)
    return cluster, str(caught[0].message)


@pytest.mark.parametrize(
    ("smiles", "donor", "hydrogens"),
    [
        ("c1ccncc1", "N", 5),
        ("CC#N", "N", 3),
        ("CN(C)C=O", "O", 7),
        ("CCCCN", "N", 11),
        ("C1CCOC1", "O", 8),
        ("CP(C)(C)=O", "O", 9),
        ("Nc1ccccc1", "N", 7),
        ("C=CCN", "N", 7),
        ("NCCCc1ccncc1", "N", 12),
    ],
)
def test_ligands_of_every_kind_get_the_hydrogens_they_have(tmp_path, smiles, donor, hydrogens):
    text = HEAD.format("P 1") + rows(LINEAR[0], LINEAR[1] + MIDDLE)
    for n, direction in enumerate((1, -1)):
        symbols, positions = bound(smiles, donor, direction)
        text += rows(symbols, positions + MIDDLE, tag="ab"[n])
    cluster, message = from_cif(tmp_path, text)
    assert f"{2 * hydrogens} hydrogens" in message
    assert cluster.composition["H"] == 2 * hydrogens
    assert topology(cluster).charge_balance.difference == 0
    distance = np.linalg.norm(cluster.positions[:, None] - cluster.positions[None], axis=2)
    assert distance[np.triu_indices(len(cluster), 1)].min() > 0.9


@pytest.mark.parametrize("labels", [("1", "2", "3", "4", ".", "."), ("1", "2", "1", "2", "A", "B"),
                                    ("1", "2", "1", "2", ".", ".")])  # fmt: skip
def test_of_two_disordered_tails_each_keeps_its_likelier_half_whole(tmp_path, labels):
    """The upper tail is 60 % turned by 0°, the lower 70 % turned by 70°: whatever the parts are called."""
    text = HEAD.format("P 1") + rows(LINEAR[0], LINEAR[1] + MIDDLE)
    expected = []
    for direction, occupancies in ((1, (0.6, 0.4)), (-1, (0.3, 0.7))):
        for k, turn in enumerate((0.0, 1.2)):
            symbols, positions = bound("CCN", "N", direction, turn)
            nitrogen = symbols.index("N")
            tail = [i for i in range(len(symbols)) if i != nitrogen]
            if not k:
                text += rows(["N"], positions[[nitrogen]] + MIDDLE, tag=f"n{direction}")
            group, assembly = labels[k + (direction < 0) * 2], labels[4 + (direction < 0)]
            kept, tag = [symbols[i] for i in tail], f"t{direction}{k}"
            text += rows(kept, positions[tail] + MIDDLE, occupancies[k], assembly, group, tag)
            if occupancies[k] > 0.5:
                expected += list(positions[tail])
    cluster, message = from_cif(tmp_path, text)
    assert "disorder: 4 site(s)" in message
    carbons = np.array([p for s, p in zip(cluster.symbols, cluster.positions, strict=True) if s == "C"])
    origin = cluster.positions[cluster.symbols.index("Cd")]
    found = sorted(np.round(carbons - origin, 3).tolist())
    assert np.allclose(found, sorted(np.round(expected, 3).tolist()), atol=2e-3)


def test_half_a_molecule_on_an_inversion_centre_is_completed(tmp_path):
    symbols, positions = bound("CCN", "N", 1)
    text = (
        HEAD.format("P -1") + rows(["Cd", "Cl"], [[0, 0, 0], [2.5, 0, 0]]) + rows(symbols, positions, tag="a")
    )
    cluster, message = from_cif(tmp_path, text)
    assert "2 symmetry operations" in message
    assert cluster.composition == {"Cd": 1, "C": 4, "Cl": 2, "H": 14, "N": 2}


def test_a_part_on_an_inversion_centre_excludes_its_own_copy(tmp_path):
    """The two carbons that are disordered about the centre are 0.8 Å apart: one copy of each stays."""
    half = [[0.4, 0.0, 0.0], [0.4, 1.5, 0.0]]
    text = (
        HEAD.format("P -1")
        + rows(LINEAR[0], LINEAR[1] + 5.5)
        + rows(["C", "C"], half, 0.5, ".", "-1", tag="s")
    )
    _, message = from_cif(tmp_path, text)
    assert "1 C2" in message


def test_counter_ions_and_water_are_left_out_and_the_charge_follows(tmp_path):
    arms = 2.45 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    symbols, positions = embedded("C[N+](C)(C)C")
    text = HEAD.format("P 1") + rows(["Cd", *["Cl"] * 4], np.vstack([[[0, 0, 0]], arms]) + MIDDLE)
    text += rows(symbols, positions + 3, tag="q") + rows(symbols, positions + np.array([3, 18, 18]), tag="r")
    text += rows(["O"], [[18.0, 3.0, 3.0]], tag="w")
    cluster, message = from_cif(tmp_path, text)
    assert cluster.composition == {"Cd": 1, "Cl": 4}
    assert cluster.charge == -2
    for part in ("2 C4H12N", "1 O", "charge -2 is the sum of the oxidation states"):
        assert part in message


def test_an_oxygen_between_cations_is_pointed_out(tmp_path):
    positions = np.array([[0, 0, 0], [4, 0, 0], [2, 0.8, 0], [-2.3, 0, 0], [6.3, 0, 0]]) + MIDDLE
    _, message = from_cif(tmp_path, HEAD.format("P 1") + rows(["Cd", "Cd", "O", "Cl", "Cl"], positions))
    assert "taken for oxide" in message


def test_deuterium_is_hydrogen(tmp_path):
    text = HEAD.format("P -1") + rows(
        ["O", "D", "D"], np.array([[0, 0, 0.1], [0, 0.76, -0.47], [0, -0.76, -0.47]]) + 3
    )
    cluster, _ = from_cif(tmp_path, text)
    assert cluster.composition == {"H": 2, "O": 1}


def test_the_operations_of_the_file_win_over_the_name(tmp_path):
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'1/2-x,-y,-z'\n"
    text = HEAD.format("P -1").replace("loop_\n", listed + "loop_\n", 1)
    cluster, message = from_cif(
        tmp_path, text + rows(["Cd", "Cl"], [[CELL / 4, 0, 0], [CELL / 4 + 2.4, 0, 0]])
    )
    assert cluster.composition == {"Cd": 1, "Cl": 2}
    assert "2 symmetry operations" in message


def test_a_space_group_by_number_and_an_unknown_one(tmp_path):
    atoms = rows(["Cd", "Cl"], [[0, 0, 0], [2.4, 0, 0]])
    name = "_symmetry_space_group_name_H-M '{}'\n"
    numbered = HEAD.replace(name, "_space_group_IT_number 2\n")
    assert from_cif(tmp_path, numbered + atoms)[0].composition == {"Cd": 1, "Cl": 2}
    path = tmp_path / "unknown.cif"
    path.write_text(HEAD.format("P 99x") + atoms)
    with pytest.raises(InputError, match="space group 'P 99x' is not known"):
        read(path)


def test_partly_occupied_sites_are_named_and_empty_ones_left_out(tmp_path):
    arms = 2.4 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]) + MIDDLE
    text = HEAD.format("P 1") + rows(["Cd"], [MIDDLE])
    for tag, arm, occupancy in zip("abcd", arms, (1.0, 0.3, 0.5, 0.0), strict=True):
        text += rows(["Cl"], [arm], occupancy, tag=tag)
    cluster, message = from_cif(tmp_path, text)
    assert cluster.composition == {"Cd": 1, "Cl": 3}
    assert "partly occupied sites were taken as whole atoms: Clb0 (0.30), Clc0 (0.50)" in message


def test_of_several_structures_the_first_is_read_and_said(tmp_path):
    one = HEAD.format("P 1") + rows(["Cd", "Cl", "Cl"], LINEAR[1] + MIDDLE)
    other = one.replace("data_test", "data_other").replace("Cd", "Zn")
    cluster, message = from_cif(tmp_path, one + other)
    assert cluster.composition == {"Cd": 1, "Cl": 2}
    assert "only the first structure (test) was read, not other" in message


def test_a_cell_of_three_thousand_atoms_takes_seconds():
    sites = np.stack(np.meshgrid(*[np.arange(15)] * 3), axis=-1).reshape(-1, 3)[:3000] * CELL / 15
    begin = time.process_time()
    crystal = parse_cif(HEAD.format("P 1") + rows(["He"] * len(sites), sites))
    assert time.process_time() - begin < 15  # one atom after the other, each with each: a minute
    assert len(crystal.symbols) == len(sites)
