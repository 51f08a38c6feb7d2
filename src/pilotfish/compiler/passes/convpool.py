"""A convolution of few planes, its clamp and the 2x2 maximum pool after it become one pass over the picture."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import convpool, qconvpool, table
from pilotfish.compiler.ops import qconv
from pilotfish.compiler.ops.conv import FIRST_CHANNELS, plan
from pilotfish.compiler.ops.registry import CHANNELS_LAST
from pilotfish.compiler.targets import Target

_PAIRS = {("Conv", "MaxPool"), ("pf.QConv", "pf.QMaxPool")}
_POOL_SLOTS = 14.0  # modelled slots of a 2x2 pool for one register of channels: 4 loads, 3 maxima, a store, addresses


def fuse_convpool(graph: Graph, target: Target) -> Graph:
    """Fuse where the kernel table finds it cheaper than a channels-last convolution and a pool."""
    consumers = graph.consumers()
    fused: dict[str, Node] = {}  # by the name of the pool
    dropped: set[str] = set()
    for conv in graph.nodes:
        readers = consumers.get(conv.outputs[0], []) if conv.outputs else []
        alone = len(readers) == 1 and conv.outputs[0] not in graph.outputs
        if alone and _fits(conv, readers[0], graph) and _cheaper(conv, graph, target):
            fused[readers[0].name] = conv
            dropped.add(conv.name)
    builder = Builder(graph)
    for node in graph.nodes:
        if node.name in fused:
            builder.add(_node(fused[node.name], node, builder))
        elif node.name not in dropped:
            builder.add(node)
    return builder.finish()


def _fits(conv: Node, pool: Node, graph: Graph) -> bool:
    if (conv.op, pool.op) not in _PAIRS or any(i and i not in graph.constants for i in conv.inputs[1:]):
        return False
    weights = graph.type(conv.inputs[1]).shape
    plain = all(set(n.attrs.get(a) or (1,)) == {1} for n in (conv, pool) for a in ("dilations",))
    return bool(
        plain
        and len(weights) == 4
        and weights[1] <= FIRST_CHANNELS
        and weights[2:] == (3, 3)
        and conv.attrs.get("group", 1) == 1
        and set(conv.attrs.get("strides") or (1,)) == {1}
        and tuple(conv.attrs.get("pads") or ()) == (1, 1, 1, 1)
        and tuple(pool.attrs.get("kernel_shape") or ()) == (2, 2)
        and tuple(pool.attrs.get("strides") or ()) == (2, 2)
        and not any(pool.attrs.get("pads") or ())
        and not pool.attrs.get("ceil_mode")
        and len([o for o in pool.outputs if o]) == 1
    )


def _cheaper(conv: Node, graph: Graph, target: Target) -> bool:
    batch, channels, rows, cols = graph.type(conv.inputs[0]).shape
    columns = graph.type(conv.inputs[1]).shape[0]
    integer = conv.op == "pf.QConv"
    args = (qconvpool if integer else convpool).args(batch, channels, rows, cols, columns)
    kernel = table.pick("qconvpool" if integer else "convpool", args, target)
    if kernel is None:
        return False
    x, y = graph.type(conv.inputs[0]), graph.type(conv.outputs[0])
    last = replace(
        graph,
        types={
            **graph.types,
            conv.inputs[0]: TensorType(x.dtype, (batch, rows, cols, channels)),
            conv.outputs[0]: TensorType(y.dtype, (batch, *y.shape[2:], columns)),
        },
    )
    node = conv.with_attrs(layout=CHANNELS_LAST)
    apart = qconv.plan(node, last, target).cost if integer else plan(node, last, target).cost
    apart += batch * (rows // 2) * (cols // 2) * ceil(columns / target.lanes) * _POOL_SLOTS
    return kernel.cost(args, target) < apart


def _node(conv: Node, pool: Node, builder: Builder) -> Node:
    graph = builder.graph
    if conv.op == "pf.QConv":
        kept = {k: conv.attrs[k] for k in ("x_zero", "y_zero", "low", "high")}
        return Node("pf.QConvPool", conv.name, conv.inputs, pool.outputs, kept)
    (low, high), (low2, high2) = (n.attrs.get("clamp", (-np.inf, np.inf)) for n in (conv, pool))
    clamp = (min(max(low, low2), high2), max(min(high, high2), low2))
    bias = conv.inputs[2] if len(conv.inputs) > 2 and conv.inputs[2] else ""
    if not bias:
        bias = builder.constant(f"{conv.name}.b", np.zeros(graph.type(conv.inputs[1]).shape[0], np.float32))
    return Node("pf.ConvPool", conv.name, (conv.inputs[0], conv.inputs[1], bias), pool.outputs, {"clamp": clamp})
