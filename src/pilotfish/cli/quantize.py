"""``pilotfish quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotfish.cli import options, terminal
from pilotfish.errors import UsageError

if TYPE_CHECKING:
    from pilotfish.measure.quantize import Report

EXAMPLES = """\
[bold]Examples[/]

$ pilotfish quantize model.onnx --calib samples.npz -o model.int8.onnx

$ pilotfish quantize model.onnx --calib photos/ --preprocess imagenet -o model.int8.onnx --method percentile

$ pilotfish quantize model.onnx --calib data.py:samples --labels labels.npy -o model.int8.onnx --auto --min-accuracy 97
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("quantize", epilog=EXAMPLES)(quantize_model)


def quantize_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The trained network, in float32.")],
    calib: Annotated[
        str,
        typer.Option(
            "--calib",
            metavar="DATA",
            help="Typical inputs: a .npz with arrays by input name, a folder of images, or SCRIPT.py:FUNCTION, which "
            "yields dicts of arrays.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.onnx", help="Where the int8 model goes.")],
    method: Annotated[
        str, typer.Option("--method", help="How ranges are taken from the data: minmax, entropy or percentile.")
    ] = "minmax",
    per_tensor: Annotated[
        bool, typer.Option("--per-tensor", help="One scale for all weights of a layer, not one per channel.")
    ] = False,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="NODE", help="Keep a node in float. Repeatable.")
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Keep the layers that hurt in float until the goal is reached.")
    ] = False,
    min_snr: Annotated[
        float | None, typer.Option("--min-snr", metavar="DB", help="Goal: signal to noise of the outputs.")
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", metavar="PERCENT", help="Goal: right answers; needs labels.")
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            "--preprocess",
            metavar="imagenet|FILE.toml",
            help="What is done to a folder's images, as `pilotfish compile` has it; by default resized and / 255.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE.npy", help="The right class of each inference, if not in the .npz."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="NAME=1x3x224x224", help="Bind an input's free dimensions. Repeatable."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, metavar="N", help="Take no more inferences than this.")
    ] = 1000,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="Show the N layers that lose most.")] = 10,
    json: options.Json = False,
) -> None:
    """Quantize a float model to int8 with calibration data, and say what it cost, layer by layer.

    The result is an ONNX file in QDQ form, which `pilotfish compile` turns into integer kernels and every ONNX tool can
    run. Figures are measured on the calibration data, by ONNX Runtime.
    """
    if auto != (min_snr is not None or min_accuracy is not None):
        raise UsageError("--auto goes with a goal: --min-snr DB or --min-accuracy PERCENT")
    import pilotfish
    from pilotfish.measure.quantize.calibration import labels_file

    with terminal.progress() as progress:
        report = pilotfish.quantize(
            model,
            calib,
            output=output,
            labels=None if labels is None else labels_file(labels),
            method=method,
            per_tensor=per_tensor,
            exclude=exclude or (),
            min_snr=min_snr,
            min_accuracy=min_accuracy,
            shapes=options.shapes(shape),
            samples=samples,
            preprocess=preprocess,
            progress=progress,
        ).report
    if json:
        terminal.emit({"output": str(output), **report.json()})
    else:
        _summary(output, report, top)


def _summary(output: Path, report: Report, top: int) -> None:
    scales = "per channel" if report.per_channel else "per tensor"
    count = len(report.layers) + report.exact
    share = 100 * report.bytes_after / report.bytes_before
    terminal.say(f"{output}: {report.bytes_after:,} bytes, {share:.0f} % of {report.bytes_before:,}")
    terminal.say(f"  calibrated  {report.method} on {report.inferences} inferences, weights {scales}")
    terminal.say(f"  quantized   {count} nodes, {report.exact} of them without loss")
    for name, names in (("kept", report.kept), ("excluded", report.excluded), ("float", report.unquantized)):
        if names:
            shown = ", ".join(names[:10]) + (f", … ({len(names) - 10} more)" if len(names) > 10 else "")
            terminal.say(f"  {name:<11} {len(names)} node{'s' if len(names) != 1 else ''} in float: {shown}")
    for name, value in report.snr.items():
        terminal.say(f"  output      {name}: {value:.1f} dB signal to noise")
    if report.accuracy_before is not None and report.accuracy_after is not None:
        terminal.say(f"  accuracy    {report.accuracy_after:.2f} %, in float {report.accuracy_before:.2f} %")
    for note in report.notes:
        terminal.say(f"  note        {note}")
    layers = report.layers[:top]
    if layers:
        terminal.say(
            f"\n{len(layers)} of {len(report.layers)} layers that round, the worst first; signal to noise in dB"
        )
        _table(report, top)


def _table(report: Report, top: int) -> None:
    table = terminal.table("layer", "operator", "alone", "so far", "weights", "widest channel", left=2)
    for layer in report.layers[:top]:
        weights = "" if layer.weights is None else f"{layer.weights:.1f}"
        spread = "" if layer.spread is None else f"{layer.spread:.1f} ×"
        figures = (f"{layer.own:.1f}", f"{layer.accumulated:.1f}", weights, spread)
        table.add_row(*map(terminal.plain, (layer.node, layer.op)), *figures)
    terminal.show(table)
