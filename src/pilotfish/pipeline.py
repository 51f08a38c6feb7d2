"""The way of the data, as code: a model comes in, a bundle goes out. Read this page to know where everything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from pilotfish.board import build as board
from pilotfish.compiler import codegen, passes, targets
from pilotfish.compiler.graph import Graph, onnx_import
from pilotfish.compiler.kernels.program import Program
from pilotfish.compiler.ops import registry
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.passes.memory import MemoryPlan, plan_memory
from pilotfish.compiler.targets import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """Everything that compiling made before the C compiler runs."""

    graph: Graph
    program: Program
    memory: MemoryPlan
    sources: codegen.Sources


def compile_graph(graph: Graph, target: Target, *, symbol: str = "model") -> Compiled:
    """Optimize, lower, plan memory and generate C."""
    _check(graph)
    optimized = passes.optimize(graph, target)
    program = Lowering(optimized, target).run()
    memory = plan_memory(program)
    sources = codegen.generate(program, memory, symbol=symbol, runtime_header=board.runtime_header())
    return Compiled(optimized, program, memory, sources)


def import_model(model: Path | str | onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """Read an ONNX model into a static graph."""
    return onnx_import.load(model, shapes=shapes, supported=registry.supported)


def _check(graph: Graph) -> None:
    from pilotfish.errors import OperatorError

    for node in graph.nodes:
        why = registry.operators()[node.op].check(node, graph)
        if why:
            raise OperatorError(node.name, node.op, why)


__all__ = ["Any", "Compiled", "Progress", "compile_graph", "import_model", "targets"]
