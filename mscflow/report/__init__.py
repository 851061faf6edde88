"""One offline HTML page per campaign, made from result documents only."""

from mscflow.report.page import write_report
from mscflow.report.results import CampaignResults, JobLine

__all__ = ["CampaignResults", "JobLine", "write_report"]
