"""What the routes of a DFT level would cost for a structure, beside cheaper levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mscflow.cli.output import show_json, show_table

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels import PySCF


def show_routes(cluster: Cluster, level: PySCF, as_json: bool) -> None:
    """Show the cost of the level's routes, and of other levels that are cheaper."""
    from mscflow.levels.base import duration
    from mscflow.levels.dft.cost import alternatives, routes, shortened
    from mscflow.levels.memory import memory_limit

    level.require(cluster)
    limit = memory_limit()
    ways = [
        (each.text, way) for each in (level, *alternatives(cluster, level)) for way in routes(cluster, each)
    ]
    if as_json:
        show_json(
            [{"level": text, **way.model_dump(), "fits": way.memory_gib <= limit} for text, way in ways]
        )
        return
    rows = [
        {
            "level": text,
            "route": way.route,
            "basis functions": way.n_basis,
            "fitting functions": way.n_auxiliary or "",
            "memory / GiB": f"{way.memory_gib:.1f}",
            "disk / GiB": f"{way.disk_gib:.1f}",
            "energy and gradient": duration(way.time_s),
            "fits": "yes" if way.memory_gib <= limit else "no",
        }
        for text, way in ways
    ]
    title = f"{cluster.name or cluster.formula}, {len(cluster)} atoms, {limit:.1f} GiB may be used"
    show_table(title, rows, whole=("level",))
    short = shortened(cluster, level)
    if short is not None:
        typer.echo(
            f"with formates instead of the longer carboxylates: {short} basis functions at {level.text}"
        )
    typer.echo(
        "Levels are different models: compare energies of one level only. Times are rough; mscflow doctor"
    )
    typer.echo("--calibrate measures them here.")
