"""pf.Linear: rows times constant weights plus bias, with a clamp. What Gemm and MatMul with constants become."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.kernels import gemv, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Array
from pilotfish.compiler.ops import dense
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """One row: a matrix-vector kernel if the table finds it cheaper. Otherwise a product over packed columns."""
    x, weights, bias = low.view(node.inputs[0]), low.constant(node.inputs[1]), low.constant(node.inputs[2])
    if weights is None or bias is None:
        raise AssertionError("pf.Linear has constant weights and bias")
    low_, high = node.attrs.get("clamp", (-np.inf, np.inf))
    rows = x.type.size // weights.shape[0]
    emit(node, low, x, weights, bias, low.out(node.outputs[0]), rows, lo=float(low_), hi=float(high))


def emit(
    node: Node, low: Lowering, x: View, weights: Array, bias: Array, y: View, rows: int, *,
    x_stride: int = 0, lo: float = -np.inf, hi: float = np.inf,
) -> None:  # fmt: skip
    """Emit ``y = clamp(x @ weights + bias)`` for ``rows`` rows of ``x``, ``x_stride`` elements apart (0: dense)."""
    depth, columns = weights.shape
    clamp = {"lo": lo, "hi": hi}
    args = product_args(rows, depth, x_stride=x_stride or depth, y_stride=columns, clamp=clamp)
    family, one_row = table.typed("igemm", weights.dtype), table.typed("gemv", weights.dtype)
    if rows == 1:
        narrow = dense.block_widths(low.target, family)
        found = [
            (k.cost(a, low.target), k, a)
            for nb in ((2 * narrow[0],) if low.target.isa == "rvv" else ()) + narrow
            for a in [gemv.args(depth, columns, nb, **clamp)]
            if (k := table.pick(one_row, a, low.target))
        ]
        reduction = gemv.args(depth, columns, 0, **clamp)
        if k := table.pick(one_row, reduction, low.target):
            found.append((k.cost(reduction, low.target), k, reduction))
        if found:
            price, kernel, chosen = min(found, key=lambda f: (f[0], f[2]["nb"]))  # of equals the least padded
            if price <= dense.cost(family, args, columns, low.target):
                packed = gemv.pack(weights, int(chosen["nb"]))  # type: ignore[arg-type]
                operands = [x, low.weights(packed), low.weights(bias), y]
                low.call_kernel(node, kernel, chosen, operands, macs=depth * columns)
                return
    dense.emit_igemm(node, low, args, x, weights, bias, y)


def product_args(
    rows: int, depth: int, *, x_stride: int, y_stride: int, clamp: dict[str, float]
) -> Callable[[int, int], ArgValues]:
    """Arguments of an ``igemm`` call that multiplies ``rows`` rows of length ``depth`` by packed columns."""

    def args(n: int, nb: int) -> ArgValues:
        return clamp | {
            "batch": 1, "rows": 1, "cols": rows,
            "x_batch_stride": 0, "x_row_stride": 0, "x_col_stride": x_stride,
            "taps_y": 1, "taps_x": 1, "x_tap_y_stride": 0, "x_tap_x_stride": 0, "k": depth,
            "n": n, "nb": nb, "w_k_stride": nb, "w_block_stride": depth * nb,
            "y_batch_stride": 0, "y_row_stride": 0, "y_col_stride": y_stride,
        }  # fmt: skip

    return args


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """``clamp(x @ w + b)`` in float64, rounded to float32."""
    x, w, b = (np.asarray(i, np.float64) for i in inputs)
    low, high = node.attrs.get("clamp", (-np.inf, np.inf))
    return [np.clip(x @ w + b, low, high).astype(np.float32)]


OPERATORS = (Operator("pf.Linear", lower, meaning=meaning),)
