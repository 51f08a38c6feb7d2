"""The digits demo: compile a trained network for RISC-V, run real digits through it, check, count, draw; then in int8.

Run by ``make demo``. ``train.py`` tells how the network ``tinycnn.onnx`` and the held-out images were made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import picture
from numpy.typing import NDArray
from scans import as_input, held_out

import pilotfish
from pilotfish.errors import MismatchError, PilotfishError
from pilotfish.measure import verify

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "out" / "digits"
TARGET = "rv64gcv"
VLEN = 256
BOUND = 1e-4
LOSS = 0.5  # points of accuracy that int8 may cost


def progress(what: str) -> None:
    """Say what takes time: in one line that changes, where that is possible."""
    if sys.stdout.isatty():
        print(f"\r\033[K{what}", end="", flush=True)
    else:
        print(what, flush=True)


def line(what: str, figure: str, note: str = "") -> None:
    print(f"  {what:<28}{figure:>16}   {note}".rstrip())


def main(out: Path = OUT) -> None:
    model = HERE / "tinycnn.onnx"
    images, labels = held_out()
    inputs = as_input(images)[:, None]

    bundle = pilotfish.compile(model, target=TARGET, output=out, progress=progress)
    logits = bundle.run({"input": inputs}, progress=progress)["logits"].reshape(len(images), -1)
    counts = bundle.count(vlen=VLEN, progress=progress)
    want = verify.reference(model, {"input": inputs})[0].reshape(len(images), -1)

    taken, expected = logits.argmax(axis=1), want.argmax(axis=1)
    difference = float(np.abs(logits - want).max())
    same = int((taken == expected).sum())
    plan, sizes = bundle.manifest.plan, bundle.manifest.sizes
    arena, bound = plan.arena_bytes, plan.lower_bound_bytes

    progress("")
    print(f"TinyCNN for {TARGET}, {len(images)} held-out scanned digits, one by one in one process")
    for name, answers in (("RISC-V (QEMU)", taken), ("ONNX Runtime", expected)):
        right = int((answers == labels).sum())
        line(f"accuracy on {name}", f"{100 * right / len(labels):.2f} %", f"{right} of {len(labels)}")
    line("same answer", f"{same} of {len(labels)}")
    line("largest difference", f"{difference:.1e}", f"of any output; allowed {BOUND:.0e}")
    total = counts.total
    line("instructions per inference", f"{total.instructions:,}", f"counted under {counts.where}")
    line("of them vector", f"{total.vector:,}", f"{100 * total.vector / total.instructions:.0f} %")
    for step in counts.steps:
        line(f"  in {step.node}", f"{step.executed.instructions:,}", step.kernel)
    line(
        "program", f"{sizes.program_bytes:,} bytes", f"static; {sizes.program_without_weights_bytes:,} without weights"
    )
    line("arena", f"{arena:,} bytes", f"lower bound {bound:,}: {100 * (arena / bound - 1):.1f} % above")

    in_int8(out, inputs, labels, bundle, counts.total.instructions, float((taken == labels).mean()))

    drawn = out.with_suffix(".png")
    picture.draw(drawn, images, labels, logits, bundle.manifest)
    print(f"picture: {drawn.relative_to(Path.cwd()) if drawn.is_relative_to(Path.cwd()) else drawn}")

    if same != len(labels) or difference > BOUND:
        raise MismatchError(f"RISC-V and ONNX Runtime differ: {same} of {len(labels)} same, by {difference:.1e}")


def in_int8(
    out: Path,
    inputs: NDArray[np.float32],
    labels: NDArray[np.uint8],
    bundle: pilotfish.Bundle,
    instructions: int,
    accuracy: float,
) -> None:
    """Quantize the network with training digits, compile it, and show it beside the float program."""
    folder = out.with_name(f"{out.name}-int8")
    model = folder.with_suffix(".onnx")
    pilotfish.quantize(HERE / "tinycnn.onnx", f"{HERE / 'scans.py'}:calibration", output=model, progress=progress)
    small = pilotfish.compile(model, target=TARGET, output=folder, progress=progress)
    logits = small.run({"input": inputs}, progress=progress)["logits"].reshape(len(inputs), -1)
    counted = small.count(vlen=VLEN, progress=progress).total.instructions
    want = verify.reference(model, {"input": inputs})[0].reshape(len(inputs), -1)
    same = int((logits == want).all(axis=1).sum())
    reached = float((logits.argmax(axis=1) == labels).mean())

    progress("")
    print("the same network in int8, quantized with 100 of the training digits; behind it, float32")
    line("accuracy on RISC-V (QEMU)", f"{100 * reached:.2f} %", f"{100 * accuracy:.2f} %")
    line("same logits as ONNX Runtime", f"{same} of {len(labels)}")
    for what, figure, before in (
        ("weights", small.manifest.sizes.weights_bytes, bundle.manifest.sizes.weights_bytes),
        ("program", small.manifest.sizes.program_bytes, bundle.manifest.sizes.program_bytes),
        ("arena", small.manifest.plan.arena_bytes, bundle.manifest.plan.arena_bytes),
    ):
        line(what, f"{figure:,} bytes", f"{before:,} bytes")
    line("instructions per inference", f"{counted:,}", f"{instructions:,}")
    if 100 * (accuracy - reached) > LOSS:
        raise MismatchError(f"int8 costs {100 * (accuracy - reached):.2f} points of accuracy, more than {LOSS}")


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:2]))
    except PilotfishError as error:
        progress("")
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
