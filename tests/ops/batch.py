"""Compiles many small models into one program, and runs them: what makes a thousand node tests affordable."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.board import qemu
from pilotfish.board.build import runtime_folder
from pilotfish.board.toolchain import Toolchain
from pilotfish.compiler.kernels import table
from pilotfish.compiler.targets import Target
from pilotfish.pipeline import Compiled

Array = np.ndarray[Any, Any]

_LOCAL = re.compile(
    r'(?<![.>\w"])(operand_t|step_t|operands|steps|step_names|inputs|outputs|run|args_\d+|(?:in|out)puts_\d+_shape)\b'
)
WEIGHTS = "all_weights"
_FUNCTION = re.compile(r"^static void (pf_\w+)\(.*?^\}\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One compiled model (its symbol must be unique) and values for its inputs, by name."""

    compiled: Compiled
    feeds: Mapping[str, Array]


def run(
    jobs: Sequence[Job], target: Target, folder: Path, vlen: int | None = None, per_file: int = 40
) -> list[dict[str, Array]]:
    """The outputs of every job. Raises ``RuntimeError``, naming the model, if the program crashes."""
    program = build(jobs, target, folder, per_file)
    asked, answered = folder / "asked", folder / "answered"
    asked.write_bytes(
        b"".join(
            np.ascontiguousarray(job.feeds[name]).tobytes() for job in jobs for name in job.compiled.program.inputs
        )
    )
    prefix = [] if target.native else qemu.find().command(target, vlen)
    done = subprocess.run(
        [*prefix, str(program), str(asked), str(answered)], capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    data, at, results = answered.read_bytes() if answered.exists() else b"", 0, []
    for job in jobs:
        outputs = {}
        for name, type_ in job.compiled.program.outputs.items():
            count = type_.size
            if at + count * type_.dtype.itemsize > len(data):
                symbol = job.compiled.sources.symbol
                raise RuntimeError(f"{symbol}: the program ended with status {done.returncode}\n{done.stderr[-2000:]}")
            outputs[name] = np.frombuffer(data, type_.dtype, count, at).reshape(type_.shape)
            at += count * type_.dtype.itemsize
        results.append(outputs)
    return results


def build(jobs: Sequence[Job], target: Target, folder: Path, per_file: int) -> Path:
    """The program of all jobs."""
    toolchain = Toolchain(target)
    kernels, runtime = table.folder(), runtime_folder()
    objects = []
    offsets = list(accumulate((len(job.compiled.sources.weights) for job in jobs), initial=0))[:-1]
    for first in range(0, len(jobs), per_file):
        source = folder / f"models_{first}.c"
        part = slice(first, first + per_file)
        source.write_text(unity([job.compiled for job in jobs[part]], offsets[part]))
        objects.append(toolchain.compile(source, include=[kernels, runtime]))
    data = folder / "weights.bin"
    data.write_bytes(b"".join(job.compiled.sources.weights for job in jobs) or b"0")
    objects.append(toolchain.assemble_data(data, WEIGHTS))
    files = sorted({name for job in jobs for name in job.compiled.sources.kernel_files})
    objects += [toolchain.compile(kernels / name, include=[kernels]) for name in files]
    symbols = [job.compiled.sources.symbol for job in jobs]
    lines = ['#include "pf_model.h"', *(f"extern const pf_model_info {s}_info;" for s in symbols)]
    lines += ["static const pf_model_info *const models[] = {", *(f"    &{s}_info," for s in symbols), "};\n"]
    (folder / "models.h").write_text("\n".join(lines))
    main = Path(__file__).with_suffix(".c")
    objects.append(toolchain.compile(main, include=[folder, runtime]))
    program = folder / "models.elf"
    toolchain.link(objects, program, strip=False)
    return program


def unity(models: Sequence[Compiled], offsets: Sequence[int]) -> str:
    """One C file of many models: local names made different, equal generated functions once, weights in one array."""
    parts, functions = [f"extern const unsigned char {WEIGHTS}[];\n"], set()
    for model, offset in zip(models, offsets, strict=True):
        symbol, text = model.sources.symbol, model.sources.model_c
        for match in list(_FUNCTION.finditer(text)):
            if match[1] in functions:
                text = text.replace(match[0], "", 1)
            functions.add(match[1])
        text = text.replace(f"extern const unsigned char {symbol}_weights[];", "")
        text = text.replace(f"{symbol}_weights", f"({WEIGHTS} + {offset})")
        parts.append(_LOCAL.sub(rf"{symbol}_\1", text))
    return "\n".join(parts)
