"""Run jobflow flows durably. This part knows jobflow and the store, and nothing of chemistry."""

from mscflow.executors.journal import JobRow, Journal, State
from mscflow.executors.manager import STORE_FILE, JobEvent, require_run, resume, run

__all__ = ["STORE_FILE", "JobEvent", "JobRow", "Journal", "State", "require_run", "resume", "run"]
