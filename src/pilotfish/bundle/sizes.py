"""Sizes out of ELF files and ``ar`` archives (64-bit, little-endian: every target of ours).

Layouts: ELF-64 Object File Format 1.5; ar(5) of the System V kind.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotfish.errors import StorageError, ToolError

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4  # sh_flags
_NOBITS = 8  # sh_type of what takes no room in the file


@dataclass(frozen=True)
class Section:
    """One section that is loaded: name, bytes in the file and where they start there, and what it holds."""

    name: str
    bytes: int
    offset: int
    executable: bool
    writable: bool


def sections(elf: bytes) -> Iterator[Section]:
    """The loaded sections of an ELF file that have content."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ToolError("the compiler made a file that is not a 64-bit little-endian ELF")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    entry, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", elf, table + i * entry) for i in range(count)]
    strings = rows[names][4] if names < count else 0
    for name, kind, flags, _address, offset, size in rows:
        if flags & _ALLOC and kind != _NOBITS and size:
            start = strings + name
            text = elf[start : elf.index(b"\0", start)].decode("utf-8", "replace")
            yield Section(text, size, offset, bool(flags & _EXECUTE), bool(flags & _WRITE))


def members(archive: bytes) -> Iterator[bytes]:
    """The files in an archive, but for its symbol and name tables."""
    if archive[:8] != b"!<arch>\n":
        raise ToolError("the compiler made a file that is not an archive")
    at = 8
    while at + 60 <= len(archive):
        name, size = archive[at : at + 16].rstrip(), int(archive[at + 48 : at + 58])
        if name not in (b"/", b"//", b"/SYM64/"):
            yield archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


def text_and_constants(library: Path, weights_section: str) -> tuple[int, int]:
    """Bytes of machine code, and of constants but for the weights, of a static library."""
    try:
        content = library.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {library}: {error.strerror}") from error
    found = [s for member in members(content) for s in sections(member)]
    text = sum(s.bytes for s in found if s.executable)
    constants = sum(s.bytes for s in found if not s.executable and not s.writable and s.name != weights_section)
    return text, constants
