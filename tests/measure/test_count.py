"""Counting a whole program, whose run function was written and counted by hand (``counted.S``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pilotfish.board import qemu
from pilotfish.board.toolchain import LIBC_CPU, Toolchain
from pilotfish.compiler.targets import load
from pilotfish.errors import MachineError, ToolError, UsageError
from pilotfish.measure import count
from pilotfish.measure.count import Executed

HERE = Path(__file__).parent
RUNTIME = Path(qemu.__file__).parent / "runtime"
TARGET = load("rv64gcv")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tools = Toolchain(replace(TARGET, cpu=LIBC_CPU[TARGET.triple]))
    sources = [HERE / "counted.S", HERE / "counted_model.c", *sorted(RUNTIME.glob("*.c"))]
    objects = [tools.compile(source, include=[RUNTIME]) for source in sources if source.stem != "pf_api"]
    made = tmp_path_factory.mktemp("count") / "counted.elf"
    tools.link(objects, made)
    return made


@pytest.mark.parametrize("vlen", [128, 256, 512, 1024])
@pytest.mark.parametrize("repeat", [1, 2])
def test_an_inference_is_counted_to_the_instruction(program: Path, vlen: int, repeat: int) -> None:
    got = count.count(program, TARGET, vlen=vlen, repeat=repeat, steps=False, check=True)
    # 6 before the first step, 21 in it, 6 at the end, and the 3 branches around the hooks' calls
    assert got.total == Executed(scalar=6 + 21 + 6 + 3, vset=1, arith=2, unit=1, arith_slots=4 + 8, memory_slots=4)
    assert (got.total.instructions, got.total.vector, got.total.slots) == (40, 3, 36 + 1 + 16)
    assert got.vlen == vlen and f"VLEN {vlen}" in got.where and got.steps == ()


def test_each_step_is_counted(program: Path) -> None:
    got = count.count(program, TARGET)
    assert [(step.node, step.kernel) for step in got.steps] == [("a|b", "loop__scalar"), ("vectors", "vec__rvv")]
    loop, vectors = (step.executed for step in got.steps)
    # The call of the hook is as long as in the empty step, but for a branch and a move or two.
    assert loop.vector == 0 and 21 <= loop.scalar <= 23
    assert vectors == Executed(vectors.scalar, vset=1, arith=2, unit=1, arith_slots=12, memory_slots=4)
    assert 0 <= vectors.scalar <= 2
    assert got.dispatch.vector == 0 and 10 <= got.dispatch.scalar <= 15


def test_what_cannot_be_counted_is_refused_in_words(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="RISC-V targets only"):
        count.count(program, load("host"))
    with pytest.raises(UsageError, match="VLEN 128, 256, 512 and 1024, not 300"):
        count.count(program, TARGET, vlen=300)
    with pytest.raises(UsageError, match="repeat"):
        count.count(program, TARGET, repeat=0)
    with pytest.raises(MachineError, match="this machine has none"):
        count.count(program, replace(TARGET, isa="scalar", qemu_cpu="rv64,v=false"))
    with pytest.raises(ToolError):
        count.count(Path("/dev/null"), TARGET)
    blind = replace(qemu.find(), supports_plugins=False)
    monkeypatch.setattr(qemu, "find", lambda _: blind)
    monkeypatch.setenv("PILOTFISH_QEMU", "it")
    with pytest.raises(ToolError, match="cannot count instructions: it was built without plugins"):
        count.count(program, TARGET)


def test_sums() -> None:
    one = Executed(1, 2, 3, 4, 5, 6, 70, 80)
    assert one + one - one == one
    assert (one.memory, one.vector, one.instructions, one.slots) == (15, 18, 21, 153)
    assert one.as_dict()["slots"] == 153 and one.as_dict()["strided"] == 5
