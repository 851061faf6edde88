"""Commands on machine-learned potentials: models (list, fetch, add, remove), train."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mscflow.cli.arguments import Json
from mscflow.cli.output import show_json, show_table

if TYPE_CHECKING:
    from mscflow.levels.potentials.registry import Model

LISTED = 20
"""Elements that a table names one by one."""

Name = Annotated[str, typer.Argument(help="Name of the model; `mscflow models` shows them.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Loading a model file runs its code: say that you agree.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        invoke_without_command=True,
        help="List the potentials that can be used; fetch, add and remove them.",
        epilog="Example: mscflow models",
    )
    group.callback()(models)
    group.command(epilog="Example: mscflow models fetch medium-mpa-0")(fetch)
    group.command(epilog="Example: mscflow models add my.model --name mine --trust")(add)
    group.command(epilog="Example: mscflow models remove mine")(remove)
    app.add_typer(group, name="models")
    app.command(epilog="Example: mscflow train inputs/train_msc_small.yaml --dir runs/train")(train)


def models(
    context: typer.Context,
    as_json: Json = False,
) -> None:
    """List the potentials that can be used; fetch, add and remove them."""
    if context.invoked_subcommand is not None:
        return
    from mscflow.levels.potentials.library import data_directory
    from mscflow.levels.potentials.registry import known_models

    known = known_models().values()
    if as_json:
        show_json(
            [
                {**model.model_dump(mode="json"), "present": model.present, "size_bytes": model.size}
                for model in known
            ]
        )
        return
    show_table("Models", [_row(model) for model in known], whole=("level",))
    typer.echo(f"Registered files and checksums are kept in {data_directory()}.")
    typer.echo("Nothing is downloaded unless asked: mscflow models fetch NAME")
    typer.echo(
        "A file of your own: mscflow models add FILE --name NAME --trust, or --level mace:PATH --trust"
    )


def _row(model: Model) -> dict[str, Any]:
    inputs = [word for word, read in (("charge", model.reads_charge), ("spin", model.reads_spin)) if read]
    return {
        "level": f"mace:{model.name}",
        "trained on": ": ".join(filter(None, (model.family, model.teacher))) or "unknown",
        "elements": "unknown" if model.elements is None else element_ranges(model.elements),
        "reads": ", ".join(inputs) or "–",
        "licence": (model.licence or "unknown").partition(" (")[0],
        "file": "not here" if model.size is None else f"{model.size / 1e6:.1f} MB",
        "SHA-256": "unknown" if model.sha256 is None else model.sha256[:12],
    }


def element_ranges(elements: Iterable[str]) -> str:
    """Return elements in order; of many, those that follow each other are joined: ``H–Bi Ac–Pu``."""
    from itertools import groupby

    from ase.data import atomic_numbers, chemical_symbols

    numbers = sorted(atomic_numbers[symbol] for symbol in elements)
    if len(numbers) <= LISTED:
        return " ".join(chemical_symbols[number] for number in numbers)
    runs = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [chemical_symbols[number] for _, number in group]
        runs.append(f"{run[0]}–{run[-1]}" if len(run) > 1 else run[0])
    return " ".join(runs)


def fetch(name: Name, trust: Trust = False) -> None:
    """Download a foundation model into mace-torch's cache; the first download records its SHA-256."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress

    from mscflow.levels.potentials.fetch import fetch_model, find_foundation_model

    model = find_foundation_model(name)
    typer.echo(f"{model.family} ({model.name}): licence {model.licence}; {model.url}", err=True)
    with Progress(BarColumn(), DownloadColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(model.name, total=None)
        checksum = fetch_model(
            model, trust, lambda done, total: bar.update(task, completed=done, total=total or None)
        )
    typer.echo(f"{model.path}: SHA-256 {checksum}; use it as --level mace:{model.name}")


def add(
    file: Annotated[Path, typer.Argument(help="Model file of mace-torch.")],
    name: Annotated[str, typer.Option(help="Name to use it by: mace:NAME.")],
    trust: Trust = False,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights.")] = None,
) -> None:
    """Register a local model file under a name."""
    from mscflow.levels.potentials.fetch import add_model

    entry = add_model(file, name, trust, licence)
    typer.echo(
        f"mace:{name}: elements {element_ranges(entry.elements)}, "
        f"charge {'read' if entry.reads_charge else 'ignored'}, "
        f"spin {'read' if entry.reads_spin else 'ignored'}, SHA-256 {entry.sha256}"
    )


def remove(name: Name) -> None:
    """Forget a registered model file."""
    from mscflow.levels.potentials.fetch import remove_model

    remove_model(name)
    typer.echo(f"{name} removed")


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (YAML).")],
    directory: Annotated[Path, typer.Option("--dir", help="Where labels, checkpoints and model go.")] = Path(
        "runs/train"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes for the labels.")] = 2,
) -> None:
    """Train a potential: label, fit, validate, write the card. Called again, it goes on where it stopped."""
    from mscflow.train.pipeline import load_recipe
    from mscflow.train.pipeline import train as train_model

    record = train_model(load_recipe(recipe), directory, workers)
    typer.echo(f"{directory / record.file}: " + ", ".join(f"{k} {v}" for k, v in record.errors.items()))
