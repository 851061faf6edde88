"""Exceptions of mscflow, each with the exit code the command line gives it."""

from __future__ import annotations


class MscflowError(Exception):
    """A failure that is explained in one line and needs no traceback."""

    exit_code = 1


class InputError(MscflowError, ValueError):
    """The input is wrong: the message names what, where, and what would be right.

    It is a ``ValueError`` too, so that pydantic adds the place in the file.
    """

    exit_code = 2


class CalculationError(MscflowError):
    """A calculation started from valid input and failed (not converged, out of memory, ...)."""


class OutOfTimeError(MscflowError):
    """A calculation stopped before its time limit; run again in the same place it goes on."""

    exit_code = 75  # "temporary failure" of sysexits.h: a batch script can tell it from an error


class DownloadError(MscflowError):
    """A file that was asked for cannot be downloaded, or is not what it should be."""


class StoreError(MscflowError):
    """The run directory cannot be used: read-only, full, in use, or of another campaign."""

    exit_code = 2


class StaleWarning(UserWarning):
    """A result of a run that goes on lacks what is computed anew; the message says which, in one line."""


class RepairWarning(UserWarning):
    """Something in an input file was mended; the message says what, in one line."""
