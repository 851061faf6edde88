"""The page of all clusters: a picture of each, drawn from what the builder makes."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import mscflow
from mscflow.builder.catalogue import CATALOGUE, Entry
from mscflow.cluster import Cluster
from mscflow.topology import topology

FADED = 0.25
"""How much of its colour a ligand keeps."""


def write(docs: Path) -> None:
    """Write ``gallery.md`` and its pictures; those that are there already are kept.

    Parameters
    ----------
    docs
        The folder of the pages.
    """
    entries = [entry for entry in CATALOGUE.values() if entry.family != "molecular precursor"]
    (docs / "gallery").mkdir(exist_ok=True)
    for entry in entries:
        picture = docs / "gallery" / f"{entry.name}.png"
        if not picture.exists():
            draw(mscflow.build(entry.name), picture)
    page = "\n\n".join([INTRODUCTION, *(section(entry) for entry in entries)]) + "\n"
    if not (docs / "gallery.md").exists() or (docs / "gallery.md").read_text() != page:
        (docs / "gallery.md").write_text(page)


INTRODUCTION = """# Gallery

Every cluster of the catalogue with its native ligands, as `mscflow build NAME` makes it: core bonds in full
colour, ligands faded. These are starting geometries; none of the cores is a crystal structure, and each entry
says how it is made."""


def section(entry: Entry) -> str:
    """Return the part of the page about one cluster."""
    wavelength = f"; absorbs first at {entry.wavelength:.0f} nm in solution" if entry.wavelength else ""
    return (
        f"## {entry.name}\n\n"
        f"{entry.formula}, {entry.n_atoms} atoms: {entry.family}{wavelength}. "
        f"Core {entry.provenance}. {entry.source}.\n\n"
        f"![{entry.formula}, seen along its smallest axis of inertia](gallery/{entry.name}.png)"
    )


def draw(cluster: Cluster, path: Path) -> None:
    """Draw a cluster, hydrogens left out, the nearer atoms over the farther ones.

    Parameters
    ----------
    cluster
        The structure.
    path
        A ``.png`` file.
    """
    found = topology(cluster)
    xyz = flat(cluster.positions)
    shown = cluster.numbers != 1
    skeleton = np.isin(np.arange(len(cluster)), found.skeleton)
    colours = jmol_colors[cluster.numbers]
    colours[~skeleton] = 1 - FADED * (1 - colours[~skeleton])
    bonds = [pair for pair in found.graph.edges if shown[list(pair)].all()]
    depth = np.concatenate([xyz[shown, 2], [xyz[list(pair), 2].mean() for pair in bonds]])
    order = depth.argsort().argsort()
    figure = Figure(figsize=(5, 5), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1), aspect="equal", frameon=False, xticks=[], yticks=[])
    for rank, pair in zip(order[shown.sum() :], bonds, strict=True):
        core = skeleton[list(pair)].all()
        axes.add_collection(
            LineCollection(
                [xyz[list(pair), :2]],
                colors="0.35" if core else "0.85",
                linewidths=1.6 if core else 0.8,
                zorder=rank,
            )
        )
    for rank, atom in zip(order, np.flatnonzero(shown), strict=False):
        radius = 0.45 * covalent_radii[cluster.numbers[atom]] * (1 if skeleton[atom] else 0.6)
        edge = "0.2" if skeleton[atom] else "0.75"
        axes.add_patch(
            mpl.patches.Circle(
                xyz[atom, :2], radius, facecolor=colours[atom], edgecolor=edge, linewidth=0.5, zorder=rank
            )
        )
    axes.autoscale_view()
    figure.savefig(path)


def flat(positions: np.ndarray) -> np.ndarray:
    """Return coordinates / Å in the frame of the axes of inertia, the shortest one towards the reader."""
    centred = positions - positions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ axes[:, ::-1])
