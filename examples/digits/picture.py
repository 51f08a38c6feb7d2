"""The demo's picture: digits with what the RISC-V program took them for, and the plan of its memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("agg")  # writes files, needs no display

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pilotfish.bundle.manifest import Manifest, PlanEntry, StepEntry

ROWS, COLUMNS = 4, 6
INK, FAINT, WRONG = "#1b2a3a", "#8a97a5", "#c8321f"
FILLS = ("#2f7fb8", "#58b09c", "#e3a33b", "#a06cb5", "#d9705b", "#7c9a3e")


def confidence(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits [n, 10] → softmax probability of the highest [n]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    best: NDArray[np.float64] = 1 / shifted.sum(axis=1)
    return best


def shown(logits: NDArray[np.float32], labels: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    """Which images to show: the wrong ones first, then the least sure, then others in order of confidence."""
    sure = confidence(logits) * (logits.argmax(axis=1) == labels)
    order = sure.argsort(kind="stable")
    hardest = order[: count // 2]
    others = order[count // 2 :]
    spread = others[np.linspace(0, len(others) - 1, count - len(hardest)).round().astype(int)]
    return np.concatenate([hardest, spread])


def draw_digits(
    figure: Figure,
    box: Any,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
) -> None:
    grid = box.subgridspec(ROWS, COLUMNS, hspace=0.38, wspace=0.05)
    taken, sure = logits.argmax(axis=1), confidence(logits)
    for place, index in enumerate(shown(logits, labels, ROWS * COLUMNS)):
        axes = figure.add_subplot(grid[divmod(place, COLUMNS)])
        axes.imshow(images[index], cmap="gray_r", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        right = taken[index] == labels[index]
        colour = INK if right else WRONG
        for spine in axes.spines.values():
            spine.set_color(FAINT if right else WRONG)
            spine.set_linewidth(0.8 if right else 2)
        said = f"{taken[index]}   {100 * sure[index]:.0f} %" if right else f"{taken[index]}, is {labels[index]}"
        axes.set_title(said, fontsize=9, color=colour, pad=3)


def draw_plan(axes: Axes, plan: PlanEntry, steps: Sequence[StepEntry]) -> None:
    """The arena: one rectangle a buffer, from its first to its last step, at its place."""
    arena = plan.arena_bytes
    for number, buffer in enumerate(plan.buffers):
        first, last = buffer.first_step, buffer.last_step
        corner = (first - 0.46, buffer.offset)
        axes.add_patch(
            Rectangle(
                corner,
                last - first + 0.92,
                buffer.bytes,
                facecolor=FILLS[number % len(FILLS)],
                edgecolor="white",
                linewidth=1.5,
            )
        )
        if buffer.bytes >= arena / 30:
            middle = ((first + last) / 2, buffer.offset + buffer.bytes / 2)
            text = f"{', '.join(buffer.names)}\n{buffer.bytes:,} bytes"
            axes.annotate(text, middle, ha="center", va="center", color="white", fontsize=9)
    bound = plan.lower_bound_bytes
    axes.axhline(bound, color=INK, linestyle="--", linewidth=1)
    axes.annotate(
        f"lower bound {bound:,} bytes",
        (len(steps) - 0.55, bound),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=INK,
    )
    axes.set_xlim(-0.55, len(steps) - 0.45)
    axes.set_ylim(0, max(arena, bound) * 1.12)
    axes.set_xticks(range(len(steps)), [f"{s.node}\n{s.kernel}" for s in steps], fontsize=8, color=INK)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8, colors=INK)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylabel("offset in the arena (bytes)", fontsize=9, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(
    path: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    manifest: Manifest,
) -> None:
    """Write the picture; images [n, 28, 28], labels [n], logits [n, 10] as the RISC-V program gave them."""
    figure = plt.figure(figsize=(13, 5.6), layout=None)
    halves = figure.add_gridspec(1, 2, left=0.02, right=0.985, top=0.82, bottom=0.11, wspace=0.14)
    draw_digits(figure, halves[0], images, labels, logits)
    axes = figure.add_subplot(halves[1])
    draw_plan(axes, manifest.plan, manifest.steps)
    right = int((logits.argmax(axis=1) == labels).sum())
    figure.text(0.02, 0.94, f"{right} of {len(labels)} held-out digits right", fontsize=14, color=INK)
    figure.text(
        0.02,
        0.895,
        "what the program took them for: the twelve it was least sure of, then a spread of the rest",
        fontsize=9,
        color=FAINT,
    )
    left = axes.get_position().x0
    figure.text(left, 0.94, f"All working memory: {manifest.plan.arena_bytes:,} bytes", fontsize=14, color=INK)
    figure.text(left, 0.895, "what lies where in the arena, from kernel to kernel", fontsize=9, color=FAINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
