"""Bad structure files give one line that names the file and the trouble."""

import pytest

from mscflow.errors import InputError
from mscflow.files import read, write


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("nonsense\n", "cannot be read as extxyz"),
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
