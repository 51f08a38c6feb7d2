"""Padding as memory layout: inputs of padded convolutions get a zeroed frame, made by whoever writes them.

First each convolution's algorithm is chosen, since it decides how large a frame is read.
"""

from __future__ import annotations

from dataclasses import replace

from pilotfish.compiler.graph import Graph, Halo, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops import conv, qconv
from pilotfish.compiler.ops.registry import CHANNELS_LAST, operators
from pilotfish.compiler.targets import Target


def choose_algorithms(graph: Graph, target: Target) -> Graph:
    """Set ``algorithm`` on each channels-last Conv: the cheapest by the kernel table."""
    return replace(
        graph,
        nodes=tuple(
            node.with_attrs(algorithm=made.algorithm) if (made := _plan(node, graph, target)) else node
            for node in graph.nodes
        ),
    )


def place_halos(graph: Graph, target: Target) -> Graph:
    """Give each value the halo that its convolutions need.

    Directly, if its maker and all its readers can deal with gaps in memory; otherwise a copy with a halo is made
    for the convolutions.
    """
    wanted: dict[str, Halo] = {}
    fillers: dict[str, int] = {}
    for node in graph.nodes:
        need = _need(node, graph, target)
        if need != Halo():
            value = node.inputs[0]
            wanted[value] = wanted.get(value, Halo()).union(need)
            fillers[value] = node.attrs.get("x_zero", 0)
    table = operators()
    producers, consumers = graph.producers(), graph.consumers()
    direct = {
        value
        for value in wanted
        if value in producers
        and value not in graph.outputs
        and table[producers[value].op].strided
        and all(table[reader.op].strided for reader in consumers[value])
    }
    builder = Builder(graph)
    for value in direct:
        builder.types[value] = replace(graph.type(value), halo=wanted[value], filler=fillers[value])
    framed: dict[str, str] = {}
    for node in graph.nodes:
        inputs = node.inputs
        if inputs and inputs[0] in wanted and inputs[0] not in direct and _need(node, graph, target) != Halo():
            value = inputs[0]
            if value not in framed:
                type_ = replace(graph.type(value), halo=wanted[value], filler=fillers[value])
                framed[value] = builder.emit("Identity", f"{value}.framed", [value], type_)
            inputs = (framed[value], *inputs[1:])
        builder.add(replace(node, inputs=inputs))
    return builder.finish()


def _plan(node: Node, graph: Graph, target: Target) -> conv.Plan | qconv.Plan | None:
    """How a convolution will run; None for other nodes."""
    if node.attrs.get("layout") != CHANNELS_LAST or node.op not in ("Conv", "pf.QConv"):
        return None
    return conv.plan(node, graph, target) if node.op == "Conv" else qconv.plan(node, graph, target)


def _need(node: Node, graph: Graph, target: Target) -> Halo:
    """The halo that a node reads around its first input."""
    if node.attrs.get("layout") != CHANNELS_LAST or node.attrs.get("input_layout") == "NCHW":
        return Halo()
    if node.op == "pf.QConv":
        return qconv.halo(node, graph, target)
    return conv.plan(node, graph, target).halo if node.op == "Conv" else Halo()
