"""What was compiled and built, as a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pilotfish.bundle.manifest import BufferEntry, FileEntry, Manifest, PlanEntry, Sizes, StepEntry, TensorEntry
from pilotfish.compiler.graph import TensorType
from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.compiler.kernels.program import Program
from pilotfish.compiler.passes.memory import MemoryPlan


def describe(
    name: str,
    program: Program,
    memory: MemoryPlan,
    *,
    passes: Iterable[str],
    sizes: Sizes,
    versions: Mapping[str, str],
    files: Mapping[str, FileEntry],
    preprocess: Iterable[Preprocessing] = (),
) -> Manifest:
    """The manifest of what was compiled and built."""
    slots = sorted(memory.slots, key=lambda s: (s.first, s.offset))
    return Manifest(
        name=name,
        model=program.name,
        inputs=entries(program.inputs),
        outputs=entries(program.outputs),
        target=program.target,
        plan=PlanEntry(
            memory.arena_bytes,
            memory.lower_bound,
            tuple(BufferEntry(s.buffers, s.offset, s.nbytes, s.first, s.last) for s in slots),
        ),
        steps=tuple(StepEntry(s.node, s.op, s.kernel, s.macs) for s in program.steps),
        notes=program.notes,
        passes=tuple(passes),
        sizes=sizes,
        versions=dict(versions),
        files=dict(files),
        preprocess=tuple(preprocess),
    )


def entries(tensors: Mapping[str, TensorType]) -> tuple[TensorEntry, ...]:
    """The inputs or outputs of a program."""
    return tuple(TensorEntry(name, t.dtype.name, t.shape) for name, t in tensors.items())
