"""Commands that look after the store of a run: check, export, import, merge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mscflow.errors import StoreError

Place = Annotated[Path, typer.Argument(help="Run directory, or SQLite file of a store.")]

app = typer.Typer(no_args_is_help=True, help="Check, export, import and merge stores.")


@app.command(epilog="Example: mscflow store check runs/quickstart")
def check(place: Place) -> None:
    """Say whether a store is whole, and if not, what is wrong."""
    from mscflow.executors.archive import check as check_store
    from mscflow.executors.archive import store_file

    path = store_file(place)
    problems = check_store(path)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise StoreError(f"{path}: {len(problems)} problem(s)")
    typer.echo(f"{path}: whole")


@app.command(epilog="Example: mscflow store export runs/quickstart quickstart.jsonl.gz")
def export(
    place: Place, target: Annotated[Path, typer.Argument(help="File to write, .jsonl or .jsonl.gz.")]
) -> None:
    """Write every document as one line of JSON."""
    from mscflow.executors.archive import export as export_store
    from mscflow.executors.archive import store_file

    typer.echo(f"{target}: {export_store(store_file(place), target)} documents")


@app.command("import", epilog="Example: mscflow store import quickstart.jsonl.gz results.sqlite")
def take_in(
    source: Annotated[Path, typer.Argument(help="File that `mscflow store export` wrote.")],
    target: Annotated[Path, typer.Argument(help="SQLite file of the store, new or not.")],
) -> None:
    """Write exported documents into a store."""
    from mscflow.executors.archive import take_in as take_in_documents

    typer.echo(f"{target}: {take_in_documents(source, target)} documents")


@app.command(epilog="Example: mscflow store merge runs/a runs/b -o results.sqlite")
def merge(
    places: Annotated[list[Path], typer.Argument(help="Run directories or SQLite files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="SQLite file to write.")],
) -> None:
    """Put the results of several runs into one store."""
    from mscflow.executors.archive import merge as merge_stores
    from mscflow.executors.archive import store_file

    n = merge_stores([store_file(place) for place in places], output)
    typer.echo(f"{output}: {n} documents")
