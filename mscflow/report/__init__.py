"""One offline HTML page per campaign, or for several of them, made from result documents only."""

from mscflow.report.comparison import write_comparison
from mscflow.report.images import write_images
from mscflow.report.page import write_report
from mscflow.report.results import CampaignResults, JobLine

__all__ = ["CampaignResults", "JobLine", "write_comparison", "write_images", "write_report"]
