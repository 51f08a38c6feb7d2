"""Executed instructions of an inference, exactly, by class and for each step: *counted* under QEMU.

An inference is everything that the model's run function executes, from its first instruction to its return. A *slot* is
the work that a machine with one issue slot and vector units as wide as its registers does in a cycle: a scalar or vset
instruction is one; a vector instruction as many as the registers it works on (``plugin/pf_weight.h`` has the rules).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pilotfish.board import qemu
from pilotfish.board.qemu import Qemu
from pilotfish.board.run import execute
from pilotfish.compiler.targets import Target
from pilotfish.errors import ToolError, UsageError
from pilotfish.measure import plugin

Progress = Callable[[str], None]

# The marks of the runner: board/runtime/pf_mark.h.
_EMPTY, _EMPTY_STEP, _INFERENCE, _STEP = 2, 3, 1000, 1_000_000_000
_EMPTY_RUN = 2  # instructions of the empty inference itself: li a0, 0; ret


@dataclass(frozen=True)
class Executed:
    """Executed instructions by class, and the slots of the vector ones.

    ``arith`` are vector arithmetic instructions; ``unit``, ``strided`` and ``indexed`` vector loads and stores.
    """

    scalar: int = 0
    vset: int = 0
    arith: int = 0
    unit: int = 0
    strided: int = 0
    indexed: int = 0
    arith_slots: int = 0
    memory_slots: int = 0

    @property
    def memory(self) -> int:
        """Vector loads and stores."""
        return self.unit + self.strided + self.indexed

    @property
    def vector(self) -> int:
        """Vector instructions, without vset."""
        return self.arith + self.memory

    @property
    def instructions(self) -> int:
        """All instructions."""
        return self.scalar + self.vset + self.vector

    @property
    def slots(self) -> int:
        """All instructions, the vector ones weighted by the registers they work on."""
        return self.scalar + self.vset + self.arith_slots + self.memory_slots

    def __add__(self, other: Executed) -> Executed:
        return Executed(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Executed) -> Executed:
        return Executed(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, int]:
        """Every figure by name, the sums too."""
        sums = {name: getattr(self, name) for name in ("instructions", "vector", "memory", "slots")}
        return {**sums, **{f.name: getattr(self, f.name) for f in fields(self)}}


@dataclass(frozen=True)
class Step:
    """What one step executed: a call of ``kernel`` for ``node``."""

    node: str
    kernel: str
    executed: Executed


@dataclass(frozen=True)
class Counts:
    """What one inference executed. ``vlen`` is in bits, 0 without vectors; ``where`` says who counted."""

    total: Executed
    steps: tuple[Step, ...]
    vlen: int
    where: str

    @property
    def dispatch(self) -> Executed:
        """What is in no step: looking up each step's kernel and operands, and calling it."""
        return self.total - sum((step.executed for step in self.steps), Executed())


def count(
    program: Path,
    target: Target,
    *,
    vlen: int | None = None,
    inputs: Mapping[str, Path] | None = None,
    steps: bool = True,
    repeat: int = 2,
    check: bool = False,
    progress: Progress = lambda _: None,
) -> Counts:
    """Counts an inference of a program that Pilotfish linked for a RISC-V target.

    It is inference number ``repeat`` of a run; with ``check`` one more follows and must execute the same. ``inputs``
    are ``.npy`` files by name, or None for the fixed pseudo-random ones. ``steps`` adds figures for each step, from a
    second run; those have in them the few instructions of the call. Emulation does about 9 million multiply-accumulates
    a second in f32.

    Raises :class:`UsageError` for a native target, :class:`ToolError` if this QEMU cannot count or the counts cannot be
    trusted, and the program's own error if it fails.
    """
    if target.native:
        raise UsageError(f"instructions are counted for RISC-V targets only, not for {target.name!r}")
    if repeat < 1:
        raise UsageError(f"repeat must be at least 1, not {repeat}")
    tool = qemu.find_counting(progress)
    counter = _Counter(tool, program, target, vlen, inputs or {}, progress)
    where = f"QEMU {tool.version}, VLEN {counter.vlen}" if counter.vlen else f"QEMU {tool.version}"
    progress(f"counting an inference under {where}")
    records = counter.records("--repeat", str(repeat + check))
    overhead = records[_EMPTY] - Executed(scalar=_EMPTY_RUN)
    inferences = [records[_INFERENCE + i] - overhead for i in range(repeat + check)]
    if check and inferences[-1] != inferences[-2]:
        raise ToolError(
            f"inference {repeat + 1} executed {inferences[-1].instructions} instructions, the one before it "
            f"{inferences[-2].instructions}: they should be equal"
        )
    return Counts(inferences[repeat - 1], counter.steps() if steps else (), counter.vlen, where)


@dataclass(frozen=True)
class _Counter:
    qemu: Qemu
    program: Path
    target: Target
    asked_vlen: int | None
    inputs: Mapping[str, Path]
    progress: Progress

    @property
    def vlen(self) -> int:
        return (self.asked_vlen or self.target.vlen) if self.target.isa == "rvv" else 0

    def steps(self) -> tuple[Step, ...]:
        """The steps of one inference: they have no state to warm up."""
        listed = self._run(self.qemu.command(self.target, self.asked_vlen), "--list")
        names = [line.split("\t")[2].rpartition("|") for line in listed.splitlines() if line.startswith("step\t")]
        self.progress(f"counting its {len(names)} steps")
        records = self.records("--profile")
        return tuple(
            Step(node, kernel, records[_STEP + i] - records[_EMPTY_STEP]) for i, (node, _, kernel) in enumerate(names)
        )

    def records(self, *arguments: str) -> dict[int, Executed]:
        """What was executed in each marked interval, by its tag; of a tag that comes again, the last."""
        with tempfile.TemporaryDirectory(prefix="pilotfish-count-") as folder:
            out = Path(folder, "counts")
            loaded = plugin.argument(self.qemu, out, self.progress)
            given = [word for name, file in self.inputs.items() for word in ("--input", f"{name}={file}")]
            said = self._run(self.qemu.command(self.target, self.asked_vlen, loaded), *given, *arguments)
            lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if not lines or not lines[-1].pop("end", 0):
            raise ToolError(f"the counts of {self.program.name} are not complete: {said[-1000:] or 'it was killed'}")
        records = {}
        for line in lines:
            tag, unknown = line.pop("tag"), line.pop("unknown")
            if unknown and tag >= _INFERENCE:
                raise ToolError(
                    f"{unknown} vector instructions of {self.program.name} ran with a vtype out of a register "
                    "(vsetvl), which the counter cannot follow: their weight is unknown"
                )
            records[tag] = Executed(**line)
        return records

    def _run(self, start: list[str], *arguments: str) -> str:
        return execute([*start, str(self.program), *arguments])
