"""Commands on structures: build, list, analyze."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from mscflow.cli.arguments import Charge, File, Json, Multiplicity, read_cluster, writable
from mscflow.cli.output import show_json, show_table, warn
from mscflow.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: mscflow build In4P --ligand formate -o In4P.xyz")(build)
    app.command("list", epilog="Example: mscflow list")(list_clusters)
    app.command(epilog="Example: mscflow analyze In4P.xyz")(analyze)


def build(
    name: Annotated[str, typer.Argument(help="Name of a cluster; `mscflow list` shows them.")],
    ligand: Annotated[
        list[str] | None,
        typer.Option(help="Ligand by name or SMILES, instead of the default one of its charge; repeatable."),
    ] = None,
    hand: Annotated[str, typer.Option(help="left or right, for chiral cores.")] = "left",
    seed: Annotated[int, typer.Option(min=0, help="Other seeds arrange the ligands differently.")] = 0,
    shells: Annotated[int, typer.Option(min=1, help="Number of different arrangements; one file each.")] = 1,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="Ligands per binding mode, e.g. chelating=12, bridging=27; repeatable."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", callback=writable)] = Path(
        "cluster.xyz"
    ),
    as_json: Json = False,
) -> None:
    """Build a cluster with its ligand shell and write it to a file."""
    from mscflow.builder import build_different
    from mscflow.files import write

    modes = dict(map(_count_of_mode, mode or ()))
    rows = []
    for n, cluster in enumerate(build_different(name, shells, ligand, hand, seed, modes)):  # type: ignore[arg-type]
        path = output if shells == 1 else output.with_name(f"{output.stem}-{n}{output.suffix}")
        write(cluster, path)
        rows.append(cluster.as_dict())
        if not as_json:
            typer.echo(
                f"{cluster.name}: {len(cluster)} atoms, {cluster.formula}, charge {cluster.charge} → {path}"
            )
    if as_json:
        show_json(rows[0] if shells == 1 else rows)


def _count_of_mode(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not count.isdecimal():
        raise InputError(f"--mode {text!r}: a binding mode and a number are needed, e.g. chelating=12")
    return name, int(count)


def list_clusters(as_json: Json = False) -> None:
    """List the clusters that can be built, and the ligands."""
    from mscflow.builder import CATALOGUE, LIGANDS

    rows = [
        {
            "name": entry.name,
            "formula": entry.formula,
            "atoms": entry.n_atoms,
            "λ / nm": None if entry.wavelength is None else int(entry.wavelength),
            "family": entry.family,
            "default ligands": ", ".join(f"{count} {ligand}" for ligand, count in entry.ligands),
            "provenance": entry.provenance,
            "source": entry.source,
        }
        for entry in CATALOGUE.values()
    ]
    if as_json:
        show_json({"clusters": rows, "ligands": list(LIGANDS)})
    else:
        for row in rows:
            del row["default ligands"]  # they stand in the formula
            row["provenance"] = re.split("[:;]", str(row["provenance"]))[0]
        title = "Clusters (atoms with the default ligands); no core is a crystal structure"
        show_table(title, rows, whole=("name", "formula"))
        typer.echo("Ligands: " + ", ".join(LIGANDS) + "; or a SMILES with the donors marked :1")
        typer.echo("What is certain of each core and what a guess: mscflow list --json")


def analyze(
    file: File, charge: Charge = None, multiplicity: Multiplicity = None, as_json: Json = False
) -> None:
    """Show cation separations, coordination and binding modes of a structure."""
    from mscflow.tasks.analyse import analyse
    from mscflow.topology import topology

    cluster = read_cluster(file, charge, multiplicity)
    result = analyse(cluster, of=str(file))
    warn(result.warnings)
    if as_json:
        show_json(result.model_dump(mode="json"))
        return
    graph = topology(cluster)
    typer.echo(f"{cluster.name}: {cluster.formula}, {len(cluster)} atoms; {graph.charge_balance}")
    typer.echo("Atoms: " + ", ".join(f"{n} {role}" for role, n in Counter(graph.roles).items()))
    if result.core:
        typer.echo(result.core)
    show_table("Cation separations / Å", [vars(row) for row in result.separations])
    show_table("Coordination (mean distances / Å)", [vars(row) for row in result.coordination])
    modes = [{k: v for k, v in vars(row).items() if k != "distances"} for row in result.binding_modes]
    show_table("Ligands (bonds / Å)", modes)
