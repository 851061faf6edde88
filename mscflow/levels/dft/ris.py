"""Excitations with a minimal auxiliary basis: TDA-ris and TDDFT-ris.

One s function per atom (and a p on heavier ones, for the Coulomb part) fits all products of orbitals, and the
exchange-correlation kernel is left out: Zhou, Della Sala & Parker, J. Phys. Chem. Lett. 2023, 14, 1968, after
Giannone & Della Sala, J. Chem. Phys. 2020, 153, 084110 for functionals without exact exchange. Orbitals,
their energies and the share of exact exchange are those of the functional. Eigenvalues, oscillator strengths
and everything else come from PySCF's solvers; only their matrix-vector product is replaced. A solvent follows
with its fast part (`mscflow.levels.dft.solvent`).

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from ase.units import Bohr, Hartree
from pyscf import df, gto, lib
from pyscf.tdscf import rks

from mscflow.errors import InputError
from mscflow.levels.memory import GIB, memory_limit

THETA = 0.2
"""Exponent of an auxiliary function in units of 1/radius²: the published value."""

EXCHANGE_WINDOW = 40.0
"""Virtual orbitals further above the highest occupied one, and occupied ones further below the lowest empty
one, take no part in exact exchange / eV: Zhou & Parker, J. Chem. Theory Comput. 2024, 20, 6738."""

# fmt: off
RADII = {
    "H": 0.5292, "B": 0.8141, "C": 0.6513, "N": 0.5428, "O": 0.4652, "F": 0.4071, "Na": 2.165, "Mg": 1.6711,
    "Al": 1.3608, "Si": 1.1477, "P": 0.9922, "S": 0.8739, "Cl": 0.7808, "Mn": 2.0124, "Fe": 1.9319,
    "Co": 1.8575, "Ni": 1.7888, "Cu": 1.725, "Zn": 1.6654, "Ga": 1.4489, "Ge": 1.2823, "As": 1.145,
    "Se": 1.0424, "Br": 0.9532, "Ag": 2.016, "Cd": 1.9465, "In": 1.6934, "Sn": 1.4986, "Sb": 1.344,
    "Te": 1.2183, "I": 1.1141, "Au": 0.5244, "Hg": 0.506, "Pb": 1.6523,
}
# fmt: on
"""Atomic radii / Å: Ghosh et al., J. Mol. Struct. THEOCHEM 2008, 865, 60."""


BLOCK_BYTES = 5e8
"""Size of one block of three-centre integrals."""

COLUMNS = 10000
"""Products solved for at a time, which keeps the copies small."""


def tda_ris(mf: Any) -> rks.TDA:
    """Return PySCF's TDA solver of a closed-shell Kohn–Sham object, with the product of TDA-ris.

    Raises
    ------
    InputError
        If an element has no radius, or the fitted products do not fit into memory.
    """
    response = Response(mf)
    solver = rks.TDA(mf)

    def gen_vind(*_: Any) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        # PySCF fills the memory it may use with trial vectors and makes all of them orthogonal, which takes
        # longer than these products: room for four and more per state.
        solver.max_memory = 16e-6 * response.gaps.size * (5 * solver.nstates + 40)
        return response.tda, response.gaps.ravel()

    solver.gen_vind = gen_vind
    return solver


def tddft_ris(mf: Any) -> rks.TDDFT:
    """Return PySCF's TDDFT solver of a closed-shell Kohn–Sham object, with the product of TDDFT-ris.

    Raises
    ------
    InputError
        See `tda_ris`.
    """
    response = Response(mf)
    solver = rks.TDDFT(mf)
    gaps = response.gaps.ravel()
    solver.gen_vind = lambda *_: (response.tddft, np.concatenate((gaps, -gaps)))
    return solver


class Response:
    """Singlet response of a closed-shell Kohn–Sham ground state.

    Parameters
    ----------
    mf
        PySCF's converged restricted Kohn–Sham object.

    Attributes
    ----------
    gaps
        Orbital energy differences / Eh, shape (n_occupied, n_virtual).
    ia
        Fitted products of the Coulomb part, shape (n_auxiliary, n_occupied, n_virtual).
    exchange
        Those of exact exchange; None for a functional without.
    """

    def __init__(self, mf: Any) -> None:
        full = mf.mo_occ > 0
        occupied, virtual = mf.mo_coeff[:, full], mf.mo_coeff[:, ~full]
        self.gaps = mf.mo_energy[None, ~full] - mf.mo_energy[full, None]
        around = getattr(mf, "with_solvent", None)
        self._solvent = None if around is None else (around.fast(), occupied, virtual)
        omega, long_range, share = mf._numint.rsh_and_hybrid_coeff(mf.xc, mf.mol.spin)
        kernel = [(0.0, share), (omega, long_range - share)] if omega else [(0.0, share)]
        kernel = [part for part in kernel if part[1]]
        window = EXCHANGE_WINDOW / Hartree
        low = int((self.gaps[:, 0] > window).sum()) if kernel else len(self.gaps)
        high = int((self.gaps[-1] < window).sum()) if kernel else 0
        _require_memory(mf.mol, self.gaps.shape, len(self.gaps) - low, high)
        (self.ia,) = _fitted(mf.mol, "sp", [(0.0, 1.0)], [(occupied, virtual)])
        self.exchange: Exchange | None = None
        if kernel:
            near, above = occupied[:, low:], virtual[:, :high]
            pairs = [(near, near), (above, above), (near, above)]
            self.exchange = Exchange(low, high, *_fitted(mf.mol, "s", kernel, pairs, np.float32))

    def tda(self, vectors: np.ndarray) -> np.ndarray:
        """Return A·X of vectors, shape (n, n_occupied · n_virtual)."""
        return self.excited(np.reshape(vectors, (-1, *self.gaps.shape))).reshape(np.shape(vectors))

    def tddft(self, vectors: np.ndarray) -> np.ndarray:
        """Return (A·X + B·Y, −B·X − A·Y) of vectors (X, Y), shape (n, 2 · n_occupied · n_virtual)."""
        x, y = np.reshape(vectors, (-1, 2, *self.gaps.shape)).transpose(1, 0, 2, 3)
        above = self.excited(x) + self.deexcited(y)
        below = self.deexcited(x) + self.excited(y)
        return np.stack((above, -below), axis=1).reshape(np.shape(vectors))

    def excited(self, x: np.ndarray) -> np.ndarray:
        """Return A·X; shapes (n, n_occupied, n_virtual)."""
        product = self.gaps * x + self._coulomb(x)
        if self.exchange is not None:
            product -= self.exchange.excited(x)
        return product

    def deexcited(self, y: np.ndarray) -> np.ndarray:
        """Return B·Y; shapes (n, n_occupied, n_virtual)."""
        product = self._coulomb(y)
        if self.exchange is not None:
            product -= self.exchange.deexcited(y)
        return product

    def _coulomb(self, x: np.ndarray) -> np.ndarray:
        fitted = self.ia.reshape(len(self.ia), -1)
        product = (2.0 * (x.reshape(len(x), -1) @ fitted.T) @ fitted).reshape(x.shape)
        if self._solvent is not None:
            solvent, occupied, virtual = self._solvent
            product += occupied.T @ solvent.response(2.0 * occupied @ x @ virtual.T) @ virtual
        return product


@dataclass(frozen=True)
class Exchange:
    """Exact exchange between the orbitals inside the window, in single precision.

    Parameters
    ----------
    low
        Index of the first occupied orbital inside.
    high
        Number of virtual orbitals inside.
    ij, ab, ia
        Fitted products, shapes (n_auxiliary, n_occupied, n_occupied) and so on.
    """

    low: int
    high: int
    ij: np.ndarray
    ab: np.ndarray
    ia: np.ndarray

    def excited(self, x: np.ndarray) -> np.ndarray:
        """Return Σ (ij|ab) X_jb; shapes (n, n_occupied, n_virtual)."""
        return self._summed(x, lambda ij, ab, _ia, inner: ij @ inner @ ab)

    def deexcited(self, y: np.ndarray) -> np.ndarray:
        """Return Σ (ib|ja) Y_jb; shapes (n, n_occupied, n_virtual)."""
        return self._summed(y, lambda _ij, _ab, ia, inner: ia @ inner.T @ ia)

    def _summed(self, x: np.ndarray, term: Callable[..., np.ndarray]) -> np.ndarray:
        total = np.zeros_like(x)
        for vector, out in zip(x[:, self.low :, : self.high].astype(self.ab.dtype), total, strict=True):
            inside = out[self.low :, : self.high]
            for ij, ab, ia in zip(self.ij, self.ab, self.ia, strict=True):
                inside += term(ij, ab, ia, vector)
        return total


def require_radii(symbols: Iterable[str]) -> None:
    """Refuse elements without a radius.

    Raises
    ------
    InputError
        If there are any.
    """
    missing = sorted(set(symbols) - set(RADII))
    if missing:
        raise InputError(f"TDA-ris has no radius for {', '.join(missing)}: use method tda")


def auxiliary(mol: gto.Mole, shells: str) -> gto.Mole:
    """Return one Gaussian per atom and letter of `shells`, exponent θ/R²; hydrogen has an s only.

    Raises
    ------
    InputError
        If an element has no radius.
    """
    symbols = [mol.atom_pure_symbol(i) for i in range(mol.natm)]
    require_radii(symbols)
    basis = {}
    for symbol in set(symbols):
        exponent = THETA * (Bohr / RADII[symbol]) ** 2
        basis[symbol] = [
            ["spd".index(shell), [exponent, 1.0]] for shell in shells if symbol != "H" or shell == "s"
        ]
    atoms = list(zip(symbols, mol.atom_coords(), strict=True))
    return gto.M(atom=atoms, unit="Bohr", basis=basis, spin=None, verbose=0)


def _fitted(
    mol: gto.Mole,
    shells: str,
    kernel: Sequence[tuple[float, float]],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    dtype: type = np.float64,
) -> list[np.ndarray]:
    """Return products of orbitals, so that their inner products over the first axis are integrals.

    Parameters
    ----------
    mol, shells
        Molecule, and shells of the auxiliary basis.
    kernel
        Range-separation parameters ω (0: Coulomb) and factors of the parts of the interaction.
    pairs
        Orbital coefficients of the left and the right orbital of each product.
    dtype
        Of the result.

    Returns
    -------
    list of numpy.ndarray
        One array (n_auxiliary, n_left, n_right) per pair.
    """
    aux = auxiliary(mol, shells)
    metric = np.zeros((aux.nao, aux.nao))
    for omega, factor in kernel:
        with aux.with_range_coulomb(omega):
            metric += factor * aux.intor("int2c2e")
    products = [np.empty((aux.nao, left.shape[1], right.shape[1]), dtype=dtype) for left, right in pairs]
    offsets = aux.ao_loc_nr()
    step = max(1, int(BLOCK_BYTES / (4 * mol.nao**2 * 3)))
    for first in range(0, aux.nbas, step):
        last = min(first + step, aux.nbas)
        triangles = np.zeros((offsets[last] - offsets[first], mol.nao * (mol.nao + 1) // 2))
        for omega, factor in kernel:
            with mol.with_range_coulomb(omega):
                part = (0, mol.nbas, 0, mol.nbas, first, last)
                triangles += factor * df.incore.aux_e2(mol, aux, aosym="s2ij", shls_slice=part).T
        for index, triangle in enumerate(triangles, start=offsets[first]):
            square = lib.unpack_tril(triangle)
            for product, (left, right) in zip(products, pairs, strict=True):
                product[index] = left.T @ square @ right
    root = scipy.linalg.cholesky(metric, lower=True)
    for product in products:
        flat = product.reshape(aux.nao, -1)
        for low in range(0, flat.shape[1], COLUMNS):
            columns = slice(low, low + COLUMNS)
            flat[:, columns] = scipy.linalg.solve_triangular(
                root, flat[:, columns], lower=True, check_finite=False
            )
    return products


def _require_memory(mol: gto.Mole, shape: tuple[int, int], n_near: int, n_above: int) -> None:
    """Refuse a response whose fitted products do not fit into the free memory."""
    coulomb = 8 * auxiliary(mol, "sp").nao * shape[0] * shape[1]
    exchange = 4 * mol.natm * (n_above**2 + n_near**2 + n_near * n_above)
    needed, free = (coulomb + exchange + 4 * BLOCK_BYTES) / GIB, memory_limit()
    if needed > free:
        raise InputError(
            f"TDA-ris needs {needed:.1f} GiB and {free:.1f} GiB may be used: use fewer atoms "
            "(truncate the ligands), a smaller basis, or a functional without exact exchange"
        )
