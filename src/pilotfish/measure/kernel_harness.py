"""Runs single kernels on given buffers, under QEMU or natively, and compares with their meaning.

One program holds the chosen rows of the kernel table. It reads cases from a file of 64-bit little-endian
numbers: the number of cases, then for each case the index of its kernel, the bytes of its arguments, the
number of its buffers, the arguments, and for each buffer its bytes and its content, everything padded to 8.
It writes, unpadded, for each case a status (0, or 1 + the index of a buffer whose surroundings the kernel
wrote to) and all buffers. Buffers lie 64-byte aligned between NaNs, so that a read beyond one spoils results.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from pilotfish.board import qemu
from pilotfish.board.cache import folder as cache_folder
from pilotfish.board.cache import replacing
from pilotfish.board.toolchain import Toolchain
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.table import Array, Case, Kernel
from pilotfish.compiler.targets import Target
from pilotfish.errors import ToolError
from pilotfish.measure import plugin
from pilotfish.measure.count import Executed

Work = Sequence[tuple[Kernel, Case]]

_PROTOCOL = Path(__file__).with_suffix(".c")
_FAILURES = {
    3: "cannot open its files",
    4: "bad case file",
    5: "an args struct has another size in C",
    6: "no memory",
}
_TIMEOUT_S = 600


def build(target: Target, kernels: Iterable[Kernel]) -> Path:
    """The program with those kernels, in that order; from the cache if nothing changed."""
    rows = tuple(kernels)
    toolchain = Toolchain(target)
    sources = sorted({table.folder() / k.source for k in rows})
    include = sorted({table.folder(), *(s.parent for s in sources)})
    objects = [toolchain.compile(source, include=include) for source in sources]
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch, "kernel_list.h")
        listing.write_text(_listing(rows))
        objects.append(toolchain.compile(_PROTOCOL, include=[Path(scratch), *include]))
    name = hashlib.sha256("\0".join(o.name for o in objects).encode()).hexdigest()[:32]
    program = cache_folder("harness") / f"{target.name}-{name}.elf"
    if not program.exists():
        with replacing(program) as temporary:
            toolchain.link(objects, temporary, strip=False)
            temporary.chmod(0o755)
    return program


def _listing(rows: Sequence[Kernel]) -> str:
    headers = sorted({table.structs()[k.args].header for k in rows})
    lines = ['#include "pf_kernel.h"', *(f'#include "{h}"' for h in headers)]
    lines += [f"extern pf_kernel {k.name};" for k in rows]
    lines += ["static const struct { pf_kernel *run; size_t args_bytes; } pf_harness_kernels[] = {"]
    lines += [f"    {{{k.name}, sizeof({k.args})}}," for k in rows]
    lines += ["};", f"static const uint64_t pf_harness_count = {len(rows)};", ""]
    return "\n".join(lines)


def run_cases(target: Target, cases: Work, vlen: int | None = None) -> list[tuple[Array, ...]]:
    """All buffers of each case after its kernel ran, all in one process.

    ``vlen`` is in bits, the target's own if None, ignored without vectors. Raises :class:`ToolError`, naming
    the case, if a kernel crashes, hangs, or writes beside its buffers.
    """
    start = [] if target.native else qemu.find().command(target, vlen)
    return _decode(cases, _results(target, cases, start))


def count_cases(target: Target, cases: Work, vlen: int | None = None) -> list[Executed]:
    """What each case executed, counted under QEMU, with about ten instructions of the call itself.

    Raises what :func:`run_cases` raises, and :class:`ToolError` if QEMU cannot count.
    """
    tool = qemu.find()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "counts")
        _decode(cases, _results(target, cases, tool.command(target, vlen, plugin.argument(tool, out))))
        records = [json.loads(line) for line in out.read_text().splitlines()]
    names = {f.name for f in fields(Executed)}
    by_tag = {r["tag"]: r for r in records if r.get("tag", -1) >= 0}
    if unfollowed := [i for i in range(len(cases)) if by_tag[i]["unknown"]]:
        kernel, case = cases[unfollowed[0]]
        raise ToolError(f"{kernel.name} on case {case.label!r} sets vtype from a register, which cannot be counted")
    return [Executed(**{k: v for k, v in by_tag[i].items() if k in names}) for i in range(len(cases))]


def _results(target: Target, cases: Work, start: Sequence[str]) -> bytes:
    rows = list({k.name: k for k, _ in cases}.values())
    program = build(target, rows)
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "cases"), Path(scratch, "results")
        asked.write_bytes(_encode(rows, cases))
        _start([*start, str(program), str(asked), str(answered)], cases, answered)
        return answered.read_bytes()


def _encode(rows: Sequence[Kernel], cases: Work) -> bytes:
    index = {k.name: i for i, k in enumerate(rows)}
    parts = [struct.pack("<Q", len(cases))]
    for kernel, case in cases:
        args = table.structs()[kernel.args].pack(case.args)
        parts += [struct.pack("<3Q", index[kernel.name], len(args), len(case.buffers)), _padded(args)]
        for buffer in case.buffers:
            data = np.ascontiguousarray(buffer).tobytes()
            parts += [struct.pack("<Q", len(data)), _padded(data)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _start(arguments: list[str], cases: Work, answered: Path) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{_case_after(cases, answered)} ran for more than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        why = _FAILURES.get(done.returncode, f"ended with status {done.returncode}")
        raise ToolError(f"{_case_after(cases, answered)}: {why}\n{done.stderr[-2000:]}".rstrip())


def _case_after(cases: Work, answered: Path) -> str:
    """Words for the first case without a result."""
    size = answered.stat().st_size if answered.exists() else 0
    for kernel, case in cases:
        size -= 8 + sum(b.nbytes for b in case.buffers)
        if size < 0:
            return f"{kernel.name} on case {case.label!r}"
    return "the end of the kernel harness"


def _decode(cases: Work, data: bytes) -> list[tuple[Array, ...]]:
    results = []
    at = 0
    for kernel, case in cases:
        (status,) = struct.unpack_from("<Q", data, at)
        if status:
            name = kernel.buffers[status - 1]
            raise ToolError(f"{kernel.name} on case {case.label!r} wrote outside of its buffer {name!r}")
        at += 8
        buffers = []
        for buffer in case.buffers:
            got = np.frombuffer(data, buffer.dtype, buffer.size, at).reshape(buffer.shape)
            buffers.append(got)
            at += buffer.nbytes
        results.append(tuple(buffers))
    return results


def check(kernel: Kernel, case: Case, outputs: Sequence[Array]) -> str | None:
    """What is wrong with the buffers that a kernel left, or None; the bound is the row's ``ulp``."""
    wanted = kernel.meaning(case.args, case.buffers)
    for index in case.outputs:
        got = outputs[index]
        with np.errstate(over="ignore"):
            want = np.asarray(wanted[index]).astype(got.dtype).reshape(got.shape)
        if (bad := _differing(got, want, kernel.ulp)).any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            return (
                f"{kernel.name} on case {case.label!r}: {int(bad.sum())} of {bad.size} elements of "
                f"{kernel.buffers[index]!r} differ by more than {kernel.ulp} ulp, first {first}: "
                f"got {got[first]!r}, want {want[first]!r}"
            )
    return None


def _differing(got: Array, want: Array, ulp: float) -> Array:
    if got.dtype.kind != "f":
        return np.asarray(got != want)
    same = (got.view(f"u{got.itemsize}") == want.view(f"u{got.itemsize}")) | (np.isnan(got) & np.isnan(want))
    if ulp > 0:
        finite = np.isfinite(got) & np.isfinite(want)
        scale = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(got.astype(np.float64) - want.astype(np.float64))
        same |= finite & (distance <= ulp * np.finfo(got.dtype).eps * scale)
    return np.asarray(~same)
