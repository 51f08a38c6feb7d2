"""``pilotfish run``."""

from __future__ import annotations

import io
from typing import Annotated, Any

import numpy as np
import typer

from pilotfish.cli import options, terminal

EXAMPLES = """\
[bold]Examples[/]

$ pilotfish run out/ --input digit.png

$ pilotfish run out/ --input x.npy --output y.npy --vlen 512

$ pilotfish run out/ --input left=a.npy --input right=b.npy --output score=score.npy --json
"""
_SHOWN = 1000  # elements of an output that go into JSON


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog=EXAMPLES)(run_bundle)


def run_bundle(
    bundle: options.BundleArgument,
    inputs: options.Inputs = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="[NAME=]FILE.npy", help="Where an output goes. Repeatable."),
    ] = None,
    vlen: options.Vlen = None,
    json: options.Json = False,
) -> None:
    """Run a bundle on inputs: under QEMU, or natively if it was compiled for `host`.

    A .npy or raw file with one more leading dimension is a batch of inferences. An image is fitted to the input: its
    height and width, grey or RGB, values divided by 255. A program compiled with --preprocess takes its bytes instead;
    an image of another size than it was compiled for is resized by Pillow.
    """
    import pilotfish
    from pilotfish.bundle import replace_file

    opened = pilotfish.Bundle.open(bundle)
    wanted = options.files("--output", output, [t.name for t in opened.manifest.outputs])
    arrays = options.arrays(inputs, opened.manifest)
    with terminal.progress() as progress:
        results = opened.run(arrays, vlen=vlen, progress=progress)
    for name, file in wanted.items():
        replace_file(file, _npy(results[name]))
    files = {name: str(file) for name, file in wanted.items()}
    if json:
        terminal.emit({"outputs": {name: _described(array, files.get(name)) for name, array in results.items()}})
        return
    for name, array in results.items():
        terminal.say(f"{name}: {array.dtype.name}[{'x'.join(map(str, array.shape))}] {files.get(name, '')}".rstrip())
        if name not in files:
            terminal.say(np.array2string(array, threshold=64, precision=6, suppress_small=True))


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _described(array: np.ndarray[Any, Any], file: str | None) -> dict[str, Any]:
    values = {"file": file} if file else {"values": array.tolist()} if array.size <= _SHOWN else {}
    return {"dtype": array.dtype.name, "shape": list(array.shape), **values}
