"""Run jobflow flows durably. This part knows jobflow and the store, and nothing of chemistry."""

from mscflow.executors.driver import JobEvent
from mscflow.executors.job_row import JobRow, State
from mscflow.executors.journal import Journal
from mscflow.executors.manager import STORE_FILE, require_run, resume, run
from mscflow.executors.site import Site, load_site

__all__ = [
    "STORE_FILE",
    "JobEvent",
    "JobRow",
    "Journal",
    "Site",
    "State",
    "load_site",
    "require_run",
    "resume",
    "run",
]
