"""What an operator is, and the discovery of all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.graph.onnx_import import OPSET, evaluate

if TYPE_CHECKING:
    from pilotfish.compiler.ops.lowering import Lowering

Meaning = Callable[[Node, Sequence[Array | None]], list[Array]]

CHANNELS_LAST = "channels_last"
"""Value of the ``layout`` attribute of a node whose activations are N[H]WC."""


def onnx_meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The meaning of a standard operator: ONNX's reference evaluator, then our fused attributes."""
    attrs = {k: v for k, v in node.attrs.items() if k not in _OURS and v is not None}
    proto = onnx.helper.make_node(node.op, [f"i{n}" if a is not None else "" for n, a in enumerate(inputs)],
                                  list(node.outputs), name=node.name, **attrs)  # fmt: skip
    last = node.attrs.get("layout") == CHANNELS_LAST
    feeds = {f"i{n}": a for n, a in enumerate(inputs) if a is not None}
    if last and node.attrs.get("input_layout") != "NCHW":
        feeds["i0"] = np.moveaxis(feeds["i0"], -1, 1)
    results = evaluate(proto, feeds, OPSET)
    if last:
        results = [np.moveaxis(r, 1, -1) if r.ndim >= 3 else r for r in results]
    low, high = node.attrs.get("clamp", (-np.inf, np.inf))
    if (low, high) != (-np.inf, np.inf):
        results = [np.clip(r, np.float32(low), np.float32(high)) for r in results]
    return results


_OURS = frozenset({"layout", "clamp", "algorithm", "input_layout"})


@dataclass(frozen=True)
class ChannelsLast:
    """How an operator works on channels-last tensors (N C spatial… → N spatial… C).

    ``prefers``: it is faster so, and asks for it; otherwise it follows its inputs. ``rewrite`` gives the node in that
    form (an axis or padding remapped; new constants through the builder) and the numbers of the inputs that are
    to be permuted, or None if it cannot.
    """

    rewrite: Callable[[Node, Builder], tuple[Node, tuple[int, ...]] | None]
    prefers: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator.

    ``lower`` emits steps. ``check`` returns why a node cannot be compiled, or None. ``meaning`` is its NumPy
    meaning. ``strided`` says that it reads and writes tensors with a halo. ``emit`` marks an elementwise operator:
    see :mod:`.elementwise`.
    """

    op: str
    lower: Callable[[Node, Lowering], None]
    check: Callable[[Node, Graph], str | None] = lambda _node, _graph: None
    meaning: Meaning = onnx_meaning
    channels_last: ChannelsLast | None = None
    strided: bool = False


@cache
def operators() -> dict[str, Operator]:
    """All operators by name, from the ``OPERATORS`` of every module of this package."""
    package = importlib.import_module(__package__)
    found: dict[str, Operator] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if info.name.startswith("_"):
            continue
        for operator in getattr(importlib.import_module(f"{__package__}.{info.name}"), "OPERATORS", ()):
            if operator.op in found:
                raise RuntimeError(f"two files define the operator {operator.op}")
            found[operator.op] = operator
    return found


def supported(op: str) -> bool:
    """Whether an operator of that name can be compiled."""
    return op in operators()
