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
NEWEST_COUNTING = 8  # the last with the plugin interface, version 1, that our plugin speaks
COUNTING_RELEASE = "bookworm"  # the Debian release whose package has one; Debian 13's is built without plugins
_HALF = {"7": "Zfh=true", "8": "Zfh=true,x-zvfh=true"}
"""What lets vectors compute in float16, by QEMU's major version; the later ones have a name for it."""
VLEN_MOST = 1024  # RV_VLEN_MAX in QEMU's target/riscv/cpu.h


@dataclass(frozen=True)
class Qemu:
    """One QEMU: how it is started, its version (``"7.2.22"``), and whether it loads TCG plugins."""

    start: tuple[str, ...]
    version: str
    supports_plugins: bool

    @property
    def counts(self) -> bool:
        """Whether it loads our counting plugin."""
        return self.supports_plugins and int(self.version.split(".")[0]) <= NEWEST_COUNTING

    def command(self, target: Target, vlen: int | None = None, plugin: str | None = None) -> list[str]:
        """The words to put before a program built for ``target``; none if the target is native.

        ``vlen`` in bits, the target's own if None, ignored for a target without vectors. ``plugin`` is what QEMU
        takes after ``-plugin``: a path and its arguments. Raises :class:`UsageError` for a length that QEMU cannot
        emulate and :class:`ToolError` for a plugin that it cannot load.
        """
        if target.native:
            return []
        cpu = target.qemu_cpu.replace("Zfh=true", _HALF.get(self.version.split(".")[0], "zfh=true,zvfh=true"))
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


def find_counting(progress: Progress = lambda _: None) -> Qemu:
    """As :func:`find`, but one that counts: if this machine's cannot, that of Debian 12 is brought.

    Raises :class:`ToolError` if there is none that can.
    """
    found = find(progress)
    if found.counts:
        return found
    why = "speaks another plugin interface than ours" if found.supports_plugins else "was built without plugins"
    words = f"QEMU {found.version} ({found.start[-1]}) cannot count instructions: it {why}"
    advice = f"set PILOTFISH_QEMU to a {PROGRAM} of version 7.0 to {NEWEST_COUNTING}.2 with plugins (Debian 12's)"
    if os.environ.get("PILOTFISH_QEMU"):
        raise ToolError(f"{words}; {advice}")
    try:
        return _unpacked(COUNTING_RELEASE, progress)
    except ToolError as error:
        raise ToolError(
            f"{words}, and another could not be brought: {error}\n{advice[0].upper()}{advice[1:]}"
        ) from error


def _brought(progress: Progress) -> Qemu:
    try:
        return _unpacked("", progress)
    except ToolMissingError as error:
        raise ToolMissingError(
            f"{PROGRAM} is not on the PATH and could not be brought: {error}\n"
            f"Install QEMU user mode (Debian, Ubuntu: apt-get install {PACKAGE}), or set PILOTFISH_QEMU to a "
            f"{PROGRAM} of {OLDEST[0]}.{OLDEST[1]} or newer"
        ) from error


def _unpacked(release: str, progress: Progress) -> Qemu:
    root = apt.bring(PACKAGE, progress, release=release)
    program = root / "usr" / "bin" / PROGRAM
    if not program.is_file():
        raise ToolMissingError(f"the package {PACKAGE} in {root} has no {PROGRAM}")
    for other in program.parent.glob("qemu-*"):  # 30 machines, up to 400 MB
        if other != program:
            other.unlink(missing_ok=True)
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
