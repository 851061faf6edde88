"""The jobs of a run as a tree, once or until none is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mscflow.cli.arguments import Json
from mscflow.cli.output import as_table, console, show_json

if TYPE_CHECKING:
    from mscflow.executors import JobRow

LOG_LINES = 5
INTERVAL_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(epilog="Example: mscflow status runs/quickstart --watch")(status)


def status(
    directory: Annotated[Path, typer.Argument(help="Run directory.")],
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew until no job is left.")] = False,
    as_json: Json = False,
) -> None:
    """Show the jobs of a run, also while it goes on."""
    from rich.live import Live

    rows = jobs_of(directory)
    if as_json:
        show_json([line(row) for row in rows])
        return
    if watch:
        with Live(as_table(str(directory), tree(rows)), console=console(), screen=False) as live:
            while any(row.state in ("waiting", "running") for row in rows):
                time.sleep(INTERVAL_S)
                rows = jobs_of(directory)
                live.update(as_table(str(directory), tree(rows)))
    else:
        console().print(as_table(str(directory), tree(rows)))
    typer.echo(", ".join(f"{n} {state}" for state, n in Counter(str(row.state) for row in rows).items()))
    for row in rows:
        if row.state == "failed":
            _show_log(directory, row)


def jobs_of(directory: Path) -> list[JobRow]:
    """Return the jobs of a run directory.

    Raises
    ------
    InputError
        If there is no run.
    """
    from mscflow.executors import STORE_FILE, Journal, require_run

    require_run(directory)
    journal = Journal(directory / STORE_FILE)
    rows = journal.rows()
    journal.close()
    return rows


def line(row: JobRow) -> dict[str, Any]:
    """Return what a table says of a job."""
    return {
        "job": row.name,
        "state": str(row.state),
        "attempts": row.n_attempts,
        "wall time / s": row.wall_time_s if row.ended else _running_time(row),
        "where": row.host,
        "error": row.error.strip().splitlines()[-1] if row.error.strip() else "",
    }


def tree(rows: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the lines of a table, jobs indented by how many others they wait for in a row."""
    keys: dict[str, list[tuple[str, int]]] = {}  # a job that was replaced has one for each index
    for row in rows:
        keys.setdefault(row.uuid, []).append(row.key)
    parents = {
        row.key: {key for uuid in row.parents if uuid != row.uuid for key in keys.get(uuid, ())}
        for row in rows
    }
    depth: dict[tuple[str, int], int] = {}
    for key in TopologicalSorter(parents).static_order():
        depth[key] = max((depth[parent] + 1 for parent in parents[key]), default=0)
    lines = [line(row) for row in rows]
    for row, found in zip(rows, lines, strict=True):
        found["job"] = "  " * depth[row.key] + ("└ " if depth[row.key] else "") + row.name
    return lines


def _show_log(directory: Path, row: JobRow) -> None:
    """Print the end of a failed job's log."""
    from mscflow.executors.driver import LOG_FILE, job_directory

    log = job_directory(directory, row) / LOG_FILE
    text = log.read_text(errors="replace").strip() if log.is_file() else row.error.strip()
    typer.echo(f"\n{row.name}: {log if log.is_file() else 'error'}")
    for entry in text.splitlines()[-LOG_LINES:]:
        typer.echo(f"    {entry}")


def _running_time(row: JobRow) -> float | None:
    return time.time() - row.started if row.state == "running" and row.started else None
