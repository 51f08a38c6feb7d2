"""The counting plugin: builds it for the QEMU of this machine on first use, and says how QEMU is to load it."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pilotfish.board.cache import folder, replacing
from pilotfish.board.qemu import Qemu
from pilotfish.board.toolchain import WARNINGS, version
from pilotfish.errors import StorageError, ToolError

Progress = Callable[[str], None]

SOURCE = Path(__file__).with_name("pf_count.c")
# It calls functions of the QEMU that loads it, which a shared library may leave undefined.
FLAGS = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", *WARNINGS)


def argument(qemu: Qemu, out: Path, progress: Progress = lambda _: None) -> str:
    """What QEMU takes after ``-plugin`` to count into the file ``out``.

    Raises :class:`ToolError` if this QEMU cannot load the plugin: it would print no count, or a wrong one.
    """
    if not qemu.counts:
        raise ToolError(f"QEMU {qemu.version} ({qemu.start[-1]}) cannot load the counting plugin")
    return f"{_escaped(build(progress))},out={_escaped(out)}"


def build(progress: Progress = lambda _: None) -> Path:
    """The plugin as a shared library for this machine's QEMU, from the cache if nothing changed."""
    triple = f"{platform.machine()}-linux-gnu"
    digest = hashlib.sha256("\0".join([version(), triple, *FLAGS]).encode())
    for file in sorted([SOURCE, *SOURCE.parent.glob("*.h")]):
        digest.update(file.read_bytes())
    made = folder("plugins") / f"{SOURCE.stem}-{digest.hexdigest()[:32]}.so"
    if not made.exists():
        progress("building the counting plugin")
        with replacing(made) as temporary:
            command = [sys.executable, "-m", "ziglang", "cc", "-target", triple, *FLAGS, str(SOURCE), "-o"]
            done = subprocess.run([*command, str(temporary)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                if "NoSpaceLeft" in done.stderr or "No space left" in done.stderr:
                    raise StorageError("building the counting plugin failed: no space left on the disk")
                raise ToolError(f"building the counting plugin failed:\n{done.stderr.strip()[-4000:]}")
            temporary.chmod(0o755)
    return made


def _escaped(path: Path) -> str:
    """QEMU separates options by commas, and takes two for one."""
    return str(path).replace(",", ",,")
