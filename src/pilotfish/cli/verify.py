"""``pilotfish verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pilotfish.cli import options, terminal
from pilotfish.errors import MismatchError

EXAMPLES = """\
[bold]Examples[/]

$ pilotfish verify out/

$ pilotfish verify out/ --vlen 128 --vlen 1024 --runs 10

$ pilotfish verify out/ --input digits.npy --rtol 1e-5
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog=EXAMPLES)(verify_bundle)


def verify_bundle(
    bundle: options.BundleArgument,
    inputs: options.Inputs = None,
    vlen: Annotated[
        list[int] | None,
        typer.Option("--vlen", metavar="BITS", help="QEMU's vector length, by default the target's. Repeatable."),
    ] = None,
    rtol: Annotated[
        float | None,
        typer.Option("--rtol", min=0.0, help="Largest relative error that passes: 1e-4, or 2e-2 for float16."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Random inputs to try, if none are given.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random inputs.")] = 0,
    json: options.Json = False,
) -> None:
    """Check a bundle against ONNX Runtime, on random or on given inputs.

    The error of an output is its largest difference divided by the largest magnitude of the reference.
    """
    import pilotfish

    opened = pilotfish.Bundle.open(bundle)
    arrays = options.arrays(inputs, opened.manifest)
    reports = []
    lengths: list[int | None] = [*vlen] if vlen else [None]
    for length in lengths:
        with terminal.progress() as progress:
            report = opened.verify(arrays or None, rtol=rtol, seed=seed, runs=runs, vlen=length, progress=progress)
        reports.append(report)
        if not json:
            terminal.say(str(report))
    if json:
        terminal.emit([{**asdict(r), "relative": r.relative, "passed": r.passed} for r in reports])
    if worst := [r for r in reports if not r.passed]:
        apart = max(r.relative for r in worst)
        raise MismatchError(f"the outputs differ from ONNX Runtime's by {apart:.1e}, more than {worst[0].rtol:g}")
