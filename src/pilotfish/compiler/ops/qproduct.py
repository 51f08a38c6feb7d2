"""Products with constant int8 weights, cut into column segments by what these very weights allow.

How many products can be summed in int16 depends on the weights and on how many columns share a block, so a cut is
priced by packing a sample of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pilotfish.compiler.graph import Node
from pilotfish.compiler.kernels import qigemm, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Array, Kernel
from pilotfish.compiler.ops import dense
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.targets import Target

_SAMPLED = 2  # blocks of columns
# Narrower tiles issue more scalar loads beside their vector work, which in-order cores do not hide: modelled cycles a
# slot on the X60 (triples 5x4v .118 / .156, quads 2x8v .096 / .141), relative to the widest.
_BESIDE_SLOTS = {"x4v": 1.11, "x2v": 1.11, "x1v": 1.11}


@dataclass(frozen=True)
class Part:
    """One segment of columns, the kernel for it and its modelled cost."""

    first: int
    count: int
    kernel: Kernel
    args: ArgValues
    cost: float


def cut(weights: Array, args: Callable[[int, int], ArgValues], target: Target) -> list[Part]:
    """The cheapest cut of the columns of int8 ``weights`` [K, N]; ``args(n, nb)`` gives a segment's arguments."""
    known: dict[tuple[int, int, int], Part | None] = {}

    def part(first: int, count: int, nb: int) -> Part | None:
        key = (first, count, nb)
        if key not in known:
            given = args(count, nb)
            kernel = table.pick("qigemm", given, target)
            price = _price(kernel, weights, key, args, target) if kernel else 0.0
            known[key] = Part(first, count, kernel, given, price) if kernel else None
        return known[key]

    best: list[Part] = []
    for widths in dense.cuts(weights.shape[1], dense.block_widths(target, "qigemm")):
        parts, first = [], 0
        for count, nb in widths:
            parts.append(part(first, count, nb))
            first += count
        whole = [p for p in parts if p is not None]
        if len(whole) == len(parts) and (not best or cost(whole) < cost(best)):
            best = whole
    return best


def cost(parts: list[Part]) -> float:
    """Modelled slots of a cut, with what in-order cores do not hide."""
    return sum(p.cost for p in parts) if parts else float("inf")


def _price(
    kernel: Kernel,
    weights: Array,
    place: tuple[int, int, int],
    args: Callable[[int, int], ArgValues],
    target: Target,
) -> float:
    first, count, nb = place
    price = kernel.cost(args(count, nb), target)
    if qigemm.groups_in_int16(kernel):
        sample = min(count, _SAMPLED * nb)
        start = first + (count - sample) // 2
        given = args(sample, nb)
        packed = qigemm.pack(weights[:, start : start + sample], given)
        price *= qigemm.packed_cost(kernel, packed, given, target) / kernel.cost(given, target)
    return price * next((factor for tile, factor in _BESIDE_SLOTS.items() if tile in kernel.name), 1.0)


def emit(
    node: Node,
    low: Lowering,
    args: Callable[[int, int], ArgValues],
    x: View,
    weights: Array,
    bias: Array,
    scale: Array,
    y: View,
) -> None:
    """Emit the product of ``x`` with int8 ``weights`` [K, N]; ``y`` moves by a segment's first column."""
    for p in cut(weights, args, low.target):
        part = slice(p.first, p.first + p.count)
        packed = qigemm.pack(weights[:, part], p.args, exact=qigemm.groups_in_int16(p.kernel))
        pixels = int(p.args["batch"]) * int(p.args["rows"]) * int(p.args["cols"])  # type: ignore[arg-type]
        macs = pixels * len(weights) * p.count
        if qigemm.groups_in_int16(p.kernel):
            low.grouped(qigemm.shares(packed, p.args), macs)
        operands = [x, low.weights(packed), low.weights(bias[part]), low.weights(scale[part])]
        low.call_kernel(node, p.kernel, p.args, [*operands, replace(y, offset=y.offset + p.first)], macs=macs)
