"""The command line: ``mscflow COMMAND``."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from typing import Annotated, Any

import typer

from mscflow import __version__
from mscflow.cli import calculations, campaigns, experiment, models, status, store, structures
from mscflow.cli.doctor import doctor
from mscflow.errors import MscflowError, RepairWarning, StaleWarning

app = typer.Typer(
    name="mscflow",
    help="DFT and machine-learning workflows on ligand-capped magic-sized clusters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
structures.register(app)
calculations.register(app)
campaigns.register(app)
status.register(app)
experiment.register(app)
models.register(app)
app.add_typer(store.app, name="store")
app.command(epilog="Example: mscflow doctor")(doctor)

INTERRUPTED = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mscflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options of every command; `main` looks for ``--debug`` itself."""


def main() -> None:
    """Run the command line: one line per error.

    Exit 0, 1 (a calculation failed), 2 (bad input), 75 (no time left: resume) or 130 (interrupted).
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        code = app(arguments, prog_name="mscflow", standalone_mode=False) or 0
    except typer.TyperException as err:
        code = _fail(err, _usage(err), getattr(err, "exit_code", 1), debug)
    except MscflowError as err:
        code = _fail(err, str(err), err.exit_code, debug)
    except OSError as err:
        code = _fail(
            err, _explain(err), 2 if err.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES) else 1, debug
        )
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as err:  # noqa: BLE001 - the last line of defence: no traceback unless asked for
        code = _fail(err, f"internal error ({type(err).__name__}): {err}; --debug shows where", 1, debug)
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Print our own warnings, one line each; other libraries' warnings are no business of a user."""
    del place
    if issubclass(category, (RepairWarning, StaleWarning)):
        print(f"warning: {message}", file=sys.stderr)


def _fail(err: BaseException, message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(err)
    if message:
        print(f"mscflow: {' '.join(message.split())}", file=sys.stderr)
    return code


def _usage(err: typer.TyperException) -> str:
    """Return what is wrong with a command line; nothing where the help stands there already."""
    message, context = err.format_message().rstrip("."), getattr(err, "ctx", None)
    command = context.command_path if context is not None else "mscflow"
    return f"{message}; {command} --help shows what is right" if message else ""


def _explain(err: OSError) -> str:
    where = f"{err.filename}: " if err.filename else ""
    if err.errno == errno.ENOSPC:
        return f"{where}the disk is full: free some space and run `mscflow resume`"
    return f"{where}{err.strerror or err}"
