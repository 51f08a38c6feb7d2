"""Every row of the kernel table against its meaning: one binary at four vector lengths, and scalar twins."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.kernels.table import Case, Kernel, kernels
from pilotfish.errors import PilotfishError, ToolError
from pilotfish.measure.kernel_harness import check, run_cases

# Scalar twins stand in on vector targets for what has no vector kernel: clang vectorizes them there.
PLACES = {
    "rvv": [("rv64gcv", 128), ("rv64gcv", 256), ("rv64gcv", 512), ("rv64gcv", 1024)],
    "scalar": [("rv64gc", 0), ("host", 0), ("rv64gcv", 256)],
}
HALF_VECTORS = "spacemit-k1"  # has vectors of f16
MATRIX = [
    (row.name, HALF_VECTORS if target == "rv64gcv" and "f16_" in row.name else target, vlen)
    for row in kernels().values()
    for target, vlen in PLACES[row.isa]
]


@cache
def cases(name: str) -> list[Case]:
    return list(kernels()[name].cases(np.random.default_rng(zlib.crc32(name.encode()))))


class Batches:
    """The results of all selected kernels of a place, from one process (or, if that fails, one for each)."""

    def __init__(self, selected: set[tuple[str, str, int]]) -> None:
        self.selected = selected
        self.results: dict[tuple[str, str, int], list[str | None]] = {}

    def faults(self, name: str, target: str, vlen: int) -> list[str | None]:
        if (name, target, vlen) not in self.results:
            batch = sorted(n for n, t, v in self.selected if (t, v) == (target, vlen))
            try:
                self._run(batch, target, vlen)
            except ToolError:
                for each in batch:
                    try:
                        self._run([each], target, vlen)
                    except PilotfishError as error:
                        self.results[each, target, vlen] = [str(error)]
        return self.results[name, target, vlen]

    def _run(self, names: list[str], target: str, vlen: int) -> None:
        work: list[tuple[Kernel, Case]] = [(kernels()[n], case) for n in names for case in cases(n)]
        outputs = run_cases(targets.load(target), work, vlen)
        found: dict[str, list[str | None]] = {n: [] for n in names}
        for (kernel, case), got in zip(work, outputs, strict=True):
            found[kernel.name].append(check(kernel, case, got))
        self.results |= {(n, target, vlen): faults for n, faults in found.items()}


@pytest.fixture(scope="session")
def batches(request: pytest.FixtureRequest) -> Batches:
    """Knows the tests that were selected, so that ``-k FAMILY`` compiles that family only."""
    chosen = (item.callspec.params for item in request.session.items if hasattr(item, "callspec"))
    return Batches({p["row"] for p in chosen if "row" in p})


@pytest.mark.parametrize("row", MATRIX, ids=[f"{n}-{t}@{v}" if v else f"{n}-{t}" for n, t, v in MATRIX])
def test_kernel_agrees_with_its_meaning(row: tuple[str, str, int], batches: Batches) -> None:
    faults = batches.faults(*row)
    assert faults, "the row has no cases"
    assert [f for f in faults if f] == []


@pytest.mark.parametrize("name", kernels())
def test_row_of_the_table_is_complete(name: str) -> None:
    row = kernels()[name]
    assert name.rsplit("__", 1)[-1] in ("rvv", "scalar")
    assert any(k.isa == "scalar" and k.family == row.family for k in kernels().values()), "no scalar twin"
    for case in cases(name):
        assert len(case.buffers) == len(row.buffers), case.label
        assert set(case.outputs) <= set(row.meaning(case.args, case.buffers)), case.label
