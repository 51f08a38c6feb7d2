"""``pilotfish count``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pilotfish.cli import options, terminal

if TYPE_CHECKING:
    from pilotfish.bundle.manifest import StepEntry
    from pilotfish.measure.count import Counts, Step

EXAMPLES = """\
[bold]Examples[/]

$ pilotfish count out/

$ pilotfish count out/ --vlen 256 --top 3

$ pilotfish count out/ --vlen 512 --per-step --json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("count", epilog=EXAMPLES)(count_bundle)


def count_bundle(
    bundle: options.BundleArgument,
    vlen: options.Vlen = None,
    per_step: Annotated[bool, typer.Option("--per-step", help="Show every step, in the order of execution.")] = False,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="Show the N costliest steps.")] = 10,
    json: options.Json = False,
) -> None:
    """Count the instructions that one inference executes, exactly, by class and step.

    A slot is what a machine issues in a cycle: a scalar or vsetvl instruction is one, a vector instruction as many as
    the registers it works on (its LMUL).
    """
    import pilotfish

    opened = pilotfish.Bundle.open(bundle)
    manifest = opened.manifest
    with terminal.progress() as progress:
        counts = opened.count(vlen=vlen, steps=per_step or top > 0 or json, progress=progress)
    steps = list(zip(counts.steps, manifest.steps, strict=bool(counts.steps)))
    if json:
        terminal.emit(_data(counts, steps, manifest.macs))
        return
    terminal.say(f"{manifest.model} for {manifest.target.name}, one inference, counted by {counts.where}\n")
    _classes(counts, manifest.macs)
    shown = steps if per_step else sorted(steps, key=lambda s: -s[0].executed.slots)[:top]
    if shown:
        terminal.say(f"\n{len(shown)} of {len(steps)} steps" + ("" if per_step else ", the costliest first"))
        _steps(shown)


def _classes(counts: Counts, macs: int) -> None:
    total = counts.total
    table = terminal.table("", "instructions", "slots")
    table.add_row("scalar", f"{total.scalar:,}", f"{total.scalar:,}")
    table.add_row("vsetvl", f"{total.vset:,}", f"{total.vset:,}")
    table.add_row("vector arithmetic", f"{total.arith:,}", f"{total.arith_slots:,}")
    table.add_row("vector memory", f"{total.memory:,}", f"{total.memory_slots:,}")
    table.add_row("all", f"{total.instructions:,}", f"{total.slots:,}", style="bold")
    if macs:
        table.add_row(f"per MAC of {macs:,}", f"{total.instructions / macs:.3f}", f"{total.slots / macs:.3f}")
    terminal.show(table)


def _steps(steps: list[tuple[Step, StepEntry]]) -> None:
    table = terminal.table("node", "operator", "kernel", "instructions", "slots", "MACs", "slots/MAC", left=3)
    for step, entry in steps:
        per_mac = f"{step.executed.slots / entry.macs:.3f}" if entry.macs else ""
        cells = (f"{step.executed.instructions:,}", f"{step.executed.slots:,}", f"{entry.macs:,}", per_mac)
        table.add_row(*map(terminal.plain, (entry.node, entry.op, step.kernel)), *cells)
    terminal.show(table)


def _data(counts: Counts, steps: list[tuple[Step, StepEntry]], macs: int) -> dict[str, object]:
    return {
        "source": "counted",
        "where": counts.where,
        "vlen": counts.vlen,
        "macs": macs,
        "total": counts.total.as_dict(),
        "slots_per_mac": counts.total.slots / macs if macs else None,
        "dispatch": counts.dispatch.as_dict(),
        "steps": [
            {"node": entry.node, "op": entry.op, "kernel": step.kernel, "macs": entry.macs, **step.executed.as_dict()}
            for step, entry in steps
        ],
    }
