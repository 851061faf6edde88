"""Commands that calculate something of one structure: relax, vibrate, refine, excite, exchange."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from mscflow.cli.arguments import (
    Charge,
    File,
    Json,
    Multiplicity,
    Output,
    StateFile,
    Trust,
    atoms_or_word,
    read_cluster,
    read_level,
)
from mscflow.cli.limits import Memory, limit_memory
from mscflow.cli.output import show_json, show_table, warn
from mscflow.cli.routes import show_routes
from mscflow.errors import CalculationError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mscflow.cluster import Cluster
    from mscflow.levels import Level
    from mscflow.tasks.excite import Method
    from mscflow.tasks.relax import Relaxation
    from mscflow.tasks.vibrate import Vibrations

NOT_KEPT = "the structure at the end is not kept: give -o FILE"

SHOWN = 0.05
"""Part of the kinetic energy of a mode from which an element is listed."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: mscflow relax In4P.xyz --level mace:msc-small -o relaxed.xyz")(relax)
    app.command(epilog="Example: mscflow vibrate relaxed.xyz --level mace:msc-small")(vibrate)
    app.command(epilog="Example: mscflow refine relaxed.xyz --level pbe-d3bj/def2-svp")(refine)
    app.command(epilog="Example: mscflow excite relaxed.xyz --nstates 5")(excite)
    app.command(epilog="Example: mscflow exchange relaxed.xyz --ion Zn2+ --ion Ga3+")(exchange)


def relax(
    file: File,
    level: Annotated[str, typer.Option(help="Level of theory.")] = "mace:msc-small",
    fmax: Annotated[float, typer.Option(help="Largest force at the end / eV/Å.")] = 0.02,
    max_steps: Annotated[int, typer.Option(help="Limit of steps.")] = 1000,
    fixed: Annotated[
        str | None,
        typer.Option(help="Atoms that do not move: core, or indices such as 0,4,5; the first atom is 0."),
    ] = None,
    state_file: StateFile = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    trust: Trust = False,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Relax a structure."""
    from mscflow.tasks.relax import relax as relax_cluster

    unmoved = None if fixed is None else atoms_or_word("--fixed", fixed, ("core",))
    cluster, theory = read_cluster(file, charge, multiplicity), read_level(level, trust)
    if output is None and not as_json:
        warn([NOT_KEPT])
    result = relax_cluster(cluster, theory, fmax, max_steps, unmoved, state_file)
    numbers = (
        f"{result.level_text}: E = {result.energy:.6f} eV, largest force {result.max_force:.4f} eV/Å "
        f"after {result.n_force_calls} force calls, {'converged' if result.converged else 'NOT converged'}"
    )
    _report(result, numbers, output, as_json)


def vibrate(
    file: File,
    level: Annotated[
        str, typer.Option(help="Level of theory, the one of the relaxation.")
    ] = "mace:msc-small",
    method: Annotated[
        str | None,
        typer.Option(help="analytic (MACE only, its default) or finite-differences."),
    ] = None,
    fmax: Annotated[float, typer.Option(help="Force up to which the structure is stationary / eV/Å.")] = 0.05,
    state_file: StateFile = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compute harmonic vibrations of a relaxed structure: modes, zero-point energy, minimum or not."""
    from mscflow.tasks.vibrate import vibrate as vibrate_cluster

    cluster = read_cluster(file, charge, multiplicity)
    chosen: Any = method.replace("-", " ") if method else None
    result = vibrate_cluster(cluster, read_level(level, trust), chosen, fmax=fmax, state_file=state_file)
    warn(result.warnings)
    if as_json:
        show_json(result.model_dump(mode="json", exclude={"displacements"}))
        return
    rows = [
        {
            "ν̃ / cm⁻¹": f"{mode.frequency:.1f}",
            "μ / amu": f"{mode.reduced_mass:.2f}",
            **({} if mode.intensity is None else {"IR / km/mol": f"{mode.intensity:.1f}"}),
            "what moves": mode.description,
            "by element": {element: share for element, share in mode.elements.items() if share >= SHOWN},
        }
        for mode in result.modes
    ]
    show_table(f"Normal modes at {result.level_text}", rows)
    typer.echo(
        f"zero-point energy {result.zero_point_energy:.4f} eV; {result.n_imaginary} imaginary modes; "
        f"{'a minimum' if result.is_minimum else 'NOT a minimum'}; infrared intensities: {result.intensities}"
    )


def refine(
    file: File,
    level: Annotated[str, typer.Option(help="DFT level.")] = "pbe-d3bj/def2-svp",
    steps: Annotated[int, typer.Option(help="Geometry steps; 0 is a single point.")] = 0,
    fmax: Annotated[float, typer.Option(help="Largest force at which the steps end / eV/Å.")] = 0.05,
    state_file: StateFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what each route would cost only.")] = False,
    memory: Memory = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Compute a DFT energy, with geometry steps if asked for."""
    from mscflow.tasks.refine import refine as refine_cluster
    from mscflow.tasks.refine import require_dft

    limit_memory(memory)
    cluster, theory = read_cluster(file, charge, multiplicity), require_dft(level)
    if dry_run:
        show_routes(cluster, theory, as_json)
        return
    if steps and output is None and not as_json:
        warn([NOT_KEPT])
    typer.echo(theory.estimate(cluster), err=True)
    result = refine_cluster(cluster, theory, steps, fmax, state_file)
    numbers = (
        f"{result.level_text}: E = {result.energy:.6f} eV, gap {result.gap:.3f} eV, "
        f"{sum(record.cycles for record in result.scf)} SCF cycles ({result.route})"
    )
    _report(result, numbers, output, as_json)


def excite(
    file: File,
    level: Annotated[str, typer.Option(help="DFT level.")] = "pbe/def2-svp",
    nstates: Annotated[int, typer.Option(help="Number of singlet states.")] = 10,
    method: Annotated[str, typer.Option(help="tda, tddft, tda-ris, tddft-ris or gap.")] = "tda",
    cubes: Annotated[
        Path | None, typer.Option(help="Directory for cube files of hole and electron of each state.")
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(help="Measured spectrum: wavelength / nm and absorbance, in two columns.")
    ] = None,
    state_file: StateFile = None,
    memory: Memory = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    as_json: Json = False,
) -> None:
    """Compute vertical singlet excitations."""
    from mscflow.analysis.spectra import compare, read_spectrum
    from mscflow.tasks.excite import excite as excite_cluster
    from mscflow.tasks.refine import require_dft

    limit_memory(memory)
    chosen = cast("Method", method)  # checked by the task
    cluster, theory = read_cluster(file, charge, multiplicity), require_dft(level)
    typer.echo(theory.estimate(cluster), err=True)
    measured = None if experiment is None else read_spectrum(experiment)
    result = excite_cluster(cluster, theory, nstates, chosen, state_file, cubes, measured)
    warn(result.warnings)
    if as_json:
        show_json(result.model_dump(mode="json"))
    else:
        rows = [
            {**state.model_dump(exclude={"transfer"}), "hole → electron": state.character}
            for state in result.states
        ]
        show_table(f"{result.method} (energy / eV, wavelength / nm)", rows)
        if measured is not None:
            first = compare(result.spectrum(), measured)
            typer.echo(
                f"first maximum: computed {first.computed_nm:.0f} nm, measured {first.measured_nm:.0f} nm, "
                f"{first.error_ev:+.2f} eV"
            )


def exchange(
    file: File,
    ion: Annotated[list[str], typer.Option("--ion", help="Incoming cation, e.g. Cd2+; may be repeated.")],
    sites: Annotated[
        str, typer.Option(help="surface, core, all, or atoms such as 1,2; the first atom is 0.")
    ] = "surface",
    symmetry: Annotated[
        Literal["cluster", "core"],
        typer.Option(help="Once for sites that are alike by symmetry of the cluster, or of its core."),
    ] = "cluster",
    search: Annotated[
        Literal["all", "nearest"], typer.Option(help="Leaving ligands tried: all of a site, or the nearest.")
    ] = "all",
    level: Annotated[str, typer.Option(help="Level of theory of every species.")] = "mace:msc-small",
    fmax: Annotated[float, typer.Option(help="Largest force at the end / eV/Å.")] = 0.02,
    temperature: Annotated[
        float | None, typer.Option(min=1.0, help="Gibbs energies at this temperature / K, with vibrations.")
    ] = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compute exchange energies for every distinct site and leaving ligand.

    The structures of the species are not kept: `mscflow run` with a section `exchange` keeps them.
    """
    from mscflow.reactions.energies import collect
    from mscflow.reactions.exchange import exchange as exchange_reactions
    from mscflow.reactions.exchange import exchanges, no_exchange, require_exchange
    from mscflow.reactions.reaction import distinct_species
    from mscflow.tasks.relax import relax as relax_cluster

    chosen: Any = atoms_or_word("--sites", sites, ("surface", "core", "all"))
    theory = read_level(level, trust)
    start = read_cluster(file, charge, multiplicity)
    require_exchange(start, ion, chosen)
    for name in ion:  # what a level cannot represent is said before hours are spent on the rest
        for first in islice(exchanges(start, name, 1, chosen, symmetry, search), 1):
            for member, _ in first.species:
                theory.require(member)
    reactant = relax_cluster(start, theory, fmax)
    reactions, missing = [], []
    for name in ion:
        found = exchange_reactions(reactant.cluster, name, chosen, symmetry, search)
        reactions += found
        missing += [] if found else [no_exchange(name, chosen)]
    if not reactions:
        raise InputError("; ".join(missing))
    warn(missing)
    results, vibrations = compute_species(
        distinct_species(reactions), reactant, theory, fmax, with_vibrations=temperature is not None
    )
    result = collect(reactions, results, theory.text, vibrations=vibrations, temperature=temperature)
    warn(result.warnings)
    if as_json:
        show_json(result.model_dump(mode="json"))
    else:
        free = f"ΔG({temperature:g} K) / eV" if temperature is not None else ""
        rows = [
            {
                "reaction": r.marked_label,
                "ΔE / eV": r.energy,
                "kJ/mol": r.energy_kj_mol,
                **({free: r.gibbs} if free else {}),
            }
            for r in result.reactions
        ]
        show_table(f"Exchange energies at {result.energy_level}", rows)
    if result.failed:
        raise CalculationError(f"not all could be computed: {'; '.join(result.failed)}")


def compute_species(
    species: Mapping[str, Cluster], reactant: Relaxation, level: Level, fmax: float, with_vibrations: bool
) -> tuple[dict[str, Relaxation], dict[str, Vibrations]]:
    """Return relaxations and vibrations by the key of each species; what fails is warned of and left out."""
    from mscflow.tasks.relax import relax as relax_cluster
    from mscflow.tasks.vibrate import vibrate as vibrate_cluster

    results = {reactant.cluster.hash: reactant}
    vibrations = {}
    for n, (key, member) in enumerate(species.items(), start=1):
        typer.echo(f"[{n}/{len(species)}] {member.name}", err=True)
        try:
            if key not in results:
                results[key] = relax_cluster(member, level, fmax)
            if with_vibrations:
                vibrations[key] = vibrate_cluster(results[key].cluster, level)
        except CalculationError as err:
            warn([str(err)])
    return results, vibrations


def _report(result: Any, numbers: str, output: Path | None, as_json: bool) -> None:
    """Print a result, as JSON or as a line of numbers, and then write its structure."""
    from mscflow.files import write

    warn(result.warnings)
    if as_json:
        show_json(result.model_dump(mode="json"))
    else:
        typer.echo(numbers)
    if output is not None:
        write(result.cluster, output)
        typer.echo(f"→ {output}", err=as_json)
