"""The digits demo: compile a trained network for RISC-V, run real digits through it, check, count, draw.

Run by ``make demo``. ``train.py`` tells how the network ``tinycnn.onnx`` and the held-out images were made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import picture
from numpy.typing import NDArray

import pilotfish
from pilotfish.errors import MismatchError, PilotfishError
from pilotfish.measure import verify

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "out" / "digits"
TARGET = "rv64gcv"
VLEN = 256
BOUND = 1e-4


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [n, 28, 28] with values 0..255, and their labels [n]."""
    with np.load(HERE / "heldout.npz") as data:
        return data["images"], data["labels"]


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
    inputs = (images[:, None, None] / np.float32(255)).astype(np.float32)

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

    drawn = out.with_suffix(".png")
    picture.draw(drawn, images, labels, logits, bundle.manifest)
    print(f"picture: {drawn.relative_to(Path.cwd()) if drawn.is_relative_to(Path.cwd()) else drawn}")

    if same != len(labels) or difference > BOUND:
        raise MismatchError(f"RISC-V and ONNX Runtime differ: {same} of {len(labels)} same, by {difference:.1e}")


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:2]))
    except PilotfishError as error:
        progress("")
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
