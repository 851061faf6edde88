"""Commands that put measured data beside structures: pair distribution functions, absorbance in time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mscflow.cli.arguments import Json
from mscflow.cli.output import show_json, show_table, warn
from mscflow.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: mscflow rank measured.gr Cd21Se20 Cd35Se20 relaxed.xyz")(rank)
    app.command(epilog="Example: mscflow rates absorbance.csv")(rates)


def rank(
    measured: Annotated[Path, typer.Argument(help="File with r / Å and G(r) / Å⁻², e.g. of PDFgetX3.")],
    candidates: Annotated[list[str], typer.Argument(help="Structure files, or names of `mscflow list`.")],
    qmin: Annotated[float, typer.Option(help="Lowest Q of the measurement / Å⁻¹.")] = 0.7,
    qmax: Annotated[float, typer.Option(help="Highest Q of the measurement / Å⁻¹.")] = 25.0,
    qdamp: Annotated[float, typer.Option(help="Resolution of the instrument / Å⁻¹.")] = 0.04,
    radiation: Annotated[
        Literal["x-ray", "neutron"], typer.Option(help="With what it was measured.")
    ] = "x-ray",
    as_json: Json = False,
) -> None:
    """Say which structure a measured pair distribution function belongs to.

    A name stands for the structure as it is built, not relaxed: relax the candidates first.
    """
    from mscflow.analysis.pdf_fit import rank as rank_structures
    from mscflow.analysis.pdf_fit import read_pdf
    from mscflow.builder import CATALOGUE, build
    from mscflow.files import read

    function = read_pdf(measured, qmin=qmin, qmax=qmax, qdamp=qdamp, radiation=radiation)
    clusters = {
        name: build(name) if name in CATALOGUE and not Path(name).exists() else read(name)
        for name in candidates
    }
    fits = rank_structures(clusters, function)
    warn(f"{name}: {problem}" for name, fit in fits.items() for problem in fit.problems)
    rows = [
        {
            "structure": name,
            "Rw": fit.rw,
            "strain / %": 100 * fit.strain,
            "scale": fit.scale,
            "U / Å²": fit.u_iso,
        }
        for name, fit in fits.items()
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(
            f"{measured}: scale, strain and displacement fitted, best first; "
            f"{radiation}, Q from {qmin:g} to {qmax:g} Å⁻¹, qdamp {qdamp:g} Å⁻¹",
            rows,
        )


def rates(
    series: Annotated[
        Path, typer.Argument(help="File with columns: time, then the absorbance of one or more samples.")
    ],
    as_json: Json = False,
) -> None:
    """Fit a single exponential to absorbance that was followed in time, and compare samples."""
    from mscflow.analysis.kinetics import compare, read_series

    data = read_series(series)
    try:
        table = compare(data)
    except InputError as err:
        raise InputError(f"{series}: {err}") from err
    unlimited = table[(table["low"] == 0) & (table["high"] == float("inf"))]
    warn(f"{name}: k is not determined by these data" for name in unlimited.index)
    rows: list[dict[str, Any]] = [
        {"sample": str(name), **{str(key): float(value) for key, value in row.items()}}
        for name, row in table.iterrows()
    ]
    if as_json:
        show_json(rows)
    else:
        rows = [{key: f"{v:.4g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows]
        show_table(f"{series}: k in the inverse unit of its times, low and high with 95.4 % confidence", rows)
