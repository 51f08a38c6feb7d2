"""QEMU user mode: runs a RISC-V program on this machine, and counts what it executes.

It is looked for in this order: ``$PILOTFISH_QEMU``, then ``qemu-riscv64`` on the PATH, then the private cache, into
which the distribution's own package is brought without root (:mod:`pilotfish.board.apt`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pilotfish.board import apt
from pilotfish.compiler.targets import Target
from pilotfish.errors import ToolError, ToolMissingError, UsageError

Progress = Callable[[str], None]

PROGRAM = "qemu-riscv64"
PACKAGE = "qemu-user"
OLDEST = (7, 0)  # the first with RVV 1.0
VLEN_MOST = 1024  # RV_VLEN_MAX in QEMU's target/riscv/cpu.h


@dataclass(frozen=True)
class Qemu:
    """One QEMU: how it is started, its version (``"7.2.22"``), and whether it loads TCG plugins."""

    start: tuple[str, ...]
    version: str
    supports_plugins: bool

    def command(self, target: Target, vlen: int | None = None, plugin: str | None = None) -> list[str]:
        """The words to put before a program built for ``target``; none if the target is native.

        ``vlen`` in bits, the target's own if None, ignored for a target without vectors. ``plugin`` is what QEMU
        takes after ``-plugin``: a path and its arguments. Raises :class:`UsageError` for a length that QEMU cannot
        emulate and :class:`ToolError` for a plugin that it cannot load.
        """
        if target.native:
            return []
        cpu = target.qemu_cpu
        if target.isa == "rvv":
            bits = target.vlen if vlen is None else vlen
            if bits & (bits - 1) or not 128 <= bits <= VLEN_MOST:
                raise UsageError(f"QEMU emulates VLEN 128, 256, 512 and {VLEN_MOST}, not {bits}")
            cpu += f",vlen={bits}"
        command = [*self.start, "-cpu", cpu]
        if plugin is not None:
            if not self.supports_plugins:
                raise ToolError(
                    f"QEMU {self.version} ({self.start[-1]}) was built without plugins, which counting needs; "
                    "set PILOTFISH_QEMU to one that has them (such as qemu-user 7.2 of Debian 12)"
                )
            command += ["-plugin", plugin]
        return command


def find(progress: Progress = lambda _: None) -> Qemu:
    """The QEMU to use; brought into the private cache if this machine has none (15 MB, once).

    Raises :class:`ToolMissingError` if there is none and none can be brought, :class:`ToolError` if the one that is
    named does not run or is too old.
    """
    if named := os.environ.get("PILOTFISH_QEMU"):
        return probe((named,))
    if there := shutil.which(PROGRAM):
        return probe((there,))
    return _brought(progress)


def _brought(progress: Progress) -> Qemu:
    try:
        root = apt.bring(PACKAGE, progress)
    except ToolMissingError as error:
        raise ToolMissingError(
            f"{PROGRAM} is not on the PATH and could not be brought: {error}\n"
            f"Install QEMU user mode (Debian, Ubuntu: apt-get install {PACKAGE}), or set PILOTFISH_QEMU to a "
            f"{PROGRAM} of {OLDEST[0]}.{OLDEST[1]} or newer"
        ) from error
    program = root / "usr" / "bin" / PROGRAM
    if not program.is_file():
        raise ToolMissingError(f"the package {PACKAGE} in {root} has no {PROGRAM}; set PILOTFISH_QEMU")
    return probe(apt.start(root, program))


@cache
def probe(start: tuple[str, ...]) -> Qemu:
    """Asks the QEMU that these words start for its version and abilities."""
    version = re.search(r"version (\d+\.\d+[.\d]*)", _output(start, "-version"))
    if version is None:
        raise ToolError(f"{start[-1]} is not QEMU: it does not print its version")
    if tuple(map(int, version[1].split(".")[:2])) < OLDEST:
        raise ToolError(
            f"{start[-1]} is QEMU {version[1]}; vectors need {OLDEST[0]}.{OLDEST[1]} or newer: set PILOTFISH_QEMU"
        )
    return Qemu(start, version[1], re.search(r"^-plugin\b", _output(start, "-help"), re.MULTILINE) is not None)


def _output(start: tuple[str, ...], option: str) -> str:
    try:
        done = subprocess.run([*start, option], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"cannot run {start[-1]}: {error}") from error
    if done.returncode not in (0, 1):  # -help ends with 1 on some versions
        raise ToolError(f"{start[-1]} {option} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
