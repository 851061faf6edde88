"""How clusters, result documents and campaigns show themselves in Jupyter.

IPython asks these functions when such an object is the last line of a cell; `mscflow.notebook` names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mscflow.cluster import Cluster
from mscflow.reactions.energies import ReactionEnergies
from mscflow.report.page import element_styles, fill_part, summary
from mscflow.report.results import CampaignResults, part_of, part_of_energies
from mscflow.report.tables import all_tables
from mscflow.tasks.document import Document
from mscflow.topology import topology

PIXELS = 26.0
"""Width of an atom with a drawn radius of 1 Å."""

Point = Sequence[float | None]
NOWHERE: Point = (None, None, None)
"""Ends a line."""


def cluster_figure(cluster: Cluster) -> dict[str, Any]:
    """Return a cluster as a plotly figure that can be turned: atoms by element, bonds of its graph."""
    positions = (cluster.positions - cluster.positions.mean(axis=0)).round(4).tolist()
    styles = element_styles(cluster)
    traces: list[dict[str, Any]] = []
    for symbol, style in styles.items():
        members = [i for i, other in enumerate(cluster.symbols) if other == symbol]
        traces.append(
            {
                "type": "scatter3d",
                "mode": "markers",
                "name": symbol,
                **_columns([positions[i] for i in members]),
                "text": [f"{symbol}{i}" for i in members],
                "hoverinfo": "text",
                "marker": {"size": PIXELS * style["radius"], "color": style["colour"], "opacity": 1.0},
            }
        )
    edges = topology(cluster).graph.edges
    bonds = [point for a, b in edges for point in (positions[a], positions[b], NOWHERE)]
    line = {"type": "scatter3d", "mode": "lines", "hoverinfo": "skip", "showlegend": False}
    traces.append({**line, **_columns(bonds), "line": {"color": "#8b95a1", "width": 6}})
    hidden = {"visible": False, "showspikes": False}
    scene = {"aspectmode": "data", "xaxis": hidden, "yaxis": hidden, "zaxis": hidden}
    layout = {
        "title": {"text": f"{cluster.name or cluster.formula}, {len(cluster)} atoms"},
        "scene": {**scene, "dragmode": "orbit"},
        "margin": {"l": 0, "r": 0, "t": 40, "b": 0},
        "height": 420,
    }
    return {"data": traces, "layout": layout}


def _columns(points: Sequence[Point]) -> dict[str, list[float | None]]:
    """Return points as x, y and z."""
    return {axis: [point[k] for point in points] for k, axis in enumerate("xyz")}


def show_cluster(cluster: Cluster, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    """Return what a notebook shows of a cluster, with plotly's renderer for that notebook."""
    from plotly.graph_objects import Figure

    figure = Figure(cluster_figure(cluster))
    bundle: dict[str, Any] = figure._repr_mimebundle_(include, exclude)
    return {**bundle, "text/plain": repr(cluster)}


def document_html(document: Document) -> str | None:
    """Return the key numbers, warnings and tables of a result document; None where reports know no such."""
    if isinstance(document, ReactionEnergies):
        part: str | None = part_of_energies(document)
    else:
        part = part_of(type(document))
    if part is None:
        return None
    return campaign_html(CampaignResults(name="", machine="", **{part: document}))


def campaign_html(results: CampaignResults) -> str:
    """Return the key numbers, warnings and tables of a campaign."""
    return fill_part(
        "notebook.html.jinja",
        name=results.name,
        summary=summary(results),
        warnings=results.warnings(),
        tables=[table for table in all_tables(results) if table.rows and table.key != "versions"],
    )
