"""Products with constant weights, cut into column segments that each have their own kernel.

A layer's columns (output channels) rarely fill the widest register group: 144 = 4 x 32 + 16 at VLEN 256. The split
that costs least by the kernel table is found here; weights are packed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pilotfish.compiler.graph import Node
from pilotfish.compiler.kernels import igemm, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Array, Kernel
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.targets import Target

SCALAR_BLOCKS = {"riscv64-linux-musl": (4,)}
HOST_BLOCKS = (16, 4)


def block_widths(target: Target, family: str = "igemm") -> tuple[int, ...]:
    """Columns a packed block may have on a target for kernels of a family, widest first."""
    if target.isa == "rvv":
        lanes = 2 * target.lanes if family.startswith("f16_") else target.lanes
        return tuple(lmul * lanes for lmul in ((8, 4, 2, 1) if family == "qigemm" else (4, 2, 1)))
    return SCALAR_BLOCKS.get(target.triple, HOST_BLOCKS)


def segments(
    family: str, args: Callable[[int, int], ArgValues], columns: int, target: Target
) -> list[tuple[int, int, int, Kernel]]:
    """The cheapest cut of ``columns`` into (first, count, block width, kernel).

    ``args(n, nb)`` gives the kernel's arguments for a segment of ``n`` columns in blocks of ``nb``. At most three
    segments: whole blocks of one width, then what remains in one or two narrower ones.
    """

    def priced(n: int, nb: int) -> tuple[float, Kernel] | None:
        kernel = table.pick(family, args(n, nb), target)
        return (kernel.cost(args(n, nb), target), kernel) if kernel else None

    best: tuple[float, list[tuple[int, int, int, Kernel]]] | None = None
    for cut in cuts(columns, block_widths(target, family)):
        prices = [priced(n, nb) for n, nb in cut]
        total, first, parts = 0.0, 0, []
        for (n, nb), price in zip(cut, prices, strict=True):
            if price is None:
                break
            total += price[0]
            parts.append((first, n, nb, price[1]))
            first += n
        else:
            if best is None or total < best[0]:
                best = (total, parts)
    return best[1] if best else []


def cost(family: str, args: Callable[[int, int], ArgValues], columns: int, target: Target) -> float:
    """Modelled slots of the cheapest cut; infinite if no kernel fits."""
    parts = segments(family, args, columns, target)
    return sum(k.cost(args(n, nb), target) for _, n, nb, k in parts) if parts else float("inf")


def cuts(columns: int, widths: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """The cuts of ``columns`` that are tried, as (count, block width): whole blocks of one width, then narrower."""
    for i, wide in enumerate(widths):
        yield [(columns, wide)]
        whole = columns // wide * wide
        rest = columns - whole
        if not rest:
            continue
        head = [(whole, wide)] if whole else []
        for j, narrow in enumerate(widths[i + 1 :], i + 1):
            yield [*head, (rest, narrow)]
            middle = rest // narrow * narrow
            if middle and rest - middle:
                yield from ([*head, (middle, narrow), (rest - middle, n)] for n in widths[j + 1 :])


def emit_igemm(
    node: Node,
    low: Lowering,
    base: Callable[[int, int], ArgValues],
    x: View,
    weights: Array,
    bias: Array,
    y: View,
) -> None:
    """Emit the product of ``x`` with constant ``weights`` [K, N] and ``bias`` [N] into ``y``, by ``igemm``.

    ``base(n, nb)`` gives the arguments; ``y`` moves by a segment's first column.
    """
    depth, columns = weights.shape
    family = table.typed("igemm", weights.dtype)
    for first, count, nb, kernel in segments(family, base, columns, low.target):
        args = base(count, nb)
        packed = low.weights(igemm.pack(weights[:, first : first + count], nb))
        part = low.weights(bias[first : first + count])
        pixels = int(args["batch"]) * int(args["rows"]) * int(args["cols"])  # type: ignore[arg-type]
        out = replace(y, offset=y.offset + first)
        low.call_kernel(node, kernel, args, [x, packed, part, out], macs=pixels * depth * count)
