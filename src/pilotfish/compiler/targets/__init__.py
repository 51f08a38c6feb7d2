"""Targets: cores, boards and hosts that code is compiled for, one TOML file each.

To add a target, add one TOML file here; `_schema` below is checked on load.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from pilotfish.errors import UnknownTargetError, UsageError

Isa = Literal["scalar", "rvv"]


@dataclass(frozen=True)
class Target:
    """What code is compiled for.

    Sizes are in bytes, lengths of vector registers in bits, the clock in Hz. ``cpu`` is what the C compiler
    takes as ``-mcpu``; ``qemu_cpu`` what QEMU user mode takes as ``-cpu`` (without ``vlen``), or empty for a
    native program. ``vlen`` is the length that weights are packed for; every length from ``vlen_min`` up
    runs correctly.
    """

    name: str
    description: str
    triple: str
    cpu: str
    isa: Isa
    qemu_cpu: str = ""
    vlen: int = 0
    vlen_min: int = 0
    dlen: int = 0
    harts: int = 1
    clock_hz: int = 0
    l1d_bytes: int = 32768
    l2_bytes: int = 0
    scheduler: str = ""

    def __post_init__(self) -> None:
        if self.isa not in get_args(Isa):
            raise UsageError(f"target {self.name}: isa must be one of {get_args(Isa)}, not {self.isa!r}")
        if self.isa == "rvv" and (
            self.vlen_min < 128 or self.vlen < self.vlen_min or self.vlen & (self.vlen - 1) or self.vlen > 65536
        ):
            raise UsageError(
                f"target {self.name}: vlen must be a power of two from vlen_min (at least 128) to 65536, "
                f"not vlen={self.vlen}, vlen_min={self.vlen_min}"
            )

    @property
    def native(self) -> bool:
        """True if the program runs on this machine without an emulator."""
        return not self.qemu_cpu

    @property
    def lanes(self) -> int:
        """f32 elements of one vector register (LMUL 1) at ``vlen``; 1 without vectors."""
        return self.vlen // 32 if self.isa == "rvv" else 1


@cache
def _files() -> dict[str, str]:
    folder = resources.files(__package__)
    return {
        entry.name.removesuffix(".toml"): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def names() -> list[str]:
    """The names of all targets, sorted."""
    return sorted(_files())


def load(
    name: str,
    *,
    cpu: str | None = None,
    attributes: str | None = None,
    vlen: int | None = None,
    vlen_min: int | None = None,
) -> Target:
    """The target of that name, with the knobs applied.

    ``cpu`` replaces the target's ``-mcpu``; ``attributes`` are added to it (``"+zba,-zbb"``): adding ``+v``
    to a target without vectors makes it a vector target, ``-v`` the other way round.
    """
    try:
        text = _files()[name]
    except KeyError:
        raise UnknownTargetError(name, names()) from None
    table: dict[str, Any] = tomllib.loads(text)
    known = {f.name for f in fields(Target)} - {"name"}
    if extra := set(table) - known:
        raise UsageError(f"target {name}: unknown keys {sorted(extra)}")
    target = Target(name=name, **table)
    changes: dict[str, Any] = {}
    if cpu is not None:
        changes["cpu"] = cpu
    for attribute in filter(None, (attributes or "").replace(" ", "").split(",")):
        if attribute[0] not in "+-" or not attribute[1:].isidentifier():
            raise UsageError(f"attribute {attribute!r} is not of the form +name or -name")
        changes["cpu"] = changes.get("cpu", target.cpu) + attribute
        if attribute in ("+zfh", "+zvfh") and "Zfh=true" not in changes.get("qemu_cpu", target.qemu_cpu):
            changes["qemu_cpu"] = changes.get("qemu_cpu", target.qemu_cpu) + ",Zfh=true"
        if attribute[1:] == "v":
            if attribute[0] == "+" and target.isa == "scalar":
                changes |= {
                    "isa": "rvv",
                    "vlen": 256,
                    "vlen_min": 128,
                    "qemu_cpu": changes.get("qemu_cpu", target.qemu_cpu) + ",v=true,vext_spec=v1.0",
                }
            elif attribute[0] == "-":
                # What V and its kin imply outlasts them in the compiler's eyes, so they are taken out by name.
                cpu = re.sub(r"[+-](v|zv\w+)(?=[+-]|$)", "", changes["cpu"])
                changes |= {"cpu": cpu, "isa": "scalar", "vlen": 0, "vlen_min": 0}
    if vlen is not None:
        changes["vlen"] = vlen
        changes["vlen_min"] = min(vlen, changes.get("vlen_min", target.vlen_min))
    if vlen_min is not None:
        changes["vlen_min"] = vlen_min
    if (vlen or vlen_min) and changes.get("isa", target.isa) != "rvv":
        raise UsageError(f"target {name} has no vectors: vlen does not apply")
    return replace(target, **changes)
