"""``pilotfish targets``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from pilotfish.cli import options, terminal
from pilotfish.compiler import targets


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("targets")(list_targets)


def list_targets(json: options.Json = False) -> None:
    """List the targets: cores, boards and hosts that code is compiled for.

    `pilotfish compile` takes one as --target; --mcpu, --mattr and --vlen override what stands here.
    """
    found = [targets.load(name) for name in targets.names()]
    if json:
        terminal.emit([asdict(target) for target in found])
        return
    table = terminal.table("target", "vector bits", "-mcpu", "description", left=4)
    for target in found:
        table.add_row(target.name, str(target.vlen or "none"), target.cpu, target.description)
    terminal.show(table)
