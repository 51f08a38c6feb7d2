"""Memory planning: an offset in one arena for every buffer, close to the liveness lower bound.

Offline dynamic storage allocation: several greedy orders (largest first, longest first, in order of birth), best
offset first; then random exchanges of the best order until the bound is met or the budget is spent. The search is
seeded: the same program gives the same plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pilotfish.compiler.kernels.program import ALIGN, Program

_EXCHANGES = 400


@dataclass(frozen=True)
class Slot:
    """One piece of the arena: the buffers that share it, its offset and size in bytes, its first and last step."""

    buffers: tuple[str, ...]
    offset: int
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where every arena buffer lies. ``lower_bound`` is the largest sum of sizes alive in one step; bytes."""

    slots: tuple[Slot, ...]
    arena_bytes: int
    lower_bound: int

    def offset(self, buffer: str) -> int:
        """Offset of a buffer in the arena, in bytes."""
        return self.offsets()[buffer]

    def offsets(self) -> Mapping[str, int]:
        """Offsets of all arena buffers."""
        return {name: slot.offset for slot in self.slots for name in slot.buffers}


@dataclass(frozen=True)
class _Life:
    buffers: tuple[str, ...]
    nbytes: int
    first: int
    last: int


def plan_memory(program: Program) -> MemoryPlan:
    """Plan the arena of a program."""
    lives = _merged(program, _lifetimes(program))
    bound = lower_bound(lives, len(program.steps))
    best: tuple[int, list[int], list[int]] | None = None
    for order in _greedy_orders(lives):
        offsets, height = _place(lives, order)
        if best is None or height < best[0]:
            best = (height, offsets, order)
    if best is None:
        return MemoryPlan((), 0, 0)
    best = _improve(lives, best, bound)
    slots = tuple(
        Slot(life.buffers, offset, life.nbytes, life.first, life.last)
        for life, offset in zip(lives, best[1], strict=True)
    )
    return MemoryPlan(slots, best[0], bound)


def _lifetimes(program: Program) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    for index, step in enumerate(program.steps):
        for name, _ in step.operands:
            buffer = program.buffers[name]
            if buffer.space != "arena":
                continue
            first = lives[name].first if name in lives else index
            size = -(-max(buffer.nbytes, 1) // ALIGN) * ALIGN
            lives[name] = _Life((name,), size, first, index)
    return lives


def _merged(program: Program, lives: dict[str, _Life]) -> list[_Life]:
    """Buffers that a step may overwrite in place become one, where the old one ends as the new one begins."""
    root: dict[str, str] = {name: name for name in lives}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    groups = dict(lives)
    for index, step in enumerate(program.steps):
        for read, written in step.inplace:
            (old, old_at), (new, new_at) = step.operands[read], step.operands[written]
            if old not in root or new not in root or old_at != new_at:
                continue
            a, b = groups[find(old)], groups[find(new)]
            fits = a.nbytes == b.nbytes and a.last == index and b.first == index
            if find(old) != find(new) and fits and lives[old].last == index:
                groups[find(old)] = _Life(a.buffers + b.buffers, a.nbytes, a.first, b.last)
                del groups[find(new)]
                root[find(new)] = find(old)
    return list(groups.values())


def lower_bound(lives: Iterable[_Life], steps: int) -> int:
    """The largest sum of sizes that are alive in one step: no plan can be smaller."""
    change = [0] * (steps + 1)
    for life in lives:
        change[life.first] += life.nbytes
        change[life.last + 1] -= life.nbytes
    alive = highest = 0
    for delta in change:
        alive += delta
        highest = max(highest, alive)
    return highest


def _greedy_orders(lives: Sequence[_Life]) -> Iterable[list[int]]:
    count = range(len(lives))
    if lives:
        yield sorted(count, key=lambda i: (-lives[i].nbytes, lives[i].first))
        yield sorted(count, key=lambda i: (lives[i].first - lives[i].last, -lives[i].nbytes))
        yield sorted(count, key=lambda i: (lives[i].first, -lives[i].nbytes))
        yield sorted(count, key=lambda i: -lives[i].nbytes * (lives[i].last - lives[i].first + 1))


def _place(lives: Sequence[_Life], order: Sequence[int]) -> tuple[list[int], int]:
    """Give each buffer, in that order, the lowest offset at which it meets none that is alive with it."""
    offsets = [-1] * len(lives)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last; sorted by offset
    height = 0
    for i in order:
        life = lives[i]
        offset = 0
        for other, end, first, last in placed:
            if first <= life.last and life.first <= last:
                if offset + life.nbytes <= other:
                    break
                offset = max(offset, end)
        offsets[i] = offset
        placed.append((offset, offset + life.nbytes, life.first, life.last))
        placed.sort()
        height = max(height, offset + life.nbytes)
    return offsets, height


def _improve(
    lives: Sequence[_Life], best: tuple[int, list[int], list[int]], bound: int
) -> tuple[int, list[int], list[int]]:
    chance = random.Random(0)
    for _ in range(_EXCHANGES if len(lives) > 2 else 0):
        if best[0] <= bound:
            break
        order = list(best[2])
        i, j = chance.sample(range(len(order)), 2)
        order.insert(i, order.pop(j))
        offsets, height = _place(lives, order)
        if height <= best[0]:
            best = (height, offsets, order)
    return best
