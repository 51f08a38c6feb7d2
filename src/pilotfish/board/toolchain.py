"""The C compiler: clang for every target, as the ``ziglang`` package from PyPI brings it.

Objects are cached by the hash of everything that makes them: source, headers, flags, compiler version.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path

from pilotfish.board.cache import folder, replacing
from pilotfish.bundle.directory import storing
from pilotfish.compiler import targets
from pilotfish.compiler.targets import Target
from pilotfish.errors import StorageError, ToolError, ToolMissingError, UsageError

Progress = Callable[[str], None]

WARNINGS = ("-Wall", "-Wextra", "-Werror")
CODE = (
    "-std=c11",
    "-O2",
    "-fPIC",  # so that libmodel.a goes into programs of any kind, and into shared libraries; it costs no instruction
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-math-errno",
    "-fno-stack-protector",
    # The ziglang driver asks for all three; they cost instructions in every call, and size.
    "-fomit-frame-pointer",
    "-fno-asynchronous-unwind-tables",
    "-g0",
)
WEIGHTS_SECTION = ".rodata.weights"
_SCRIPT = Path(str(resources.files(__package__) / "runtime" / "program.ld"))
_LITTLE_SPACE = 1 << 28  # bytes; more than a program of ours takes
# Start-up code and libc are built without vectors, once for all RISC-V targets: the program itself must be
# able to find out, and say, that the machine has none.
LIBC_CPU = {"riscv64-linux-musl": "baseline_rv64"}


@cache
def version() -> str:
    """Version of the compiler package, such as ``"0.17.0"``."""
    try:
        done = subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ToolMissingError(f"cannot start Python to run ziglang: {error.strerror}") from error
    if done.returncode != 0:
        raise ToolMissingError("the C compiler is missing: pip install 'ziglang>=0.17,<0.18'")
    return done.stdout.strip()


@dataclass
class Toolchain:
    """Compiles, archives and links C for one target."""

    target: Target
    progress: Progress = field(default=lambda _: None)

    def compile(self, source: Path, *, include: Sequence[Path] = (), flags: Sequence[str] = ()) -> Path:
        """The object of a C or assembler file, from the cache if nothing changed.

        ``include`` folders are searched for headers, and all their ``*.h`` files count as inputs. Raises
        :class:`ToolError` with the compiler's own words.
        """
        digest = hashlib.sha256(
            "\0".join(
                [version(), self.target.triple, self.target.cpu, *CODE, *WARNINGS, *flags, source.suffix]
            ).encode()
        )
        text = source.read_bytes()
        included = [source.parent / name.decode() for name in re.findall(rb'^#include "(\w+\.c)"', text, re.MULTILINE)]
        for path in (source, *included, *(h for f in include for h in sorted(f.glob("*.h")))):
            digest.update(path.read_bytes())
        objects = folder("objects")
        made = objects / f"{source.stem}-{digest.hexdigest()[:32]}.o"
        if not made.exists():
            command = ["cc", *self._target(), *CODE, *WARNINGS, *flags, *(f"-I{f.absolute()}" for f in include)]
            with replacing(made) as temporary:
                self._run(
                    [*command, "-c", source.name, "-o", str(temporary)],
                    f"compiling {source.name} for {self.target.name}",
                    cwd=source.parent,  # so that objects do not tell where, and its path may hold anything
                )
        return made

    def vlen_promised(self) -> int:
        """Bits of the vector registers that the C compiler takes for granted on the target's CPU; 0 without vectors.

        A CPU such as ``spacemit_x60``, or ``+zvl256b``, promises more than 128: at a smaller VLEN the program would be
        silently wrong. Raises :class:`UsageError` for a CPU or an extension that the compiler does not know.
        """
        found = re.search(r"^#define __riscv_v_min_vlen (\d+)$", self.macros(), re.MULTILINE)
        return int(found[1]) if found else 0

    def has_half_vectors(self) -> bool:
        """Whether the target's CPU has float16 arithmetic, scalar and in vectors: Zfh and Zvfh."""
        return all(f"#define __riscv_{name} " in self.macros() for name in ("zfh", "zvfh"))

    def macros(self) -> str:
        """The C compiler's predefined macros for the target's CPU, from the cache."""
        digest = hashlib.sha256("\0".join([version(), self.target.triple, self.target.cpu]).encode())
        known = folder("macros") / digest.hexdigest()[:32]
        if not known.exists():
            with replacing(known) as temporary:
                source = temporary.with_suffix(".c")
                try:
                    source.touch()
                    command = ["cc", *self._target(), "-dM", "-E", str(source)]
                    macros = self._run(command, f"asking the C compiler about {self.target.cpu}")
                finally:
                    source.unlink(missing_ok=True)
                temporary.write_text(macros)
        return known.read_text()

    def assemble_data(self, data: Path, symbol: str, *, section: str = WEIGHTS_SECTION) -> Path:
        """An object that holds the bytes of a file as ``const unsigned char symbol[]``, 64-byte aligned."""
        made = data.with_suffix(".o")
        listing = data.with_suffix(".S")
        with storing(listing):
            listing.write_text(
                f'.section {section},"a",%progbits\n.globl {symbol}\n.balign 64\n{symbol}:\n.incbin "{data.name}"\n'
                f'.size {symbol}, . - {symbol}\n.section .note.GNU-stack,"",%progbits\n'
            )
        command = ["cc", *self._target(), "-c", listing.name, "-o", made.name]
        self._run(command, "embedding the weights", cwd=data.parent)  # its path may hold what an assembler minds
        listing.unlink()
        return made

    def archive(self, objects: Iterable[Path], out: Path) -> None:
        """A static library; an existing one is replaced."""
        out.unlink(missing_ok=True)
        self._run(["ar", "rcsD", str(out), *map(str, objects)], f"making {out.name}")

    def link(self, objects: Iterable[Path], out: Path, *, strip: bool = True) -> None:
        """A static program of those objects and libraries."""
        started = folder("started") / f"libc-{version()}-{self.target.triple}"
        first = "" if started.exists() else " (the first link builds the C library: up to a minute)"
        cpu = LIBC_CPU.get(self.target.triple, self.target.cpu)
        command = ["cc", "-target", self.target.triple, f"-mcpu={cpu}", "-Oz", "-static"]
        stripped = ["-s", f"-Wl,-T,{_SCRIPT}"] if strip else []
        command += ["-Wl,--gc-sections", *stripped, *map(str, objects), "-o", str(out)]
        self._run(command, f"linking {out.name}{first}")
        with storing(started):
            started.touch()

    def _target(self) -> list[str]:
        return ["-target", self.target.triple, f"-mcpu={self.target.cpu}"]

    def _run(self, arguments: list[str], what: str, cwd: Path | None = None) -> str:
        version()
        self.progress(what)
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", *arguments], capture_output=True, text=True, check=False, cwd=cwd
        )
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.strip()
        if "No space left" in said or "NoSpaceLeft" in said:
            raise StorageError(f"{what} failed: no space left on the disk")
        if unknown := re.search(r"unknown CPU( feature)?: '(.*?)'", said):
            kind = "extension" if unknown[1] else "CPU"
            raise UsageError(f"the C compiler knows no {kind} {unknown[2]!r} for {self.target.triple}")
        if done.returncode < 0 and not said:  # LLVM's linker aborts without a word where it cannot write
            free = shutil.disk_usage(Path(cwd or "", arguments[-1]).parent).free
            error = StorageError if free < _LITTLE_SPACE else ToolError
            name = signal.Signals(-done.returncode).name
            raise error(f"{what} failed: the compiler was ended by {name}, with {free:,} bytes left on the disk")
        raise ToolError(f"{what} failed:\n{said[-4000:]}")


def check_half(target: Target, progress: Progress = lambda _: None) -> None:
    """Raise :class:`UsageError` unless the target's CPU has vectors of float16."""
    if Toolchain(target, progress).has_half_vectors():
        return
    others = [name for name in targets.names() if "zvfh" in targets.load(name).cpu]
    way = ", or this one with --mattr +zfh,+zvfh if your core has them" if target.isa == "rvv" else ""
    raise UsageError(
        f"--precision fp16 computes in vectors of float16 (the extensions Zfh and Zvfh), which the target "
        f"{target.name} (-mcpu={target.cpu}) does not have: choose {', '.join(others[:-1])} or {others[-1]}{way}"
    )


def settled(target: Target, progress: Progress = lambda _: None) -> Target:
    """The target with the vector length that its ``cpu``, which options may have changed, promises to the compiler."""
    promised = Toolchain(target, progress).vlen_promised()
    if (target.isa == "rvv") != bool(promised):
        has, wants = ("vectors", "none") if promised else ("no vectors", "them")
        raise UsageError(
            f"-mcpu={target.cpu} has {has} and the target {target.name} wants {wants}: choose another target or CPU"
        )
    return replace(target, vlen=max(target.vlen, promised), vlen_min=max(target.vlen_min, promised))
