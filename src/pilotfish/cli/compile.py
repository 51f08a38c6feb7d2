"""``pilotfish compile``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotfish.cli import options, terminal

if TYPE_CHECKING:
    from pilotfish.api import Bundle

EXAMPLES = """\
[bold]Examples[/]

$ pilotfish compile model.onnx --target sifive-x280 -o out/

$ pilotfish compile detector.onnx -o out/ --shape images=1x3x224x224

$ pilotfish compile model.onnx --target rv64gcv --vlen 128 --mattr +zba,+zbb --name digits -o out/

$ pilotfish compile resnet50.onnx --preprocess imagenet --image-size 480x640 -o out/
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile", epilog=EXAMPLES)(compile_model)


def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The trained network.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the bundle goes.")],
    target: Annotated[
        str,
        typer.Option(
            "--target", "-t", metavar="TARGET", help="See `pilotfish targets`.", autocompletion=options.target_names
        ),
    ] = "rv64gcv",
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="NAME=1x3x224x224", help="Bind an input's free dimensions. Repeatable."),
    ] = None,
    mcpu: Annotated[
        str | None, typer.Option("--mcpu", metavar="CPU", help="The C compiler's -mcpu, instead of the target's.")
    ] = None,
    mattr: Annotated[
        str | None, typer.Option("--mattr", metavar="+zba,-zbb", help="Extensions to add and to leave out.")
    ] = None,
    vlen: Annotated[
        int | None, typer.Option("--vlen", metavar="BITS", help="Vector length to pack weights for.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Start of file names and of C names.")] = "model",
    preprocess: Annotated[
        str | None,
        typer.Option(
            "--preprocess",
            metavar="imagenet|FILE.toml",
            help="Take the bytes of an image, and resize, crop, normalise and quantize them in the program.",
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option("--image-size", metavar="HxW", help="Of the image whose bytes the program takes."),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="fp32|fp16", help="fp16: float16 inside, on targets with Zvfh.")
    ] = "fp32",
    json: options.Json = False,
) -> None:
    """Compile an ONNX model into a bundle: a static program, a C library, weights and a manifest.

    A bundle in DIR is replaced once the new one is complete; anything else in DIR is left alone.
    """
    import pilotfish

    shapes, sides = options.shapes(shape), options.size("--image-size", image_size)
    with terminal.progress() as progress:
        bundle = pilotfish.compile(
            model,
            target=target,
            output=output,
            shapes=shapes,
            name=name,
            cpu=mcpu,
            attributes=mattr,
            vlen=vlen,
            preprocess=preprocess,
            image_size=sides,
            precision=precision,  # type: ignore[arg-type]  # compile says what it may be
            progress=progress,
        )
    if json:
        terminal.emit({"bundle": str(output), **bundle.manifest.json()})
    else:
        _summary(bundle)


def _summary(bundle: Bundle) -> None:
    manifest = bundle.manifest
    sizes, plan = manifest.sizes, manifest.plan
    kernels = Counter(re.sub(r"^pf_(\w+)_[0-9a-f]{8}$", r"\1 loop", step.kernel) for step in manifest.steps)
    above = f"{100 * (plan.arena_bytes / plan.lower_bound_bytes - 1):.1f} % above" if plan.lower_bound_bytes else "at"
    terminal.say(f"{manifest.model} for {manifest.target.name}: {bundle.path}")
    terminal.say(f"  inputs   {'; '.join(map(str, manifest.inputs))}")
    for picture in manifest.preprocess:
        terminal.say(f"  images   {picture.input}: {picture}")
    terminal.say(f"  outputs  {'; '.join(map(str, manifest.outputs))}")
    terminal.say(
        f"  program  {bundle.program.name}: {sizes.program_bytes:,} bytes, "
        f"{sizes.program_without_weights_bytes:,} without weights"
    )
    terminal.say(f"  library  {bundle.library.name}: {sizes.library_text_bytes:,} bytes of code")
    terminal.say(f"  weights  {sizes.weights_bytes:,} bytes")
    terminal.say(f"  arena    {plan.arena_bytes:,} bytes, {above} the lower bound of {plan.lower_bound_bytes:,}")
    terminal.say(f"  work     {manifest.macs:,} multiply-accumulates in {len(manifest.steps)} steps")
    shown = ", ".join(f"{n} × {k}" if n > 1 else k for k, n in kernels.most_common())
    terminal.say(f"  kernels  {shown}")
    for note in manifest.notes:
        terminal.say(f"  note     {note}")
