"""A shuffle of channels stays channels-last: Reshape, Transpose, Reshape become one ``pf.Shuffle``."""

from __future__ import annotations

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder


def fuse_shuffle(graph: Graph) -> Graph:
    """N C … → N g C/g … → N C/g g … → N C …, each value with one reader; ``groups`` is g."""
    consumers = graph.consumers()

    def only_reader(value: str) -> Node | None:
        readers = consumers.get(value, [])
        return readers[0] if len(readers) == 1 and value not in graph.outputs else None

    fused: dict[str, Node] = {}
    for first in graph.nodes:
        transpose = only_reader(first.outputs[0]) if first.op == "Reshape" else None
        second = only_reader(transpose.outputs[0]) if transpose and transpose.op == "Transpose" else None
        if transpose is None or second is None or second.op != "Reshape":
            continue
        x, middle, y = (graph.type(v).shape for v in (first.inputs[0], first.outputs[0], second.outputs[0]))
        rank = len(x)
        perm = (0, 2, 1, *range(3, rank + 1))
        if rank < 3 or x != y or len(middle) != rank + 1 or tuple(transpose.attrs.get("perm", ())) != perm:
            continue
        if (middle[0], middle[1] * middle[2], *middle[3:]) == x:
            fused[second.name] = Node(
                "pf.Shuffle", second.name, first.inputs[:1], second.outputs, {"groups": middle[1]}
            )
    builder = Builder(graph)
    for node in graph.nodes:
        builder.add(fused.get(node.name, node))
    return builder.finish() if fused else graph
