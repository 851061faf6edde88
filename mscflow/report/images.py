"""The plots of a report as files of their own, for a paper or a talk."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mscflow.errors import InputError
from mscflow.report.page import all_plots
from mscflow.report.results import CampaignResults

ImageFormat = Literal["svg", "png", "pdf"]
SCALE = 3
"""Pixels of a PNG for each point of the plot."""


def write_images(results: CampaignResults, directory: Path, form: ImageFormat = "svg") -> list[Path]:
    """Write every plot of a report into a directory.

    Parameters
    ----------
    results
        What is known of the campaign.
    directory
        Where ``PLOT.svg`` and so on go; it is made if needed.
    form
        ``svg``, ``pdf`` or ``png``.

    Returns
    -------
    list of Path
        One file per plot.

    Raises
    ------
    InputError
        If kaleido is missing, or the Chrome or Chromium it draws with.
    """
    if find_spec("kaleido") is None:
        raise InputError("images need kaleido: pip install 'mscflow[images]', and Chrome or Chromium")
    import plotly.io

    figures = all_plots(results)
    if not figures:
        return []
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.{form}" for name in figures]
    try:
        plotly.io.write_images(
            fig=list(figures.values()), file=paths, format=form, scale=SCALE if form == "png" else 1
        )
    except (RuntimeError, OSError) as err:
        raise InputError(f"images could not be drawn: {str(err).strip().splitlines()[0]}") from err
    return paths
