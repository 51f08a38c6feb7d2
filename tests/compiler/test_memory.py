"""The memory plan against brute force: nothing that lives together overlaps, and the bound is the true one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish.compiler import targets
from pilotfish.compiler.kernels.program import ALIGN, Buffer, Program, Step
from pilotfish.compiler.passes.memory import plan_memory


def program_of(lives: list[tuple[int, int, int]], inplace: list[tuple[int, int]] = []) -> Program:  # noqa: B006
    """A program whose buffer i has (bytes, first step, last step); ``inplace``: (old, new) may share."""
    count = max(last for _, _, last in lives) + 1
    steps = []
    for at in range(count):
        touched = [i for i, (_, first, last) in enumerate(lives) if at in (first, last)]
        pairs = tuple((touched.index(a), touched.index(b)) for a, b in inplace if a in touched and b in touched)
        steps.append(Step(f"n{at}", "X", "k", tuple((f"b{i}", 0) for i in touched), inplace=pairs))
    buffers = {f"b{i}": Buffer(f"b{i}", size, "arena") for i, (size, _, _) in enumerate(lives)}
    return Program("p", targets.load("rv64gc"), {}, {}, buffers, tuple(steps))


lives = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 6)).map(lambda t: (t[0], t[1], t[1] + t[2])),
    min_size=1,
    max_size=16,
)


@given(lives)
@settings(max_examples=150, deadline=None)
def test_no_two_live_buffers_overlap_and_the_bound_is_the_peak(case: list[tuple[int, int, int]]) -> None:
    plan = plan_memory(program_of(case))
    offsets = plan.offsets()
    for i, (size, first, last) in enumerate(case):
        assert offsets[f"b{i}"] % ALIGN == 0
        assert offsets[f"b{i}"] + size <= plan.arena_bytes
        for j, (other, begin, end) in enumerate(case[:i]):
            if first <= end and begin <= last:
                a, b = offsets[f"b{i}"], offsets[f"b{j}"]
                assert a + size <= b or b + other <= a
    peak = max(
        sum(-(-size // ALIGN) * ALIGN for size, first, last in case if first <= at <= last)
        for at in range(max(c[2] for c in case) + 1)
    )
    assert plan.lower_bound == peak <= plan.arena_bytes


def test_a_chain_that_overwrites_in_place_needs_one_buffer() -> None:
    chain = program_of([(1000, 0, 1), (1000, 1, 2), (1000, 2, 3)], inplace=[(0, 1), (1, 2)])
    assert plan_memory(chain).arena_bytes == 1024


def test_a_buffer_that_is_read_later_is_not_overwritten() -> None:
    chain = program_of([(1000, 0, 3), (1000, 1, 2)], inplace=[(0, 1)])
    assert plan_memory(chain).arena_bytes == 2048
