"""The parity harness itself: it must notice what a wrong kernel does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.table import ArgsField, ArgsStruct, ArgValues, Array, Case, Kernel
from pilotfish.errors import ToolError
from pilotfish.measure.kernel_harness import check, count_cases, run_cases

HEADER = "typedef struct { int32_t n; float by; } pf_scaling_args;"
SOURCE = """
#include "pf_kernel.h"
#include "scaling.h"
pf_kernel scaling__scalar;
void scaling__scalar(const void *args, void *const *buf) {
    const pf_scaling_args *a = args;
    const float *x = buf[0];
    float *y = buf[1];
    if (a->n < 0) *(volatile int *)8 = 0;
    for (int i = 0; i < a->n; i++) y[i] = x[i] * a->by;
}
"""
STRUCT = ArgsStruct("pf_scaling_args", "scaling.h", (ArgsField("n", "int32_t"), ArgsField("by", "float")))
X = np.arange(5, dtype=np.float32)


def meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    return {1: buffers[0].astype(np.float64) * args["by"]}


@pytest.fixture
def scaling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    (tmp_path / "scaling.h").write_text(HEADER)
    (tmp_path / "scaling.c").write_text(SOURCE)
    monkeypatch.setattr(table, "structs", lambda: {STRUCT.name: STRUCT})
    source = str(tmp_path / "scaling.c")
    return Kernel("scaling__scalar", "scaling", source, STRUCT.name, ("x", "y"), meaning, lambda _: ())


def case(n: int, by: float = 2.0) -> Case:
    return Case(f"n={n}", {"n": n, "by": by}, (X, np.zeros_like(X)), (1,))


@pytest.mark.parametrize(("target", "vlen"), [("host", 0), ("rv64gc", 0), ("rv64gcv", 128), ("rv64gcv", 1024)])
def test_results_come_back_in_order(scaling: Kernel, target: str, vlen: int) -> None:
    results = run_cases(targets.load(target), [(scaling, case(5)), (scaling, case(3, -1.0))], vlen)
    assert [r[1].tolist() for r in results] == [[0, 2, 4, 6, 8], [0, -1, -2, 0, 0]]
    assert check(scaling, case(5), results[0]) is None


def test_wrong_result_is_reported_with_its_place(scaling: Kernel) -> None:
    ((x, y),) = run_cases(targets.load("host"), [(scaling, case(4))])
    assert "1 of 5 elements of 'y' differ by more than 0.0 ulp, first (4,): got" in str(check(scaling, case(5), (x, y)))


def test_bound_is_relative_to_the_largest_magnitude(scaling: Kernel) -> None:
    want = X * 2
    off = want.copy()
    off[0] = 8 * np.finfo(np.float32).eps
    assert check(scaling, case(5), (X, off)) is not None
    assert check(replace(scaling, ulp=0.5), case(5), (X, off)) is not None
    assert check(replace(scaling, ulp=1.0), case(5), (X, off)) is None
    assert check(replace(scaling, ulp=1.0), case(5), (X, np.full_like(X, np.nan))) is not None


@pytest.mark.parametrize("target", ["host", "rv64gc"])
@pytest.mark.parametrize(("n", "words"), [(6, "wrote outside of its buffer 'y'"), (-1, "scaling__scalar on case")])
def test_kernel_that_writes_outside_or_crashes_is_named(scaling: Kernel, target: str, n: int, words: str) -> None:
    with pytest.raises(ToolError, match=words) as caught:
        run_cases(targets.load(target), [(scaling, case(5)), (scaling, case(n))])
    assert f"case 'n={n}'" in str(caught.value)


def test_instructions_of_each_case_are_counted(scaling: Kernel) -> None:
    wide = Case("wide", {"n": 500, "by": 1.0}, (np.ones(500, np.float32), np.zeros(500, np.float32)), (1,))
    few, many = count_cases(targets.load("rv64gc"), [(scaling, case(0)), (scaling, wide)])
    assert few.instructions < 40
    assert 1500 < many.instructions - few.instructions < 5000  # load, multiply, store, and the loop's own
    assert many.vector == 0
