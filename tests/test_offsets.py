"""Offsets in the arena: against bounds, brute force, known instances."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_cases import instance

from gradc.plan import offsets
from gradc.plan.offsets import Region, arena_bytes, check, lower_bound, place


@st.composite
def some_buffers(draw: st.DrawFn, most: int = 14) -> list[Region]:
    found = []
    for i in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, 12))
        last = first + draw(st.integers(0, 6))
        size = draw(st.sampled_from((0, 1, 3, 4, 40, 64, 100, 256, 1000)))
        found.append(Region(f"b{i}", size, draw(st.sampled_from((1, 4, 64))), first, last))
    return found


@given(some_buffers())
def test_a_placement_passes_the_check_and_respects_the_bound(buffers: list[Region]) -> None:
    found = place(buffers)
    total = arena_bytes(buffers, found)
    check(buffers, found, total)
    assert total >= lower_bound(buffers)
    assert total <= sum(offsets.round_up(b.size, 64) for b in buffers)


def layout(buffers: list[Region]) -> list[tuple[int, ...]]:
    """What lies where, whichever of two that are alike."""
    found = place(buffers)
    return sorted((b.first, b.last, b.size, b.alignment, found[b.id]) for b in buffers)


@given(some_buffers(), st.randoms(use_true_random=False))
def test_the_sequence_of_the_buffers_does_not_matter(
    buffers: list[Region], shuffler: random.Random
) -> None:
    shuffled = list(buffers)
    shuffler.shuffle(shuffled)
    assert layout(shuffled) == layout(buffers)
    assert lower_bound(shuffled) == lower_bound(buffers)


def least_arena(buffers: Sequence[Region]) -> int:
    """The optimum by trying every sequence, each buffer in turn at its lowest free place."""
    best = sum(offsets.round_up(b.size, b.alignment) for b in buffers)
    for sequence in itertools.permutations(buffers):
        found: dict[str, int] = {}
        for b in sequence:
            rivals = [
                (found[c.id], found[c.id] + c.size)
                for c in sequence
                if c.id in found and c.first < b.last and b.first < c.last
            ]
            starts = [0, *(offsets.round_up(end, b.alignment) for _, end in rivals)]
            found[b.id] = min(
                s for s in starts if all(s + b.size <= low or s >= end for low, end in rivals)
            )
        best = min(best, arena_bytes(buffers, found))
    return best


@settings(max_examples=60)
@given(some_buffers(most=6))
def test_small_problems_are_solved_to_the_optimum(buffers: list[Region]) -> None:
    assert arena_bytes(buffers, place(buffers)) == least_arena(buffers)


def test_the_search_finds_what_the_skyline_misses() -> None:
    buffers = [
        Region("a", 2, 1, 2, 4),
        Region("b", 3, 1, 0, 2),
        Region("c", 3, 1, 3, 6),
        Region("d", 4, 1, 5, 9),
        Region("e", 2, 1, 0, 3),
        Region("f", 1, 1, 0, 4),
    ]
    assert arena_bytes(buffers, place(buffers, search_nodes=0)) == 8
    assert arena_bytes(buffers, place(buffers, search_buffers=5)) == 8
    assert arena_bytes(buffers, place(buffers)) == lower_bound(buffers) == 7


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("input.12", 12),
        ("simple", 216_096),
        ("five", 176_923),
        ("alloc_max", 67_600),
        ("deep_speech", 100_352),
        ("C.1048576", 1_039_360),
    ],
)
def test_known_instances_are_placed_at_their_bound(name: str, bound: int) -> None:
    buffers = instance(name)
    found = place(buffers)
    check(buffers, found, bound)
    assert lower_bound(buffers) == bound
    assert arena_bytes(buffers, found) == bound


def test_a_hard_instance_stays_near_its_bound() -> None:
    buffers = instance("A.1048576")
    found = place(buffers)
    check(buffers, found)
    assert lower_bound(buffers) == 1_048_576
    assert arena_bytes(buffers, found) <= 1.04 * 1_048_576


def test_alignment_counts_in_the_bound_and_in_the_arena() -> None:
    buffers = [Region("a", 1, 64, 0, 2), Region("b", 65, 64, 0, 1), Region("c", 10, 64, 1, 2)]
    found = place(buffers)
    check(buffers, found)
    assert lower_bound(buffers) == 192
    assert arena_bytes(buffers, found) == 192


def test_empty_buffers_take_no_room() -> None:
    buffers = [Region("none", 0, 64, 0, 9), Region("never", 100, 64, 3, 3), Region("a", 8, 8, 0, 9)]
    found = place(buffers)
    check(buffers, found, 8)
    assert arena_bytes(buffers, found) == 8
    assert place([]) == {}
    assert arena_bytes([], {}) == lower_bound([]) == 0


def test_the_check_names_the_two_that_overlap() -> None:
    buffers = [Region("left", 8, 4, 0, 3), Region("right", 8, 4, 2, 5), Region("late", 8, 4, 5, 6)]
    check(buffers, {"left": 0, "right": 8, "late": 0}, 16)
    with pytest.raises(AssertionError, match="`left` and `right` overlap"):
        check(buffers, {"left": 0, "right": 4, "late": 0})
    with pytest.raises(AssertionError, match="`right` ends at 16"):
        check(buffers, {"left": 0, "right": 8, "late": 0}, 15)
    with pytest.raises(AssertionError, match="`late` at 2 is not 4-aligned"):
        check(buffers, {"left": 0, "right": 8, "late": 2})
    with pytest.raises(AssertionError, match="negative"):
        check(buffers, {"left": -8, "right": 8, "late": 0})
    with pytest.raises(AssertionError, match="not the same set"):
        check(buffers, {"left": 0, "right": 8})


def test_impossible_buffers_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Region("a", -1, 4, 0, 1)
    with pytest.raises(ValueError, match="negative"):
        Region("a", 1, 4, 2, 1)
    with pytest.raises(ValueError, match="power of two"):
        Region("a", 1, 24, 0, 1)
    with pytest.raises(ValueError, match="are one"):
        place([Region("a", 1, 1, 0, 1), Region("a", 1, 1, 0, 1)])


def test_a_thousand_buffers_are_placed_near_the_bound() -> None:
    draw = random.Random(7)
    buffers = []
    for i in range(1000):
        first = draw.randrange(2000)
        last = first + draw.randrange(1, 200)
        buffers.append(Region(f"b{i}", draw.randrange(1, 5000), 64, first, last))
    found = place(buffers)
    check(buffers, found)
    assert arena_bytes(buffers, found) <= 1.1 * lower_bound(buffers)
