"""The way of the data, as code: a model comes in, a bundle goes out. Read this page to know where everything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnx

from pilotfish import bundle
from pilotfish.board import build as board
from pilotfish.board import toolchain
from pilotfish.bundle import reference, sizes
from pilotfish.bundle.describe import describe, entries
from pilotfish.compiler import codegen, passes
from pilotfish.compiler.graph import Graph, onnx_import, recipes
from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.compiler.kernels.program import Program
from pilotfish.compiler.ops import registry
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.passes.memory import MemoryPlan, plan_memory
from pilotfish.compiler.passes.preprocess import add_preprocessing
from pilotfish.compiler.targets import Target

Progress = Callable[[str], None]
Shapes = Mapping[str, Sequence[int]]


def make_bundle(
    model: Path | str | onnx.ModelProto,
    target: Target,
    out: Path,
    name: str = "model",
    shapes: Shapes | None = None,
    progress: Progress = lambda _: None,
    *,
    preprocess: recipes.Recipe | None = None,
    image_size: recipes.Size | None = None,
    precision: passes.Precision = "fp32",
) -> bundle.Manifest:
    """Model → graph → program → C → static program and library → bundle, in the directory ``out``.

    ``name`` prefixes the files and the C symbols. ``preprocess`` makes the program take bytes of images, of
    ``image_size`` (height, width) if given. ``precision`` is that inside.
    ``out`` is as it was before if anything fails.
    """
    bundle.check_name(name)
    target = toolchain.settled(target, progress)
    if precision == "fp16":
        toolchain.check_half(target, progress)
    with bundle.staged(out) as folder:
        progress("reading the model")
        proto = onnx_import.read(model)
        graph = import_model(proto, shapes)
        reference.save(proto, entries({i: graph.type(i) for i in graph.inputs}), folder)
        pictures = [] if preprocess is None else [recipes.settle(preprocess, graph, image_size)]
        for picture in pictures:
            graph = add_preprocessing(graph, picture)
        progress(f"compiling {len(graph.nodes)} nodes for {target.name}")
        compiled = compile_graph(graph, target, symbol=name, precision=precision)
        board.build(compiled.sources, target, folder, progress)
        progress("writing the bundle")
        return _finish(compiled, folder, pictures)


@dataclass(frozen=True)
class Compiled:
    """Everything that compiling made before the C compiler runs."""

    graph: Graph
    program: Program
    memory: MemoryPlan
    sources: codegen.Sources
    precision: passes.Precision = "fp32"


def import_model(model: Path | str | onnx.ModelProto, shapes: Shapes | None = None) -> Graph:
    """Read an ONNX model into a static graph."""
    return onnx_import.load(model, shapes=shapes, supported=registry.supported)


def compile_graph(
    graph: Graph, target: Target, *, symbol: str = "model", precision: passes.Precision = "fp32"
) -> Compiled:
    """Optimize, lower, plan memory and generate C."""
    optimized = passes.optimize(graph, target, precision)
    program = Lowering(optimized, target).run()
    memory = plan_memory(program)
    sources = codegen.generate(program, memory, symbol=symbol, runtime_header=board.runtime_header())
    return Compiled(optimized, program, memory, sources, precision)


def _finish(compiled: Compiled, folder: Path, pictures: Sequence[Preprocessing]) -> bundle.Manifest:
    """Write what the bundle says of itself beside what was built."""
    name, weights = compiled.sources.symbol, len(compiled.sources.weights)
    text, constants = sizes.text_and_constants(folder / f"lib{name}.a", toolchain.WEIGHTS_SECTION)
    files = {path.name: bundle.fingerprint(path) for path in sorted(folder.iterdir())}
    program = files[f"{name}.elf"].bytes
    manifest = describe(
        name,
        compiled.program,
        compiled.memory,
        passes=[pass_name for pass_name, _ in passes.chosen(compiled.precision)],
        sizes=bundle.Sizes(program, program - weights, weights, text, constants),
        versions={
            "pilotfish": metadata.version("pilotfish"),
            "onnx": onnx.__version__,
            "ziglang": toolchain.version(),
        },
        files=files,
        preprocess=pictures,
    )
    bundle.replace_file(folder / bundle.MANIFEST, bundle.dumps(manifest).encode())
    return manifest
