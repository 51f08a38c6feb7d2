"""Counted instructions and slots of the benchmark networks on RISC-V, beside what peers take.

Run by `make bench`. Every figure is *counted*: executed instructions of one inference on one thread under QEMU at
VLEN 256, by our plugin. A slot is a scalar or vset instruction, or a vector instruction weighted by its LMUL. Peers'
figures were counted in the same way on the same ONNX files in November 2026 (ONNX Runtime 1.21, XNNPACK, ncnn,
onnx2c, emx-onnx-cgen); they are constants here, because building the peers takes hours.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from rich.console import Console
from rich.table import Table

import networks
import pilotfish
from pilotfish.compiler.passes import Precision

VLEN = 256


@dataclass(frozen=True)
class Peer:
    """The best of the peers on one network: fewest instructions, fewest slots per MAC; and what we aim at."""

    macs: int
    instructions: int
    who: str
    slots_per_mac: float
    who_slots: str
    goal_instructions: int | None
    goal_slots_per_mac: float | None


PEERS = {
    "tinycnn": Peer(72_128, 72_094, "ncnn", 1.044, "ncnn", 14_000, 0.32),
    "kws": Peer(2_656_768, 433_000, "XNNPACK", 0.306, "XNNPACK", 330_000, 0.22),
    "resnet8": Peer(12_501_632, 2_774_000, "ncnn", 0.225, "ncnn", 1_200_000, 0.14),
    "vww": Peer(7_489_664, 2_830_000, "ncnn", 0.390, "ncnn", 1_200_000, 0.26),
    "mbv2": Peer(300_774_272, 96_300_000, "ncnn", 0.331, "ncnn", 40_000_000, 0.22),
    "resnet50": Peer(4_089_184_256, 494_500_000, "XNNPACK", 0.221, "ncnn", 400_000_000, 0.16),
}
INT8_PEERS = {
    "tinycnn": Peer(72_128, 149_760, "XNNPACK", 2.745, "XNNPACK", 22_000, 0.38),
    "kws": Peer(2_656_768, 543_000, "XNNPACK", 0.337, "XNNPACK", 300_000, 0.22),
    "resnet8": Peer(12_501_632, 2_940_000, "XNNPACK", 0.388, "XNNPACK", 1_200_000, 0.19),
    "vww": Peer(7_489_664, 2_330_000, "XNNPACK", 0.540, "XNNPACK", 1_100_000, 0.28),
    "mbv2": Peer(300_774_272, 52_600_000, "XNNPACK", 0.311, "XNNPACK", 27_000_000, 0.20),
    "resnet50": Peer(4_089_184_256, 602_600_000, "XNNPACK", 0.253, "XNNPACK", 340_000_000, 0.165),
}
MACS = {name: peer.macs for name, peer in PEERS.items()} | {"autoencoder": 264_192}


@dataclass(frozen=True)
class Row:
    """What one network took."""

    network: str
    macs: int
    instructions: int
    vector: int
    slots: int
    slots_per_mac: float
    program_bytes: int
    library_text_bytes: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    whole_bytes: int  # the program with its weights


def measure(
    name: str, model: onnx.ModelProto, *, steps: bool, target: str, precision: Precision = "fp32"
) -> tuple[Row, str]:
    """Compile and count one network; its row, and its steps as text if wanted."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = pilotfish.compile(model, target=target, output=Path(folder) / name, precision=precision)
        counts = bundle.count(vlen=VLEN)
        sizes, plan = bundle.manifest.sizes, bundle.manifest.plan
        macs = MACS[name]
        row = Row(
            name,
            macs,
            counts.total.instructions,
            counts.total.vector,
            counts.total.slots,
            counts.total.slots / macs,
            sizes.program_without_weights_bytes,
            sizes.library_text_bytes,
            plan.arena_bytes,
            plan.lower_bound_bytes,
            sizes.program_bytes,
        )
        lines = []
        for step, entry in zip(counts.steps, bundle.manifest.steps, strict=True) if steps else ():
            done = step.executed
            each = f"{done.slots / entry.macs:.3f}" if entry.macs else ""
            lines.append(f"  {done.instructions:>12,} {done.slots:>12,} {each:>6}  {step.kernel}  {step.node}")
    return row, "\n".join(lines)


def model(name: str, precision: str) -> onnx.ModelProto:
    """A benchmark network; int8 is quantized per channel on four random inputs: it says nothing of accuracy."""
    made = networks.NETWORKS[name]()
    return networks.quantized(made) if precision == "int8" else made


def shown(rows: list[Row], precision: str) -> Table:
    """The table that `make bench` prints."""
    table = Table(title=f"One inference, {precision}, at VLEN {VLEN} (counted under QEMU)")
    peers = INT8_PEERS if precision == "int8" else PEERS
    for heading in ("network", "instructions", "goal", "best peer", "", "slots/MAC", "goal", "best peer", "",
                    "vector share", "program", "lib text", "arena / bound"):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("network", "") else "right")
    for row in rows:
        peer = peers.get(row.network)
        ok = peer and peer.goal_instructions and row.instructions <= peer.goal_instructions
        ok_slots = peer and peer.goal_slots_per_mac and row.slots_per_mac <= peer.goal_slots_per_mac
        table.add_row(
            row.network,
            f"{row.instructions:,}",
            f"{peer.goal_instructions:,} {'✓' if ok else '✗'}" if peer and peer.goal_instructions else "",
            f"{peer.instructions:,}" if peer else "",
            f"{peer.who} {peer.instructions / row.instructions:.1f}x" if peer else "",
            f"{row.slots_per_mac:.3f}",
            f"{peer.goal_slots_per_mac} {'✓' if ok_slots else '✗'}" if peer and peer.goal_slots_per_mac else "",
            f"{peer.slots_per_mac:.3f}" if peer else "",
            f"{peer.who_slots} {peer.slots_per_mac / row.slots_per_mac:.1f}x" if peer else "",
            f"{row.vector / row.instructions:.0%}",
            f"{row.program_bytes / 1024:.0f} KiB",
            f"{row.library_text_bytes / 1024:.1f} KiB",
            f"{row.arena_bytes / row.arena_lower_bound_bytes:.3f}",
        )
    return table


def beside(half: list[Row], whole: list[Row]) -> Table:
    """Float16 beside float32."""
    table = Table(title=f"One inference, float16 beside float32, at VLEN {VLEN} (counted under QEMU)")
    for heading in ("network", "instructions", "of float32's", "slots", "of float32's", "slots/MAC", "whole program",
                    "of float32's", "arena", "of float32's"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for a, b in zip(half, whole, strict=True):
        cells = [a.network]
        for one, other in ((a.instructions, b.instructions), (a.slots, b.slots)):
            cells += [f"{one:,}", f"{one / other:.2f}"]
        cells.append(f"{a.slots_per_mac:.3f}")
        for one, other in ((a.whole_bytes, b.whole_bytes), (a.arena_bytes, b.arena_bytes)):
            cells += [f"{one:,}", f"{one / other:.2f}"]
        table.add_row(*cells)
    return table


def main() -> None:
    """Measure the networks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="*", default=list(MACS), help=f"of {', '.join(MACS)}; all by default")
    parser.add_argument("--target", help="by default rv64gcv, or spacemit-k1 for float16")
    parser.add_argument(
        "--precision", choices=("float32", "float16", "int8"), default="float32",
        help="float16: print how it compares with float32",
    )  # fmt: skip
    parser.add_argument("--steps", action="store_true", help="print each step: instructions, slots, slots per MAC")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    given = parser.parse_args()
    if unknown := sorted(set(given.network) - set(MACS)):
        parser.error(f"no network is called {unknown[0]!r}")
    rows, whole = [], []
    half = given.precision == "float16"
    target = given.target or ("spacemit-k1" if half else "rv64gcv")
    for name in given.network:
        print(f"compiling and counting {name} …", file=sys.stderr)
        network = model(name, given.precision)
        row, steps = measure(name, network, steps=given.steps, target=target, precision="fp16" if half else "fp32")
        rows.append(row)
        if half:
            whole.append(measure(name, network, steps=False, target=target)[0])
        if steps and not given.json:
            print(f"{name}: instructions, slots, slots per MAC, kernel, node\n{steps}")
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        Console(width=200).print(beside(rows, whole) if half else shown(rows, given.precision))


if __name__ == "__main__":
    main()
