"""Generated C becomes a static program and a library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from pilotfish.board.toolchain import LIBC_CPU, Toolchain
from pilotfish.compiler.codegen import Sources
from pilotfish.compiler.kernels import table
from pilotfish.compiler.targets import Target
from pilotfish.errors import StorageError

RUNNER = ("pf_runner.c", "pf_options.c", "pf_tensors.c", "pf_infer.c", "pf_npy.c", "pf_file.c", "pf_text.c")
"""Runtime files of the program, without its library."""
LIBRARY = ("pf_api.c", "pf_machine.c")
"""Runtime files of the library."""


@dataclass(frozen=True)
class Built:
    """Files that a build wrote."""

    program: Path
    library: Path
    header: Path
    weights: Path
    source: Path


def runtime_folder() -> Path:
    """The folder of the C runtime."""
    return Path(str(resources.files("pilotfish.board") / "runtime"))


def runtime_header() -> str:
    """The text of ``pf_model.h``, which public headers carry."""
    return (runtime_folder() / "pf_model.h").read_text("utf-8")


def plain(target: Target) -> Target:
    """The target without vectors: for code that must run before the machine is checked."""
    return replace(target, cpu=LIBC_CPU.get(target.triple, target.cpu), isa="scalar", vlen=0, vlen_min=0)


def build(sources: Sources, target: Target, folder: Path, progress: Callable[[str], None] = lambda _: None) -> Built:
    """Compile, archive and link into ``folder``, which must exist.

    Raises :class:`pilotfish.errors.ToolError` if the compiler fails and :class:`StorageError` on a full disk.
    """
    symbol = sources.symbol
    built = Built(
        folder / f"{symbol}.elf", folder / f"lib{symbol}.a", folder / f"{symbol}.h", folder / "weights.bin",
        folder / f"{symbol}.c",
    )  # fmt: skip
    try:
        built.source.write_text(sources.model_c, "utf-8")
        built.header.write_text(sources.header, "utf-8")
        built.weights.write_bytes(sources.weights)
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}") from error
    kernels, runtime = table.folder(), runtime_folder()
    vector, scalar = Toolchain(target, progress), Toolchain(plain(target), progress)
    defines = [f"-DPF_SYMBOL={symbol}", "-Oz"]  # nothing of the runtime is on the way of an inference
    library = [vector.compile(built.source, include=[kernels, runtime])]
    library += [vector.compile(kernels / name, include=[kernels]) for name in sources.kernel_files]
    library += [scalar.compile(runtime / name, include=[runtime], flags=defines) for name in LIBRARY]
    if sources.weights:
        library.append(scalar.assemble_data(built.weights, f"{symbol}_weights"))
    scalar.archive(library, built.library)
    runner = [scalar.compile(runtime / name, include=[runtime], flags=defines) for name in RUNNER]
    scalar.link([*runner, built.library], built.program)
    built.weights.with_suffix(".o").unlink(missing_ok=True)
    return built
