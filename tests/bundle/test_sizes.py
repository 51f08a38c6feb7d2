"""Section sizes of assembler files whose every byte was counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotfish.board.toolchain import WEIGHTS_SECTION, Toolchain
from pilotfish.bundle import sizes
from pilotfish.compiler import targets
from pilotfish.errors import ToolError

FIRST = f"""
.text
.globl f
f: .4byte 0x00008067, 0x00008067, 0x00008067
.section .text.g,"ax",@progbits
.globl g
g: .4byte 0x00008067
.section .rodata,"a",@progbits
.space 100, 1
.data
.space 7, 1
.bss
.space 50
.section {WEIGHTS_SECTION},"a",@progbits
.globl weights
weights: .space 1001, 1
.section .note.GNU-stack,"",@progbits
"""
SECOND = """
.section .text.h,"ax",@progbits
.globl h
h: .4byte 0x00008067, 0x00008067
.section .rodata.cst,"a",@progbits
.space 23, 1
.section .note.GNU-stack,"",@progbits
"""


@pytest.mark.parametrize("target", ["rv64gc", "host"])
def test_a_library_is_measured(tmp_path: Path, target: str) -> None:
    tools = Toolchain(targets.load(target))
    sources = {"first.S": FIRST, "a_name_that_is_longer_than_sixteen.S": SECOND}
    objects = []
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
        objects.append(tools.compile(tmp_path / name))
    library = tmp_path / "libx.a"
    tools.archive(objects, library)
    assert sizes.text_and_constants(library, WEIGHTS_SECTION) == (12 + 4 + 8, 100 + 23)
    assert sizes.text_and_constants(library, "none") == (24, 100 + 23 + 1001)


def test_other_files_are_refused() -> None:
    with pytest.raises(ToolError, match="not an archive"):
        list(sizes.members(b"\x7fELF"))
    with pytest.raises(ToolError, match="not a 64-bit"):
        list(sizes.sections(b"!<arch>\n"))
