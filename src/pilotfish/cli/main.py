"""The command ``pilotfish``: its groups, its exit statuses."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer

from pilotfish.cli import compile as compile_
from pilotfish.cli import count, quantize, run, targets, terminal, verify
from pilotfish.errors import PilotfishError, StorageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Takes a trained neural network to a RISC-V board: compile, run, check, count.",
    epilog="Exit status: 0 done, 2 bad option, 3 bad model, 4 bad input, 5 a tool is missing or failed, "
    "6 wrong machine, 7 bad bundle, 8 file trouble, 9 results differ, 130 Ctrl-C.",
)
for group in (compile_, quantize, run, verify, count, targets):
    group.register(app)
for command in app.registered_commands:  # the screen decides where lines of help end, not the source
    paragraphs = inspect.getdoc(command.callback) or ""
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs.split("\n\n"))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pilotfish {metadata.version('pilotfish')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line: a user's mistake is a sentence and an exit status, never a traceback."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(prog_name="pilotfish")
        status: Any = 0
    except SystemExit as ended:
        status = ended.code
    except KeyboardInterrupt:
        status = 130
    except PilotfishError as error:
        status = _failed(error)
    except OSError as error:  # of standard output: everything else has become a StorageError
        status = _failed(StorageError(f"cannot write {error.filename or 'the output'}: {error.strerror or error}"))
    sys.exit(_flushed(status))


def _failed(error: PilotfishError) -> int:
    if isinstance(error.__cause__, BrokenPipeError):
        return 1
    terminal.fail(str(error))
    return error.exit_status


def _flushed(status: Any) -> Any:
    """A reader that went away (``| head``) is no error worth words; a full disk is one."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status or _failed(StorageError(f"cannot write the output: {error.strerror}"))
    return status


def _terminated(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
