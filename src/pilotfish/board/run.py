"""Runs a program on tensors: under QEMU, or natively if it was built for this machine."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.board import qemu
from pilotfish.bundle.directory import storing
from pilotfish.compiler.targets import Target
from pilotfish.errors import InputError, MachineError, PilotfishError, StorageError, ToolError, UsageError

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]

EMULATED_MACS = 9e6
"""Multiply-accumulates a second of float32 vector code under QEMU, roughly; *measured* on one x86-64 machine."""

_ERRORS: Mapping[int, type[PilotfishError]] = {4: InputError, 6: MachineError, 8: StorageError}
"""What the runner's exit statuses mean (``runtime/pf_runner.h``)."""


def place(target: Target, vlen: int | None = None) -> str:
    """Where :func:`run` runs a program: ``"under QEMU, VLEN 256"``."""
    if target.native:
        return "on this machine"
    return f"under QEMU, VLEN {vlen or target.vlen}" if target.isa == "rvv" else "under QEMU"


def patience(target: Target, macs: int) -> str:
    """A remark on how long QEMU will take, if long: ``", about 4 minutes"``; estimated."""
    seconds = macs / EMULATED_MACS
    if target.native or target.isa != "rvv" or seconds < 20:
        return ""
    return f", about {seconds:.0f} seconds" if seconds < 100 else f", about {seconds / 60:.0f} minutes"


def run(
    program: Path,
    target: Target,
    inputs: Mapping[str, Array],
    *,
    vlen: int | None = None,
    progress: Progress = lambda _: None,
) -> list[Array]:
    """All outputs of a batch of inferences in one process, in the model's order.

    ``inputs`` have a leading batch dimension, and so have the outputs. ``vlen`` is the length of QEMU's vector
    registers in bits, the target's own if None. Raises :class:`MachineError` if it is too short for the program,
    :class:`UsageError` for a length on a target without vectors, :class:`ToolError` if the program fails.
    """
    prefix = emulator(target, vlen, progress)
    with storing(Path("temporary files")), tempfile.TemporaryDirectory(prefix="pilotfish-run-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        command = [*prefix, str(program), "--output-dir", str(folder / "out")]
        for index, (tensor, array) in enumerate(inputs.items()):
            file = folder / f"{index}.npy"
            np.save(file, array, allow_pickle=False)
            command += ["--input", f"{tensor}={file}"]
        execute(command)
        files = [line.split("\t")[-1] for line in execute([*prefix, str(program), "--list"]).splitlines()
                 if line.startswith("output\t")]  # fmt: skip
        outputs = [np.load(folder / "out" / file, allow_pickle=False) for file in files]
        return outputs if inputs else [output[None] for output in outputs]  # nothing told the runner of a batch


def emulator(target: Target, vlen: int | None = None, progress: Progress = lambda _: None) -> list[str]:
    """The words that stand before a program of that target on the command line; none if it is native."""
    check_vlen(target, vlen)
    return [] if target.native else qemu.find(progress).command(target, vlen)


def check_vlen(target: Target, vlen: int | None) -> None:
    """A vector length asked for means nothing to a program without vectors: :class:`UsageError`."""
    if vlen is not None and target.isa != "rvv":
        raise UsageError(f"the program was compiled for {target.name}, without vectors: a VLEN does not apply")


def execute(command: Sequence[str]) -> str:
    """What the runner, or an emulator with it, prints; its exit status becomes the error that it stands for."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror or error}") from error
    said = done.stderr.strip()[-2000:] or "it said nothing"
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ToolError(f"the program was ended by {name}: {said}")
    if done.returncode in _ERRORS:
        raise _ERRORS[done.returncode](said)
    if done.returncode:
        raise ToolError(f"the program ended with status {done.returncode}: {said}")
    return done.stdout
