"""Tell IPython how mscflow's objects show themselves; done by ``import mscflow`` inside of it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

CLUSTER = ("mscflow.cluster", "Cluster")
DOCUMENT = ("mscflow.tasks.document", "Document")
CAMPAIGN = ("mscflow.report.results", "CampaignResults")


def register(formatter: Any) -> None:
    """Register our objects by name with IPython's formatter; nothing is imported before it is shown."""
    formatter.mimebundle_formatter.for_type_by_name(*CLUSTER, _later("show_cluster"))
    html = formatter.formatters["text/html"]
    html.for_type_by_name(*DOCUMENT, _later("document_html"))
    html.for_type_by_name(*CAMPAIGN, _later("campaign_html"))


def _later(name: str) -> Any:
    """Return a function of `mscflow.report.notebook` that is imported when it is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module("mscflow.report.notebook"), name)(*arguments, **options)

    return call
