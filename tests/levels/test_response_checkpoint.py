"""Products that are kept follow by linearity, and others are computed."""

import numpy as np
import pytest

from mscflow.levels.dft.response_checkpoint import KeptProducts

SIZE = 30
RANDOM = np.random.default_rng(1)
MATRIX = RANDOM.normal(size=(SIZE, SIZE))
ORBITALS = RANDOM.normal(size=(4, 4))
VECTORS = np.linalg.qr(RANDOM.normal(size=(SIZE, 6)))[0].T


def kept(directory, what="tda of x", orbitals=ORBITALS) -> KeptProducts:
    return KeptProducts(lambda vectors: vectors @ MATRIX.T, directory, what, orbitals)


def test_rotated_vectors_are_read_and_a_new_one_is_computed(tmp_path):
    first = kept(tmp_path)
    first(VECTORS[:2])
    first(VECTORS[2:5])
    assert (first.n_computed, first.n_read) == (5, 0)
    rotation = np.linalg.qr(RANDOM.normal(size=(5, 5)))[0]
    asked = np.vstack([rotation @ VECTORS[:5], VECTORS[5:]])
    second = kept(tmp_path)
    np.testing.assert_allclose(second(asked), asked @ MATRIX.T, atol=1e-12)
    assert (second.n_computed, second.n_read) == (1, 5)
    third = kept(tmp_path)
    third(VECTORS)
    assert (third.n_computed, third.n_read) == (0, 6)


def test_almost_dependent_vectors_do_not_spoil_products(tmp_path):
    noisy = KeptProducts(
        lambda vectors: vectors @ MATRIX.T + 1e-9 * RANDOM.normal(size=vectors.shape), tmp_path, "x", ORBITALS
    )
    noisy(VECTORS[:1])
    noisy(VECTORS[:1] + 1e-7 * VECTORS[1:2])
    found = kept(tmp_path, what="x")
    np.testing.assert_allclose(found(VECTORS[:2]), VECTORS[:2] @ MATRIX.T, atol=1e-7)
    assert found.n_computed == 2  # their difference is noise, and neither is their mean


@pytest.mark.parametrize("other", [{"what": "gap of x"}, {"orbitals": ORBITALS + 1e-9}])
def test_products_of_another_matrix_are_not_read(tmp_path, other):
    kept(tmp_path)(VECTORS)
    again = kept(tmp_path, **other)
    again(VECTORS)
    assert (again.n_computed, again.n_read) == (6, 0)


@pytest.mark.parametrize("content", [b"PK", b""])
def test_a_broken_file_is_left_out(tmp_path, content):
    first = kept(tmp_path)
    first(VECTORS[:3])
    first(VECTORS[3:])
    (tmp_path / "0000.npz").write_bytes(content)
    again = kept(tmp_path)
    np.testing.assert_allclose(again(VECTORS), VECTORS @ MATRIX.T, atol=1e-12)
    assert (again.n_computed, again.n_read) == (3, 3)
