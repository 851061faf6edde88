"""Vertical singlet excitations and the absorption spectrum they make."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from ase.units import Hartree
from pydantic import BaseModel, ConfigDict, Field

from mscflow.analysis.spectra import EV_NM, MeasuredSpectrum, Spectrum, absorption_spectrum
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import Level, PySCF
from mscflow.tasks.document import TaskDocument, input_hash
from mscflow.tasks.electronic import parts
from mscflow.tasks.excitation_error import Calibration, calibration, unknown_error
from mscflow.tasks.refine import ScfRecord, record, require_dft

if TYPE_CHECKING:
    from mscflow.levels.dft.scf import GroundState
    from mscflow.levels.dft.transitions import Transitions

RESPONSE_GRID = 1
"""Finest integration grid for excitations. Measured on In(O2CH)3, five states, PBE/def2-SVP: grid level 1
differs from level 3 by less than 1 meV in energy and 3e-5 in oscillator strength, at half the time."""

CONV_TOL = 1e-4
"""Threshold of the eigensolver. Measured on In(O2CH)3: 1e-3 differs from 1e-5 by 4e-6 eV."""

SMALLEST_SHARE = 0.1
"""Smaller shares are not named in the character of a state."""

SPARE_STATES = 6
"""States solved for beyond those asked for where that costs little: of degenerate ones PySCF's solver can
miss the last. Seen on Zn(O2CH)2, three states of PBE0: the third was really the seventh."""

Method = Literal["tda", "tddft", "tda-ris", "tddft-ris", "gap"]
"""Tamm-Dancoff approximation or full response; exact integrals and kernel or a minimal auxiliary basis; or no
response at all, differences of orbital energies."""


class State(BaseModel):
    """One excited state.

    Attributes
    ----------
    energy
        Excitation energy / eV.
    wavelength
        The same / nm.
    oscillator_strength
        Oscillator strength, length gauge.
    transition
        Dominant orbital pair, e.g. ``HOMO-1 → LUMO (0.87)``.
    transfer
        For each part of the cluster in which the hole is (core, surface, ligand), the shares of the parts in
        which the electron is; they add up to 1. ``transfer["core"]["ligand"]`` is the character of charge
        transfer from core to ligands.
    """

    model_config = ConfigDict(extra="forbid")

    energy: float
    wavelength: float
    oscillator_strength: float
    transition: str
    transfer: dict[str, dict[str, float]] = Field(default_factory=dict)

    @property
    def character(self) -> str:
        """Where the electron goes, largest shares first, e.g. ``core → ligand 0.62, core → core 0.21``."""
        shares = {f"{h} → {e}": share for h, row in self.transfer.items() for e, share in row.items()}
        largest = sorted(shares.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {share:.2f}" for name, share in largest if share >= SMALLEST_SHARE)


class Excitations(TaskDocument):
    """Lowest singlet excitations.

    Attributes
    ----------
    states
        In order of energy.
    method
        How they were computed, approximations named.
    calibration
        Shift that the energies contain and error that is left, where they were measured.
    converged
        Whether all states converged.
    scf
        What the ground state needed.
    measured
        An absorption spectrum to compare with, if there is one.
    """

    states: list[State]
    method: str
    calibration: Calibration | None = None
    converged: bool
    scf: ScfRecord
    measured: MeasuredSpectrum | None = None

    def spectrum(self, fwhm_ev: float = 0.2) -> Spectrum:
        """Return the states as a sum of Gaussians of a full width at half maximum / eV."""
        energies = [state.energy for state in self.states]
        return absorption_spectrum(energies, [state.oscillator_strength for state in self.states], fwhm_ev)


def excite(
    cluster: Cluster,
    level: str | Level = "pbe/def2-svp",
    nstates: int = 10,
    method: Method = "tda",
    state_file: str | Path | None = None,
    cubes: str | Path | None = None,
    measured: MeasuredSpectrum | None = None,
) -> Excitations:
    """Compute the lowest vertical singlet excitations.

    Ground state and response use an integration grid of at most level `RESPONSE_GRID`. ``tda`` (Hirata &
    Head-Gordon, Chem. Phys. Lett. 1999, 314, 291) and ``tddft`` leave nothing else out; ``tda-ris`` and
    ``tddft-ris`` are for clusters these cannot do, see `mscflow.levels.dft.ris`; TDA-ris energies are shifted
    where its error was measured, see `mscflow.tasks.excitation_error`. ``gap`` is an estimate for any size,
    pseudopotentials and multigrid included: differences of orbital energies.

    Parameters
    ----------
    cluster
        The structure, a closed shell.
    level
        A PySCF level with a def2 basis, or its text form. Pure functionals place charge-transfer states
        too low; a hybrid is better and slower. A solvent is in equilibrium with the ground state, and follows
        the excitation with its electrons (linear response).
    nstates
        Number of states.
    method
        One of `Method`.
    state_file
        Where the density of the ground state is kept, and beside it (``.response``) what the eigensolver has
        done so far, to go on there if the task is repeated.

    cubes
        Directory for cube files of hole and electron of each state (dominant natural transition orbitals).
    measured
        An absorption spectrum to keep beside the computed one; see `mscflow.analysis.spectra.read_spectrum`.

    Returns
    -------
    Excitations
        Energies / eV, wavelengths / nm, oscillator strengths (length gauge), dominant orbital pairs.

    Raises
    ------
    InputError
        If the level has no molecular basis, the cluster is no singlet, `nstates` is not positive, the
        method is unknown or has no radius for an element, its integrals do not fit into memory, or the
        directory for cube files cannot be made, or the state file is another kind of file.
    CalculationError
        If the SCF does not converge, or an excited state is found below the ground state; the full response
        of hybrids and in solvents does not see all of these.
    OutOfTimeError
        If there is a state file and the process will be ended soon; see `mscflow.clock`.
    """
    from mscflow.levels.dft.orbital_gaps import begin_with_smallest_gaps
    from mscflow.levels.dft.response_checkpoint import forget_products, keep_products
    from mscflow.levels.dft.scf import ground_state
    from mscflow.levels.dft.scf_checkpoint import require_field
    from mscflow.levels.dft.transitions import Transitions

    level = require_excitable(cluster, level, nstates, method)
    is_minimal = method.endswith("ris")
    warnings = level.require(cluster)
    if cubes is not None:
        _make_directory(Path(cubes))
    started = time.perf_counter()
    grid = min(level.grid, RESPONSE_GRID)
    path = None if state_file is None else Path(state_file)
    if path is not None:
        require_field(path)
    ground = ground_state(cluster, level, grid=grid, keep=path)
    if is_minimal:
        ground.release()  # the fitted products need none of it, but room
    solver = _solver(ground.mf, method)
    begin_with_smallest_gaps(solver)
    solver.singlet, solver.conv_tol, solver.verbose = True, CONV_TOL, 0
    solver.nstates = nstates + (SPARE_STATES if is_minimal else 0)
    what = f"{method} excitations of {cluster.name or cluster.formula}"
    if path is not None:
        keep_products(solver, path.with_suffix(".response"), what)
    _solve(solver, ground, what)
    n_found = min(len(solver.e), nstates)
    if n_found < nstates:
        warnings.append(f"{n_found} excited states instead of {nstates} were found")
    converged = bool(np.all(solver.converged[:nstates]))
    if not converged:
        warnings.append("not all excited states converged")
    if not level.is_hybrid:
        warnings.append(f"{level.xc.upper()} is a pure functional: charge-transfer states come out too low")
    if unknown := unknown_error(level, method, cluster.symbols):
        warnings.append(unknown)
    known = calibration(level, method)
    energies = solver.e * Hartree + (known.shift if known else 0.0)
    solved = zip(energies, solver.oscillator_strength(), solver.xy, strict=True)
    transitions = Transitions(ground.mf)
    part_of = parts(cluster)
    if cubes is not None:
        named = {f"S{n}": xy[0] for n, xy in enumerate(solver.xy[:nstates], start=1)}
        transitions.write_cubes(named, Path(cubes))
    found = Excitations(
        input_hash=excitation_input(cluster, level, nstates, method),
        cluster=cluster,
        level=level,
        level_text=level.text,
        level_hash=level.hash,
        level_description=level.description,
        states=[
            _state(float(energy), float(strength), amplitudes[0], transitions, part_of)
            for energy, strength, amplitudes in islice(solved, nstates)
        ],
        method="; ".join(_described(level, method, n_found, grid) + ([known.sentence] if known else [])),
        calibration=known,
        converged=converged,
        scf=record(ground),
        measured=measured,
        wall_time_s=time.perf_counter() - started,
        warnings=warnings,
    )
    if path is not None:
        forget_products(path.with_suffix(".response"))
    return found


def require_excitable(cluster: Cluster, level: str | Level, nstates: int, method: Method) -> PySCF:
    """Return the level, where excitations of the cluster can be asked for with these settings.

    Raises
    ------
    InputError
        If they cannot.
    """
    level = require_dft(level)
    if method not in get_args(Method):
        raise InputError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    if level.is_periodic and method != "gap":
        raise InputError(
            f"excitations need a def2 basis, e.g. {level.xc}/def2-svp, not {level.text!r}; method gap "
            "takes any"
        )
    if cluster.multiplicity != 1:
        raise InputError(f"excitations need a singlet, not multiplicity {cluster.multiplicity}")
    if nstates < 1:
        raise InputError(f"nstates must be at least 1, not {nstates}")
    if method.endswith("ris"):
        from mscflow.levels.dft.ris import require_radii

        require_radii(cluster.symbols)
    return level


def _make_directory(path: Path) -> None:
    """Make the directory for cube files, before hours are spent on what goes there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise InputError(f"{path}: the directory for cube files cannot be made: {err.strerror}") from err


def excitation_input(cluster: Cluster, level: Level, nstates: int, method: Method) -> str:
    """Return the `input_hash` of excitations."""
    known = calibration(level, method)
    settings = {"shift": known.shift} if known else {}
    return input_hash("excite", cluster, level, nstates=nstates, method=method, **settings)


def _described(level: PySCF, method: Method, nstates: int, grid: int) -> list[str]:
    """Return what was done, in parts."""
    if method == "gap":
        return [
            f"differences of orbital energies ({nstates} pairs), an estimate: hole and electron do not feel "
            "each other"
        ]
    label = f"singlet {method.upper().replace('RIS', 'ris')} ({nstates} states)"
    if method.endswith("ris"):
        found = [
            f"{label}: minimal auxiliary basis, no exchange-correlation kernel",
            f"ground state on integration grid level {grid}",
        ]
    else:
        found = [f"{label}, ground state and response on integration grid level {grid}"]
    if level.solvent is not None:
        from mscflow.levels.dft.solvent import optical_constant

        fast = f"the electrons of {level.solvent} follow (ε = n² = {optical_constant(level):.2f})"
        found.append(f"{fast}, its molecules do not")
    return found


def _solver(mf: Any, method: Method) -> Any:
    """Return PySCF's solver of a method."""
    from mscflow.levels.dft.orbital_gaps import orbital_gaps
    from mscflow.levels.dft.ris import tda_ris, tddft_ris

    if method == "gap":
        return orbital_gaps(mf)
    if method == "tda-ris":
        return tda_ris(mf)
    if method == "tddft-ris":
        return tddft_ris(mf)
    if (solvent := getattr(mf, "with_solvent", None)) is not None:
        from pyscf.solvent.pcm import pcm_for_tdscf
        from pyscf.tdscf import rks

        # PySCF's own way takes 1.78, water's, for every solvent.
        return pcm_for_tdscf((rks.TDA if method == "tda" else rks.TDDFT)(mf), solvent.fast())
    return mf.TDA() if method == "tda" else mf.TDDFT()


def _solve(solver: Any, ground: GroundState, what: str) -> None:
    """Find the excited states.

    Raises
    ------
    CalculationError
        If one of them is seen to lie below the ground state.
    """
    unstable = CalculationError(
        f"{what}: the ground state is no minimum of {ground.level.text} (another singlet lies lower): check "
        "charge and structure, or use a hybrid functional or tda"
    )
    homo, lumo = ground.frontier
    if lumo < homo:
        raise unstable
    solver.positive_eig_threshold = -np.inf  # PySCF leaves out states below 0.03 eV, or 0.86 eV by ω²
    try:
        with np.errstate(invalid="ignore"):  # the root of a negative ω²
            solver.kernel()
    except RuntimeError as err:  # PySCF's way to say that A − B or A + B is not positive definite
        raise unstable from err
    if not np.all(solver.e > 0):
        raise unstable


def _state(
    energy: float, strength: float, amplitudes: Any, transitions: Transitions, part_of: list[str]
) -> State:
    """Return a state; its amplitudes (occupied × virtual, orbital order) have the norm 1/2."""
    weights = 2 * np.asarray(amplitudes) ** 2
    occupied, virtual = np.unravel_index(int(weights.argmax()), weights.shape)
    below = weights.shape[0] - 1 - occupied
    names = (f"HOMO-{below}" if below else "HOMO", f"LUMO+{virtual}" if virtual else "LUMO")
    return State(
        energy=energy,
        wavelength=EV_NM / energy,
        oscillator_strength=strength,
        transition=f"{names[0]} → {names[1]} ({weights.max():.2f})",
        transfer={
            hole: {electron: round(share, 4) for electron, share in shares.items()}
            for hole, shares in transitions.shares(np.asarray(amplitudes), part_of).items()
        },
    )
