"""The int8 convolution whose pixels share inputs: its cost model, and when it is chosen, against counted slots."""

from __future__ import annotations

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import igemm, qigemm, qslideconv, table
from pilotfish.compiler.kernels.table import Case, Kernel
from pilotfish.compiler.ops import dense
from pilotfish.measure.kernel_harness import count_cases

TARGET = targets.load("rv64gcv")
# (image with its frame, output channels, stride): whether it must beat the product
LAYERS = {
    "16 -> 16": ((1, 18, 34, 16), 16, 1, True),
    "3 -> 16": ((1, 18, 34, 3), 16, 1, True),
    "3 -> 8, stride 2": ((1, 17, 97, 3), 8, 2, True),
    "64 -> 64": ((1, 10, 10, 64), 64, 1, False),
}


def choices(image: tuple[int, int, int, int], columns: int, stride: int) -> tuple[list[tuple[Kernel, Case]], int]:
    """All kernels and block widths of both families; and how many of them are of ``qslideconv``."""
    rng = np.random.default_rng(0)
    batch, rows, cols, channels = image
    work: list[tuple[Kernel, Case]] = []
    for nb in dense.block_widths(TARGET, "qslideconv"):
        case = qslideconv._case(rng, f"{image}", image, columns, nb, (3, 3), stride)
        work += [(k, case) for k in table.family("qslideconv", TARGET) if k.supports(case.args, TARGET)]
    slides = len(work)
    for nb in dense.block_widths(TARGET, "qigemm"):
        args = qigemm.quantized(
            igemm.convolution((batch, rows - 2, cols - 2, channels), columns, nb, stride=stride, halo=1)
        )
        grouped = [k for k in table.family("qigemm", TARGET) if k.supports(args, TARGET)]
        work += [(k, qigemm.random_case(f"{image}", args, rng, exact=qigemm.groups_in_int16(k))) for k in grouped]
    return work, slides


@pytest.mark.parametrize("label", LAYERS)
def test_costs_follow_the_counts(label: str) -> None:
    image, columns, stride, better = LAYERS[label]
    work, slides = choices(image, columns, stride)
    counted = [e.slots for e in count_cases(TARGET, work, 256)]
    modelled = [k.cost(c.args, TARGET) for k, c in work]
    assert modelled[:slides] == pytest.approx(counted[:slides], rel=0.05)
    assert (min(counted[:slides]) < min(counted[slides:])) == better
    assert (min(modelled[:slides]) < min(modelled[slides:])) == better
