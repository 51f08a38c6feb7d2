"""What a bundle may be called."""

from __future__ import annotations

import re

from pilotfish.errors import UsageError

_NAMES_OF_C = frozenset({"intmax", "intptr", "max_align", "ptrdiff", "size", "ssize", "uintmax", "uintptr", "wchar",
                         *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})  # fmt: skip


def check_name(name: str) -> None:
    """The name must do as the start of file names and of C names such as ``NAME_run`` and ``NAME_t``."""
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,62}", name, re.ASCII) or name.lower().startswith("pf_"):
        raise UsageError(f"the name {name!r} cannot be: take letters, digits and _, a letter first, not pf_")
    if name in _NAMES_OF_C:
        raise UsageError(f"the name {name!r} cannot be: {name}_t is a type of C's own")
