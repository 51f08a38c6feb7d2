"""No program holds an instruction that QEMU 7.2 aborts on: casts from float to integer that round toward zero."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import networks
import pilotfish
from pilotfish.bundle.sizes import sections
from pilotfish.compiler import targets
from pilotfish.compiler.kernels.table import kernels
from pilotfish.measure import kernel_harness

# OP-V with funct3 OPFVV and funct6 VFUNARY0; the field vs1 says which conversion (RISC-V V 1.0, section 19).
_MATCH, _MASK = 0x48001057, 0xFC00707F
_TOWARD_ZERO = {0b00110, 0b00111, 0b01110, 0b01111, 0b10110, 0b10111}


def instructions(text: bytes) -> Iterator[int]:
    """The instructions of a text section: 16 bits long unless the lowest two are ones."""
    at = 0
    while at + 2 <= len(text):
        (low,) = struct.unpack_from("<H", text, at)
        if low & 3 != 3:
            yield low
            at += 2
        else:
            yield struct.unpack_from("<I", text, at)[0] if at + 4 <= len(text) else 0
            at += 4


def forbidden(program: Path) -> list[str]:
    """The forbidden instructions of an ELF file, as hexadecimal words."""
    elf = program.read_bytes()
    words = [w for s in sections(elf) if s.executable for w in instructions(elf[s.offset : s.offset + s.bytes])]
    assert len(words) > 1000, "the program's text was not found"
    return [f"{w:08x}" for w in words if w & _MASK == _MATCH and w >> 15 & 31 in _TOWARD_ZERO]


@pytest.mark.parametrize("name", ["rv64gcv", "sifive-x280", "spacemit-k1"])
def test_no_kernel_casts_toward_zero_in_vectors(name: str) -> None:
    target = targets.load(name)
    half = "zvfh" in target.cpu
    rows = [k for k in kernels().values() if half or k.isa == "scalar" or "f16_" not in k.name]
    assert forbidden(kernel_harness.build(target, rows)) == []


@pytest.mark.parametrize("name", ["resnet8", "kws"])
def test_no_program_casts_toward_zero_in_vectors(name: str, tmp_path: Path) -> None:
    bundle = pilotfish.compile(networks.NETWORKS[name](), target="rv64gcv", output=tmp_path / "out")
    assert forbidden(bundle.program) == []


def test_the_scan_finds_what_it_looks_for() -> None:
    vfcvt_rtz_x_f_v = 0x4A8394D7  # vfcvt.rtz.x.f.v v9, v8
    assert vfcvt_rtz_x_f_v & _MASK == _MATCH
    assert vfcvt_rtz_x_f_v >> 15 & 31 in _TOWARD_ZERO
