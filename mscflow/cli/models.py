"""Commands on machine-learned potentials: models, train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mscflow.cli.output import show_json, show_table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: mscflow models")(models)
    app.command(epilog="Example: mscflow train inputs/train_msc_small.yaml --dir runs/train")(train)


def models(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the potentials that come with mscflow."""
    from mscflow.levels.registry import shipped_models

    records = shipped_models().values()
    if as_json:
        show_json([record.model_dump(mode="json") for record in records])
        return
    rows = [
        {
            "level": f"mace:{record.name}",
            "elements": " ".join(record.elements),
            "teacher": record.teacher,
            "charge and spin": "read" if record.reads_charge else "ignored",
            "size / MB": record.path.stat().st_size / 1e6 if record.path.is_file() else None,
            "licence": record.licence,
            "SHA-256": record.sha256[:12] + "…",
        }
        for record in records
    ]
    show_table("Shipped models", rows)
    typer.echo("A file of your own: --level mace:PATH --trust")


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (YAML).")],
    directory: Annotated[Path, typer.Option("--dir", help="Where labels, checkpoints and model go.")] = Path(
        "runs/train"
    ),
    workers: Annotated[int, typer.Option(help="Processes for the labels.")] = 2,
) -> None:
    """Train a potential: label, fit, validate, write the card. Called again, it goes on where it stopped."""
    from mscflow.train.pipeline import load_recipe
    from mscflow.train.pipeline import train as train_model

    record = train_model(load_recipe(recipe), directory, workers)
    typer.echo(f"{directory / record.file}: " + ", ".join(f"{k} {v}" for k, v in record.errors.items()))
