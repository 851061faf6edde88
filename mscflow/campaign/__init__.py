"""The campaign file: what a user writes, checked and turned into a flow."""

from mscflow.campaign.campaign import Campaign
from mscflow.campaign.file import load_campaign, parse_campaign

__all__ = ["Campaign", "load_campaign", "parse_campaign"]
