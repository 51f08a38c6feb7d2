"""Which layers to keep in float so that a stated quality is reached: as few as a greedy search finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pilotfish.errors import MismatchError, UsageError
from pilotfish.measure.quantize.noise import Measured

Made = TypeVar("Made")


@dataclass(frozen=True)
class Goal:
    """At least this SNR of every output in dB, or this accuracy in percent, on the calibration data."""

    snr: float | None = None
    accuracy: float | None = None

    def check(self) -> None:
        """:class:`UsageError` unless exactly one is asked for, and possible."""
        if (self.snr is None) == (self.accuracy is None):
            raise UsageError("name one goal: a least SNR in dB, or a least accuracy in percent")
        if self.accuracy is not None and not 0 < self.accuracy <= 100:
            raise UsageError(f"an accuracy is between 0 and 100 percent, not {self.accuracy:g}")

    def reached(self, measured: Measured) -> bool:
        """Whether the quantized network is good enough."""
        return self.value(measured) >= (self.snr if self.accuracy is None else self.accuracy)  # type: ignore[operator]

    def value(self, measured: Measured) -> float:
        """The figure that the goal is about."""
        if self.accuracy is None:
            return min(measured.snr.values(), default=float("inf"))
        return measured.accuracy_after if measured.accuracy_after is not None else 0.0

    def shown(self, value: float) -> str:
        """The figure with its unit."""
        return f"{value:.1f} dB" if self.accuracy is None else f"{value:.2f} %"

    def __str__(self) -> str:
        return f"{self.snr:g} dB" if self.accuracy is None else f"{self.accuracy:g} %"


def keep_in_float(
    goal: Goal,
    layers: Sequence[str],
    attempt: Callable[[Sequence[str]], tuple[Made, Measured]],
    first: tuple[Made, Measured],
    progress: Callable[[str], None],
) -> tuple[tuple[str, ...], Made, Measured]:
    """(names kept in float, the model, its measure) for a goal.

    ``layers`` are the candidates, the worst first; ``attempt`` quantizes all others than those it is given;
    ``first`` is its result for none. One layer after the other is kept until the goal is reached; then each is tried
    in int8 again, the least harmful first, so that none is kept for nothing. Raises :class:`MismatchError` if nothing
    but float will do.
    """
    kept: list[str] = []
    made, measured = first
    for name in layers:
        if goal.reached(measured):
            break
        kept.append(name)
        progress(
            f"{goal.shown(goal.value(measured))}, not {goal}: keeping {len(kept)} of {len(layers)} layers in float"
        )
        made, measured = attempt(kept)
    if not goal.reached(measured) or (kept and len(kept) == len(layers)):
        raise MismatchError(
            f"{goal} cannot be reached in int8: with {len(kept)} of {len(layers)} layers in float it is "
            f"{goal.shown(goal.value(measured))}"
        )
    for name in reversed(kept[:-1]):  # the last one is needed: without it the goal was not reached
        progress(f"trying {name} in int8 again")
        fewer = [other for other in kept if other != name]
        again = attempt(fewer)
        if goal.reached(again[1]):
            kept, (made, measured) = fewer, again
    return tuple(kept), made, measured
