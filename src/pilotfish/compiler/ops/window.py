"""Sliding windows: the geometry that convolutions and pools share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotfish.compiler.graph import Halo, Node, TensorType
from pilotfish.compiler.kernels.program import View


@dataclass(frozen=True)
class Window:
    """A 2-D window over channels-last tensors; 1-D is a window of one row.

    All lengths in pixels; ``pad`` is (top, left, bottom, right).
    """

    batch: int
    rows_in: int
    cols_in: int
    channels: int
    rows_out: int
    cols_out: int
    taps_y: int
    taps_x: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    pad: Halo

    @property
    def pixels(self) -> int:
        """Output pixels of the whole batch."""
        return self.batch * self.rows_out * self.cols_out

    @property
    def reach(self) -> Halo:
        """The halo that makes every tap of every output readable (strides may leave a border unread)."""
        bottom = (self.rows_out - 1) * self.stride_y + (self.taps_y - 1) * self.dilation_y + 1
        right = (self.cols_out - 1) * self.stride_x + (self.taps_x - 1) * self.dilation_x + 1
        return Halo(
            self.pad.top,
            self.pad.left,
            max(bottom - self.pad.top - self.rows_in, 0),
            max(right - self.pad.left - self.cols_in, 0),
        )


def window(node: Node, x: TensorType, y: TensorType, kernel: tuple[int, ...]) -> Window:
    """The window of a channels-last node from its attributes; ``kernel`` is its spatial shape."""
    spatial = len(kernel)
    one = (1,) * spatial
    rows_in, cols_in = (1, *x.shape[1:-1])[-2:]
    rows_out, cols_out = (1, *y.shape[1:-1])[-2:]
    pads = tuple(node.attrs.get("pads") or (0,) * (2 * spatial))
    (top, left), (bottom, right) = (0, *pads[:spatial])[-2:], (0, *pads[spatial:])[-2:]
    taps_y, taps_x = (1, *kernel)[-2:]
    stride_y, stride_x = (1, *(node.attrs.get("strides") or one))[-2:]
    dilation_y, dilation_x = (1, *(node.attrs.get("dilations") or one))[-2:]
    return Window(
        x.shape[0], rows_in, cols_in, x.shape[-1], rows_out, cols_out, taps_y, taps_x,
        stride_y, stride_x, dilation_y, dilation_x, Halo(top, left, bottom, right),
    )  # fmt: skip


def resolved_pads(
    attrs: Mapping[str, Any], x: tuple[int, ...], y: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[int, ...]:
    """``pads`` with ``auto_pad`` worked out; ``x`` and ``y`` are the spatial shapes in and out."""
    mode = attrs.get("auto_pad", "NOTSET")
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(attrs.get("pads") or (0,) * (2 * len(kernel)))
    strides = attrs.get("strides") or (1,) * len(kernel)
    dilations = attrs.get("dilations") or (1,) * len(kernel)
    total = [
        max((o - 1) * s + (k - 1) * d + 1 - i, 0)
        for i, o, k, s, d in zip(x, y, kernel, strides, dilations, strict=True)
    ]
    small = [t // 2 for t in total]
    large = [t - s for t, s in zip(total, small, strict=True)]
    return tuple(small + large) if mode == "SAME_UPPER" else tuple(large + small)


def pixel_strides(view: View) -> tuple[int, int, int]:
    """(batch, row, column) strides of a channels-last view, in elements; a row stride for rank 3 too."""
    if len(view.type.shape) == 3:
        batch, column, _ = view.strides
        return batch, batch, column
    batch, row, column, _ = view.strides
    return batch, row, column


def first_tap(view: View, w: Window) -> View:
    """The view moved to the first tap of the first output, into the halo."""
    _, row, column = pixel_strides(view)
    return View(view.buffer, view.type, view.strides, view.offset - w.pad.top * row - w.pad.left * column)
