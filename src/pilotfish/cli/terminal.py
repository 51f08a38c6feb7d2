"""What commands print with: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Progress = Callable[[str], None]

# Where there is no terminal there is no width to keep to.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """A line that says what goes on: it moves on a terminal, and is printed where there is none."""
    if not err.is_terminal:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    with err.status("") as status:
        yield lambda text: status.update(plain(text))


def emit(data: Mapping[str, Any] | list[Any]) -> None:
    """Print JSON, and nothing else, on standard output."""
    print(json.dumps(_finite(data), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON knows no infinities and no NaN: they become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def say(text: str = "") -> None:
    """Print a line of the result."""
    out.print(text, markup=False)


def note(text: str) -> None:
    """Print a line beside the result."""
    err.print(text, markup=False)


def fail(text: str) -> None:
    """Print why a command failed."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(text, markup=False)


def plain(text: str) -> str:
    """Text that rich prints as it is, brackets and all."""
    return escape(text)


def table(*columns: str, left: int = 1) -> Table:
    """A table for :func:`show`: the first ``left`` columns are text, the others numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return made


def show(made: Table) -> None:
    """Print a table."""
    out.print(made, soft_wrap=False)
