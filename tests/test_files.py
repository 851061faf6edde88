"""Structure files as people have them: mended where that is unambiguous, else refused in one line."""

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from pymatgen.core import Structure

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError, RepairWarning
from mscflow.files import read, write
from mscflow.topology import Role, topology


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("nonsense\n", "line 1: 'nonsense' is neither"),
        ("1\n\nQq 0 0 0\n", "unknown element 'Qq'"),
        ("1\n\nHe nan 0 0\n", "not finite"),
        ("2\n\nHe 0 0 0\nHe 0 0 0.1\n", "coincide"),
        ("1\n\nH 0 0 0\n", "multiplicity must be"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.xyz"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.xyz")
    (tmp_path / "a.xzy").write_text("x")
    with pytest.raises(InputError, match="did you mean '.xyz'"):
        read(tmp_path / "a.xzy")


def test_charge_and_multiplicity_override_the_file(tmp_path):
    path = tmp_path / "h.xyz"
    path.write_text("1\n\nH 0 0 0\n")
    assert read(path, charge=1).charge == 1
    assert read(path, multiplicity=2).multiplicity == 2


def test_unwritable_place_is_one_line(tmp_path):
    cluster = read_he(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        write(cluster, tmp_path / "no-such-directory" / "he.xyz")


def read_he(tmp_path):
    path = tmp_path / "he.xyz"
    path.write_text("1\n\nHe 0 0 0\n")
    return read(path)


GOOD = "3\nwater\nO 0.0 0.0 0.1\nH 0.0 0.76 -0.47\nH 0.0 -0.76 -0.47\n"


@pytest.mark.parametrize(
    ("content", "repair"),
    [
        (GOOD.replace("3\n", "5\n", 1), "header says 5 atoms, there are 3"),
        (GOOD.replace("3\n", "2\n", 1), "header says 2 atoms, there are 3"),
        (GOOD.replace("water\n", ""), "comment line was missing"),
        (GOOD.replace("3\nwater\n", ""), "number of atoms and comment line were missing"),
        (GOOD + "\n\n" + GOOD, "only the first frame"),
        (GOOD + GOOD, "only the first frame"),
        (GOOD.replace("0.76", "7.6D-01"), "Fortran exponents"),
        (GOOD.replace("O 0", "O1 0"), "labels"),
        (GOOD.replace("3\n", "4\n", 1) + "H 0.0 -0.76 -0.47\n", "given twice"),
    ],
)
def test_what_is_unambiguous_is_mended_and_said(tmp_path, content, repair):
    path = tmp_path / "dirty.xyz"
    path.write_text(content)
    with pytest.warns(RepairWarning, match=repair) as caught:
        cluster = read(path)
    assert cluster.composition == {"H": 2, "O": 1}
    assert np.isclose(np.linalg.norm(cluster.positions[0] - cluster.positions[1]), 0.9497, atol=1e-3)
    assert any(repair in line for line in cluster.provenance["repairs"])
    assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD + "\n\n  \n",
        "\ufeff" + GOOD,
        GOOD.replace("O 0", "8 0"),
        GOOD.replace("O ", "o "),
        GOOD.replace("0.1\n", "0.1 -1.5 extra columns\n"),
        GOOD.replace(" ", "\t"),
    ],
)
def test_harmless_variants_need_no_repair(tmp_path, content):
    path = tmp_path / "variant.xyz"
    path.write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(path).composition == {"H": 2, "O": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.replace("0.76", "O.76", 1), "line 4: coordinate 'O.76' is no number"),
        (GOOD.replace("H 0.0 0.76 -0.47", "H 0.0 0.76"), "line 4: 'H 0.0 0.76' is no atom"),
        (GOOD.replace("0.76", "inf", 1), "line 4: coordinates are not finite"),
        (GOOD.replace("0.0 -0.76 -0.47", "0.0 0.76 -0.37"), "lines 4 and 5: atoms 1"),
        ("4\n\nIn 0.1 0.2 0.3\nP 0.12 0.21 0.31\nIn 0.5 0.5 0.5\nP 0.9 0.9 0.9\n", "look fractional"),
        ("3\nwater\n", "no atom follows"),
    ],
)
def test_the_rest_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "bad.xyz"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_fractional_coordinates_with_a_lattice_are_converted(tmp_path):
    path = tmp_path / "fractional.xyz"
    lattice = 'Lattice="10 0 0 0 10 0 0 0 10"'
    path.write_text(f"4\n{lattice}\nIn 0.1 0.2 0.3\nP 0.12 0.21 0.55\nIn 0.14 0.21 0.35\nP 0.3 0.4 0.5\n")
    with pytest.warns(RepairWarning, match="fractional"):
        cluster = read(path, charge=0)
    assert np.allclose(cluster.positions[0], [1, 2, 3])


CIF = """data_test
_cell_length_a 12.0
_cell_length_b 12.0
_cell_length_c 12.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P -1'
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-x, -y, -z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_disorder_group
"""


def cif_rows(cluster: Cluster, shift, occupancy=1.0, group=".") -> str:
    fractions = cluster.positions / 12.0 + shift
    return "".join(
        f"{s}{n} {s} {x:.6f} {y:.6f} {z:.6f} {occupancy} {group}\n"
        for n, (s, (x, y, z)) in enumerate(zip(cluster.symbols, fractions, strict=True))
    )


def test_a_crystal_gives_one_whole_cluster(tmp_path):
    """The molecule lies across the cell's corner, has an inversion copy, solvent, and alternatives."""
    cadmium = build("CdL2", "acetate")
    benzene = Cluster.from_ase(molecule("C6H6"))
    heavy = [i for i, s in enumerate(cadmium.symbols) if s != "H"]
    ghost = cadmium.select([1], symbols=["O"], multiplicity=1)
    ghost = ghost.replace(positions=ghost.positions + np.array([0.4, 0.0, 0.0]))
    (tmp_path / "c.cif").write_text(
        CIF
        + cif_rows(cadmium.select(heavy), np.array([0.25, 0.98, 0.30]))
        + cif_rows(ghost, np.array([0.25, 0.98, 0.30]), 0.2, "2")
        + cif_rows(cadmium.select([1]), np.array([0.25, 0.98, 0.30]), 0.8, "1")
        + cif_rows(benzene, np.array([0.75, 0.5, 0.75]))
    )
    with pytest.warns(RepairWarning) as caught:
        cluster = read(tmp_path / "c.cif")
    text = str(caught[0].message)
    for part in ("symmetry operations", "disorder", "2 equal clusters", "C6H6", "6 hydrogens"):
        assert part in text
    assert cluster.composition == cadmium.composition
    graph = topology(cluster)
    assert graph.charge_balance.difference == 0
    assert len(graph.ligands) == 2
    hydrogens = [i for i, s in enumerate(cluster.symbols) if s == "H"]
    assert all(graph.graph.degree(i) == 1 for i in hydrogens)


def test_a_solid_is_no_cluster(tmp_path):
    zincblende = CIF.replace("12.0", "5.869").replace("'-x, -y, -z'\n", "").replace("P -1", "P 1")
    rows = "".join(
        f"{s}{n} {s} {x} {y} {z} 1 .\n"
        for n, (s, x, y, z) in enumerate(
            (symbol, *(0.25 * (symbol == "P") + 0.5 * x for x in corner))
            for symbol in ("In", "P")
            for corner in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))
        )
    )
    (tmp_path / "solid.cif").write_text(zincblende + rows)
    with pytest.raises(InputError, match="isolated cluster"):
        read(tmp_path / "solid.cif")


def test_a_poscar_across_the_border_is_made_whole(tmp_path):
    cluster = build("ZnL2")
    atoms = cluster.to_ase()
    atoms.set_cell([15, 15, 15])
    atoms.pbc = True
    atoms.wrap()
    atoms.write(tmp_path / "POSCAR.vasp", format="vasp", sort=True)
    read_back = read(tmp_path / "POSCAR.vasp")
    assert len(topology(read_back).ligands) == 2


@pytest.mark.parametrize("suffix", [".pdb", ".sdf", ".mol"])
def test_other_formats(tmp_path, suffix):
    water = read_text(tmp_path, GOOD)
    path = tmp_path / f"water{suffix}"
    if suffix == ".pdb":
        write(water, path)
    else:
        rows = "".join(
            f"{x:10.4f}{y:10.4f}{z:10.4f} {s:<3} 0  0\n"
            for s, (x, y, z) in zip(water.symbols, water.positions, strict=True)
        )
        path.write_text(f"water\n\n\n  3  0  0  0  0  0            999 V2000\n{rows}M  END\n")
    assert read(path).composition == water.composition


OXALATE = """oxalate


  6  5  0  0  0  0            999 V2000
    0.7800    0.0000    0.0000 C   0  0
   -0.7800    0.0000    0.0000 C   0  0
    1.3500    1.1200    0.0000 O   0  {0}
    1.3500   -1.1200    0.0000 O   0  0
   -1.3500    1.1200    0.0000 O   0  {0}
   -1.3500   -1.1200    0.0000 O   0  0
  1  2  1  0
{1}M  END
"""


@pytest.mark.parametrize("suffix", [".sdf", ".mol"])
@pytest.mark.parametrize(
    ("code", "properties", "charge"),
    [
        (0, "M  CHG  2   3  -1   5  -1\n", -2),
        (0, "M  CHG  1   3  -1\nM  CHG  1   5  -1\n", -2),
        (5, "", -2),
        (5, "M  CHG  2   3   1   5   1\n", 2),
        (0, "", 0),
    ],
)
def test_the_charges_of_a_molfile_are_read(tmp_path, suffix, code, properties, charge):
    path = tmp_path / f"oxalate{suffix}"
    path.write_text(OXALATE.format(code, properties) + "$$$$\n" + OXALATE.format(7, ""))
    assert read(path).charge == charge
    assert read(path, charge=-4).charge == -4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("V2000", "V3000", "V3000 are not read"), ("-1\n", "-x\n", "'M  CHG' is no integer")],
)
def test_a_molfile_whose_charges_cannot_be_read_is_refused(tmp_path, old, new, message):
    path = tmp_path / "oxalate.mol"
    path.write_text(OXALATE.format(0, "M  CHG  1   3  -1\n").replace(old, new))
    with pytest.raises(InputError, match=message):
        read(path)


def test_the_charge_of_a_pymatgen_structure_is_kept():
    cluster = build("ZnL2")
    shifted = cluster.positions - cluster.positions.min(axis=0) + 3.0
    cell = np.diag(shifted.max(axis=0) + 3.0)
    dication = Structure(cell, cluster.symbols, shifted, charge=2, coords_are_cartesian=True)
    assert read(dication).charge == 2
    assert read(dication, charge=-2).charge == -2
    two = Structure(
        2 * cell,
        2 * cluster.symbols,
        np.vstack([shifted, shifted + cell.diagonal()]),
        charge=2,
        coords_are_cartesian=True,
    )
    with pytest.raises(InputError, match=r"the charge \+2 is that of several molecules"):
        read(two)
    assert read(two, charge=2).composition == cluster.composition
    dication[0] = {"Zn": 0.5, "Cd": 0.5}
    with pytest.raises(InputError, match="disordered"):
        read(dication)


def test_a_known_suffix_wins_over_names_of_vasp(tmp_path):
    cluster = build("ZnL2")
    path = write(cluster, tmp_path / "POSCAR_start.xyz")
    assert path.read_text().startswith(f"{len(cluster)}\n")
    assert read(path).composition == cluster.composition


def read_text(tmp_path: Path, content: str) -> Cluster:
    path = tmp_path / "text.xyz"
    path.write_text(content)
    return read(path)


CHARS = "0123456789.-+eED \n\t\r=\"'{}[]:,;#@_AbCInPSeZz\x00\u00e9"


def corpus() -> dict[str, str]:
    """Small valid files of every format, from which broken ones are made."""
    cadmium = build("CdL2")
    lines = "\n".join(
        f"{s} {x:.6f} {y:.6f} {z:.6f}"
        for s, (x, y, z) in zip(cadmium.symbols, cadmium.positions, strict=True)
    )
    import json

    return {
        ".xyz": f"{len(cadmium)}\nCd formate charge=0\n{lines}\n",
        ".extxyz": f'{len(cadmium)}\nProperties=species:S:1:pos:R:3 charge=0 name=x pbc="F F F"\n{lines}\n',
        ".cif": CIF + cif_rows(cadmium, np.array([0.3, 0.3, 0.3])),
        ".json": json.dumps(cadmium.as_dict()),
        ".vasp": "CdCl\n1.0\n10 0 0\n0 10 0\n0 0 10\nCd Cl\n1 2\nCartesian\n5 5 5\n7.4 5 5\n2.6 5 5\n",
        ".pdb": "ATOM      1  O   HOH     1       0.000   0.000   0.100  1.00  0.00           O\nEND\n",
        ".mol": "w\n\n\n"
        "  1  0  0  0  0  0            999 V2000\n    0.0000    0.0000    0.1000 O   0  0\nM  END\n",
    }


def mutated(text: str, rng: random.Random) -> bytes:
    """Delete, insert, replace, double and cut, a few times; then spoil what only bytes show."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        to = min(len(text), at + rng.randint(1, 30))
        lines = text.splitlines(keepends=True)
        n = rng.randrange(len(lines)) if lines else 0
        words = lines[n].split() if lines else []
        choice = rng.randrange(12)
        if choice == 0:
            text = text[:at] + text[to:]
        elif choice == 1:
            text = text[:at] + "".join(rng.choices(CHARS, k=rng.randint(1, 8))) + text[at:]
        elif choice == 2:
            text = text[:at] + rng.choice(CHARS) + text[at + 1 :]
        elif choice == 3 and lines:
            text = "".join([*lines[:n], lines[n], *lines[n:]])
        elif choice == 4 and lines:
            text = "".join(lines[:n] + lines[n + 1 :])
        elif choice == 5 and words:  # a word out of range, or no number
            words[rng.randrange(len(words))] = rng.choice(WORDS)
            text = "".join([*lines[:n], " ".join(words) + "\n", *lines[n + 1 :]])
        elif choice == 6 and len(words) > 1:  # columns in another order
            rng.shuffle(words)
            text = "".join([*lines[:n], " ".join(words) + "\n", *lines[n + 1 :]])
        elif choice == 7:
            text = text.replace("\n", "\r\n")
        elif choice == 8:
            text = text.replace("E", "D").replace(".", rng.choice((",", ".")))
        elif choice == 9:
            text = text + text
        elif choice == 10 and lines:
            text = "".join([*lines[:n], "\n", *lines[n:]])
        else:
            text = text[:at]
    content = text.encode("utf-8", "surrogatepass")
    spoil = rng.randrange(20)
    if spoil == 0:
        return rng.randbytes(len(content))
    if spoil == 1:
        return text.encode("utf-16", "surrogatepass")
    return b"\xef\xbb\xbf" + content if spoil == 2 else content


WORDS = (
    "1e400",
    "-1e30",
    "1.0D+01",
    "nan",
    "-inf",
    "0",
    "-1",
    "99999999999",
    "Qq",
    "X",
    "None",
    "1/2",
    "*****",
)


def broken_files(directory: Path, n: int, seed: int):
    """Yield paths of broken files of every format in turn."""
    rng = random.Random(seed)
    originals = list(corpus().items())
    for k in range(n):
        suffix, text = originals[k % len(originals)]
        path = directory / f"broken-{k}{suffix}"
        path.write_bytes(mutated(text, rng))
        yield path


@pytest.mark.parametrize("seed", [7, 8])
def test_three_hundred_broken_files_are_read_or_refused_in_one_line(tmp_path, seed):
    outcomes = {"read": 0, "mended": 0, "refused": 0}
    for path in broken_files(tmp_path, 350, seed):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                cluster = read(path)
            except InputError as err:
                message = str(err)
                outcomes["refused"] += 1
            else:
                message = ""
        if message:
            assert str(path) in message
            assert len(message.splitlines()) == 1
            assert len(message) < 500
            continue
        mended = [w for w in caught if issubclass(w.category, RepairWarning)]
        assert bool(mended) == ("repairs" in cluster.provenance)
        assert np.isfinite(cluster.positions).all()
        topology(cluster)
        outcomes["mended" if mended else "read"] += 1
    assert min(outcomes.values()) > 5, outcomes


def test_the_command_line_refuses_broken_files_in_one_line_with_exit_code_2(tmp_path, capsys, monkeypatch):
    from mscflow.cli import main

    codes = []
    for path in broken_files(tmp_path, 35, seed=9):
        monkeypatch.setattr("sys.argv", ["mscflow", "analyze", str(path)])
        with pytest.raises(SystemExit) as stopped, warnings.catch_warnings():
            main()
        codes.append(stopped.value.code)
        lines = capsys.readouterr().err.strip().splitlines()
        errors = [line for line in lines if not line.startswith("warning: ")]
        if codes[-1] == 2:
            assert len(errors) == 1
            assert errors[0].startswith(f"mscflow: {path}: ")
        else:
            assert errors == []
    assert set(codes) == {0, 2}


REFERENCE = Path(os.environ.get("MSCFLOW_REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def as_cp2k_writes(cluster: Cluster) -> str:
    rows = "".join(
        f" {s:<3}{x:20.10f}{y:20.10f}{z:20.10f}\n"
        for s, (x, y, z) in zip(cluster.symbols, cluster.positions, strict=True)
    )
    return f"      {len(cluster)}\n i =        7, E =      -977.2015570680\n{rows}"


def dots() -> list[tuple[str, str]]:
    """A dot of our own in CP2K's manner, and the public ones where they lie."""
    own = as_cp2k_writes(build("Cd37Se20", "chloride"))
    found = sorted(REFERENCE.glob("*_cp2k.xyz"))
    return [("Cd37Se20Cl34", own), *((path.stem.split("_")[0], path.read_text()) for path in found)]


@pytest.mark.parametrize(("formula", "text"), dots(), ids=lambda value: value if len(value) < 20 else "")
def test_halide_capped_dots_are_recognised_without_being_told(tmp_path, formula, text):
    cluster = read_text(tmp_path, text)
    assert "".join(f"{s}{n}" for s, n in cluster.composition.items()) in (formula, ordered(formula))
    graph = topology(cluster)
    assert graph.charge_balance.difference == 0
    assert {ligand.formula for ligand in graph.ligands} == {"Cl"}
    assert graph.fragments == graph.ligands
    assert all(
        (role is Role.CORE_ANION) == (symbol not in ("Cd", "In", "Cl"))
        for role, symbol in zip(graph.roles, cluster.symbols, strict=True)
    )
    assert graph.roles.count(Role.SURFACE_CATION) > 3


def ordered(formula: str) -> str:
    """The same formula with its non-metals in alphabetical order."""
    import re

    parts = re.findall(r"[A-Z][a-z]?\d*", formula)
    return "".join([parts[0], *sorted(parts[1:])])
