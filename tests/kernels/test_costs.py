"""The cost model of dense kernels against counted slots: what it prefers must not be slower."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import gemv, igemm, table
from pilotfish.compiler.kernels.table import ArgValues, Case, Kernel
from pilotfish.measure.kernel_harness import count_cases

TARGET = targets.load("rv64gcv")
RELU = {"lo": 0.0}
LAYERS: dict[str, Callable[[int], ArgValues]] = {
    "56 x 14 pixels 64 -> 64": lambda nb: igemm.product(784, 64, 64, nb) | RELU,
    "49 pixels 100 -> 24": lambda nb: igemm.product(49, 100, 24, nb),
    "125 pixels 16 -> 16": lambda nb: igemm.product(125, 16, 16, nb) | RELU,
    "64 pixels 24 -> 8": lambda nb: igemm.product(64, 24, 8, nb),
    "3x3 on 8 x 8, 32 -> 32": lambda nb: igemm.convolution((1, 8, 8, 32), 32, nb, halo=1) | RELU,
    "3x3 stride 2 on 20 x 20, 3 -> 16": lambda nb: igemm.convolution((1, 20, 20, 3), 16, nb, halo=1, stride=2),
    "dilated 3x3 on 10 x 6, 12 -> 20": lambda nb: igemm.convolution((2, 10, 6, 12), 20, nb, halo=2, dilation=2),
    "1 x 12 column 9 -> 8": lambda nb: igemm.convolution((1, 12, 1, 9), 8, nb, taps=(3, 1)),
}
ROWS = {"256 -> 100": (256, 100), "500 -> 10": (500, 10), "64 -> 12": (64, 12), "8 -> 128": (8, 128)}


def choices(label: str) -> list[tuple[Kernel, Case]]:
    rng = np.random.default_rng(0)
    widths = [lmul * TARGET.lanes for lmul in (1, 2, 4)]
    if label in LAYERS:
        cases = [igemm.random_case(label, LAYERS[label](nb), rng) for nb in widths]
        return [(k, c) for k in table.family("igemm", TARGET) for c in cases]
    wide = gemv.block_widths(TARGET)
    cases = [gemv.random_case(label, gemv.args(*ROWS[label], nb), rng) for nb in (0, *widths, *wide)]
    return [(k, c) for k in table.family("gemv", TARGET) for c in cases if k.supports(c.args, TARGET)]


@pytest.fixture(scope="module")
def counted() -> dict[str, list[tuple[float, int]]]:
    """For each layer, the modelled and the counted slots of every kernel and block width."""
    work = {label: choices(label) for label in (*LAYERS, *ROWS)}
    counts = iter(count_cases(TARGET, [each for some in work.values() for each in some], 256))
    return {label: [(k.cost(c.args, TARGET), next(counts).slots) for k, c in some] for label, some in work.items()}


@pytest.mark.parametrize("label", [*LAYERS, *ROWS])
def test_preferred_kernel_is_the_fastest(label: str, counted: dict[str, list[tuple[float, int]]]) -> None:
    _, slots = min(counted[label])
    assert slots <= 1.05 * min(s for _, s in counted[label])


@pytest.mark.parametrize("label", [*LAYERS, *ROWS])
def test_cost_of_the_preferred_kernel_is_near_the_count(
    label: str, counted: dict[str, list[tuple[float, int]]]
) -> None:
    modelled, slots = min(counted[label])
    assert modelled == pytest.approx(slots, rel=0.1)
