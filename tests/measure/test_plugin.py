"""The counting plugin against assembly whose instructions were counted by hand."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pilotfish.board import qemu
from pilotfish.board.toolchain import Toolchain
from pilotfish.compiler.targets import load
from pilotfish.errors import ToolError
from pilotfish.measure import plugin

# A mark's own instructions: `li` (lui + addiw of 0x5256), `li` of a small tag, `ecall`.
MARK = """
.macro mark tag
    li a7, 0x5256
    li a0, \\tag
    ecall
.endm
"""
CLASSES = ("scalar", "vset", "arith", "unit", "strided", "indexed", "arith_slots", "memory_slots", "unknown")


def counted(folder: Path, body: str, vlen: int = 256, options: tuple[str, ...] = ()) -> list[dict[str, int]]:
    """The records of the plugin for a `main` of that body; `a5` points at 64 KiB that it may use."""
    source = folder / "program.S"
    source.write_text(
        f"{MARK}.option arch, +v\n.text\n.globl main\nmain:\n    lla a5, space\n{body}\n    li a0, 0\n    ret\n"
        '.bss\n.balign 64\nspace: .space 65536\n.section .note.GNU-stack,"",@progbits\n'
    )
    target = load("rv64gcv")
    tools = Toolchain(target)
    program = folder / "program.elf"
    tools.link([tools.compile(source)], program)
    tool, out = qemu.find(), folder / "counts"
    command = tool.command(target, vlen, plugin.argument(tool, out))
    command[len(tool.start) : len(tool.start)] = options
    subprocess.run([*command, str(program)], check=True)
    records: list[dict[str, int]] = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r.get("end", 0) for r in records] == [0] * (len(records) - 1) + [1]
    return records


def interval(records: list[dict[str, int]], tag: int) -> dict[str, int]:
    """What was counted in the one interval of that tag, without the five instructions of the mark that ends it."""
    (found,) = [r for r in records if r["tag"] == tag]
    assert found["scalar"] >= 4
    return {name: n for name in CLASSES if (n := found[name] - (4 if name == "scalar" else 0))}


@pytest.mark.parametrize("vlen", [128, 256, 512, 1024])
@pytest.mark.parametrize("single", [False, True])
def test_a_loop_of_known_length(tmp_path: Path, vlen: int, single: bool) -> None:
    by_one = "-singlestep" if qemu.find().version < "8" else "-one-insn-per-tb"
    body = """
    mark 7
    li t0, 100                          # 1
    vsetivli x0, 4, e32, m2, ta, ma
1:  vle32.v v8, (a5)                    # 100 times: 1 unit (2 slots),
    vfadd.vv v8, v8, v8                 #   1 arithmetic (2 slots),
    addi t0, t0, -1                     #   2 scalar
    bnez t0, 1b
    mark 8
    """
    records = counted(tmp_path, body, vlen, (by_one,) if single else ())
    assert [r["tag"] for r in records] == [-1, 7, 8]
    assert interval(records, 7) == {
        "scalar": 201,
        "vset": 1,
        "arith": 100,
        "unit": 100,
        "arith_slots": 200,
        "memory_slots": 200,
    }


def test_an_empty_interval_is_the_mark_itself(tmp_path: Path) -> None:
    assert interval(counted(tmp_path, "mark 1\n mark 2\n mark 3\n"), 1) == {}
    assert interval(counted(tmp_path, "mark 1\n mark 2\n nop\n c.nop\n mark 3\n"), 2) == {"scalar": 2}


# What one instruction weighs at a vtype, from the specification: LMUL, of the wide side where there is one; EMUL =
# LMUL * EEW / SEW of loads and stores, for each field; a fixed number of registers; never below 1.
WEIGHTS = [
    ("e32, m1", "vadd.vv v8, v8, v8", "arith", 1),
    ("e32, m8", "vadd.vi v8, v8, 1", "arith", 8),
    ("e8, mf8", "vadd.vx v8, v8, x0", "arith", 1),
    ("e32, mf2", "vfadd.vf v8, v8, fa0", "arith", 1),
    ("e32, m4", "vfmacc.vf v8, fa0, v16", "arith", 4),
    ("e32, m4", "vfnmsac.vf v8, fa0, v16", "arith", 4),
    ("e32, m4", "vfmv.v.f v8, fa0", "arith", 4),
    ("e16, m2", "vwmacc.vx v8, x0, v16", "arith", 4),
    ("e16, m2", "vwadd.wv v8, v8, v16", "arith", 4),
    ("e16, mf2", "vwmul.vv v8, v16, v18", "arith", 1),
    ("e16, mf4", "vwmul.vv v8, v16, v18", "arith", 1),
    ("e16, m4", "vnsrl.wi v8, v16, 0", "arith", 8),
    ("e8, m1", "vnclip.wi v8, v16, 0", "arith", 2),
    ("e8, m1", "vnclipu.wx v8, v16, x0", "arith", 2),
    ("e16, m2", "vsext.vf2 v8, v16", "arith", 2),
    ("e32, m2", "vfwmacc.vf v8, fa0, v16", "arith", 4),
    ("e16, m1", "vfwcvt.f.x.v v8, v16", "arith", 2),
    ("e16, m2", "vfncvt.x.f.w v8, v16", "arith", 4),
    ("e32, m2", "vfcvt.x.f.v v8, v16", "arith", 2),
    ("e32, m2", "vfsqrt.v v8, v16", "arith", 2),
    ("e32, m4", "vfredusum.vs v8, v16, v24", "arith", 4),
    ("e32, m4", "vmv.x.s t0, v8", "arith", 4),
    ("e32, m1", "vmv4r.v v8, v16", "arith", 4),
    ("e32, m8", "vmv1r.v v8, v16", "arith", 1),
    ("e16, m2", "vsmul.vv v8, v16, v18", "arith", 2),
    ("e32, m4", "vle32.v v8, (a5)", "unit", 4),
    ("e32, m4", "vse32.v v8, (a5)", "unit", 4),
    ("e32, m4", "vle8.v v8, (a5)", "unit", 1),
    ("e8, m1", "vle32.v v8, (a5)", "unit", 4),
    ("e64, m2", "vle8.v v8, (a5)", "unit", 1),
    ("e32, m2", "vle32ff.v v8, (a5)", "unit", 2),
    ("e32, m2", "vlseg3e32.v v8, (a5)", "unit", 6),
    ("e32, m8", "vl2re32.v v8, (a5)", "unit", 2),
    ("e32, m1", "vs8r.v v8, (a5)", "unit", 8),
    ("e8, m8", "vlm.v v8, (a5)", "unit", 1),
    ("e8, m8", "vsm.v v8, (a5)", "unit", 1),
    ("e32, m4", "vlse32.v v8, (a5), x0", "strided", 4),
    ("e32, m4", "vsse32.v v8, (a5), x0", "strided", 4),
    ("e32, m4", "vluxei32.v v8, (a5), v16", "indexed", 4),
    ("e32, m4", "vsoxei8.v v8, (a5), v16", "indexed", 4),
    ("e32, m1", "fadd.s fa0, fa0, fa0", "scalar", 0),
    ("e32, m1", "flw fa0, 0(a5)", "scalar", 0),
    ("e32, m1", "fsd fa0, 8(a5)", "scalar", 0),
    ("e32, m1", "c.nop", "scalar", 0),
]


def test_every_kind_of_instruction_has_its_weight(tmp_path: Path) -> None:
    body = "\n".join(
        f"    vmv.v.i v16, 0\n    vsetvli t1, x0, {vtype}, ta, ma\n    mark {tag}\n    {instruction}\n    mark 2000"
        for tag, (vtype, instruction, _, _) in enumerate(WEIGHTS)
    )
    records = counted(tmp_path, "    vsetvli t1, x0, e8, m8, ta, ma\n    vmv.v.i v16, 0\n" + body)
    got = [interval(records, tag) for tag in range(len(WEIGHTS))]
    want = []
    for _, _, kind, weight in WEIGHTS:
        slots = {"arith_slots" if kind == "arith" else "memory_slots": weight} if weight else {}
        want.append({kind: 1, **slots})
    assert got == want


def test_a_block_is_weighed_by_the_vtype_it_is_entered_with(tmp_path: Path) -> None:
    body = """
    vsetivli x0, 1, e32, m1, ta, ma
    mark 1
    call work
    vsetivli x0, 1, e32, m8, ta, ma
    call work
    vsetivli x0, 1, e16, mf4, ta, ma
    call work
    mark 2
    li a0, 0
    j 9f
work:
    vadd.vv v8, v8, v8
    vle32.v v8, (a5)
    vsetivli x0, 1, e64, m4, ta, ma
    vadd.vv v8, v8, v8
    jr ra
9:
    mv ra, s1
    """
    got = interval(counted(tmp_path, "    mv s1, ra\n" + body), 1)
    calls = got.pop("scalar") - 3  # the returns; the linker may relax a call from two instructions to one
    assert calls in (3, 6)
    assert got == {
        "vset": 5,
        "arith": 6,
        "unit": 3,
        "arith_slots": 1 + 8 + 1 + 3 * 4,
        "memory_slots": 1 + 8 + 1,  # e16, mf4: 32-bit elements make EMUL 1/2
    }


def test_a_vtype_out_of_a_register_is_reported_as_unknown(tmp_path: Path) -> None:
    body = """
    mark 1
    vsetvli t1, x0, e32, m4, ta, ma
    vadd.vv v8, v8, v8
    li t2, 0xd2
    vsetvl t1, x0, t2
    vadd.vv v8, v8, v8
    vmv4r.v v8, v16
    mark 2
    vsetvli t1, x0, e32, m4, ta, ma
    vadd.vv v8, v8, v8
    mark 3
    """
    records = counted(tmp_path, body)
    assert interval(records, 1)["unknown"] == 1  # a whole-register move needs no vtype to be weighed
    assert interval(records, 2) == {"vset": 1, "arith": 1, "arith_slots": 4}


def test_a_qemu_that_cannot_load_it_is_refused() -> None:
    tool = qemu.find()
    for blind in (replace(tool, supports_plugins=False), replace(tool, version="10.0.2")):
        with pytest.raises(ToolError, match="cannot load the counting plugin"):
            plugin.argument(blind, Path("x"))
