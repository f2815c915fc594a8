"""The order of kernels: against the definition of the peak, bounds, brute force."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from memory_cases import Program, some_program

from gradc.plan import order
from gradc.plan.order import Task, TaskId, peak, schedule


def touched(name: str, tasks: Sequence[Task]) -> bool:
    return any(name in t.reads + t.writes for t in tasks)


def slow_peak(p: Program, sequence: Sequence[TaskId]) -> int:
    """The peak by looking at every step for every storage, from the definition of being live."""
    running = [next(t for t in p.tasks if t.id == i) for i in sequence]
    most = 0
    for step, task in enumerate(running):
        live = {}
        for name, size in p.sizes.items():
            past = name in p.live_in or touched(name, running[:step])
            ahead = name in p.live_out or touched(name, running[step + 1 :])
            if (past and ahead) or name in task.touches:
                live[name] = size
        taken: dict[str, str] = {}
        for i, source, target in sorted(p.in_place, key=lambda pair: -p.sizes[pair[2]]):
            others = [t for t in running if t is not task]
            last = source not in p.live_out and not touched(source, others[step:])
            first = target not in p.live_in and not touched(target, others[:step])
            reads_only = source in task.reads and source not in task.writes
            writes_only = target in task.writes and target not in task.reads
            fits = p.sizes[target] <= p.sizes[source]
            free = target not in taken and source not in taken.values()
            if i == task.id and last and first and reads_only and writes_only and fits and free:
                taken[target] = source
        saved = sum(p.sizes[t] for t in taken)
        most = max(most, sum(live.values()) + task.scratch - saved)
    return most


@given(some_program(most=5))
def test_the_simulator_agrees_with_the_definition(p: Program) -> None:
    for sequence in itertools.islice(p.orders(), 30):
        assert p.peak(sequence) == slow_peak(p, sequence)


@given(some_program())
def test_small_programs_are_scheduled_to_the_optimum(p: Program) -> None:
    found = p.schedule()
    optimum = min(map(p.peak, p.orders()))
    assert found in set(p.orders())
    assert p.bound() <= optimum
    assert p.peak(found) == optimum
    if p.peak(p.given) == optimum:
        assert found == p.given
    assert p.schedule() == found


@settings(max_examples=50)
@given(some_program(most=30))
def test_larger_programs_never_get_worse(p: Program) -> None:
    for states in (0, 200):
        found = p.schedule(search_states=states)
        place_of = {i: k for k, i in enumerate(found)}
        assert sorted(found, key=str) == sorted(p.given, key=str)
        for task, before in order.dependencies(p.tasks).items():
            assert all(place_of[b] < place_of[task] for b in before)
        assert p.bound() <= p.peak(found) <= p.peak(p.given)


def test_a_better_order_is_found_and_stays_near_the_given_one() -> None:
    tasks = [
        *(Task(f"make {i}", ("x",), (f"big{i}",)) for i in range(6)),
        *(Task(f"use {i}", (f"big{i}",), (f"small{i}",)) for i in range(6)),
        Task("join", tuple(f"small{i}" for i in range(6)), ("y",)),
    ]
    sizes = {f"big{i}": 100 for i in range(6)} | {f"small{i}": 1 for i in range(6)} | {"y": 1}
    p = Program(tasks, sizes, live_in=["x"], live_out=["y"])
    found = p.schedule()
    assert p.peak(p.given) == 601
    assert p.peak(found) == 106
    assert found == (*(f"{what} {i}" for i in range(6) for what in ("make", "use")), "join")


def test_the_given_order_is_kept_when_none_is_better() -> None:
    tasks = [Task(i, ("x",), (f"s{i}",)) for i in range(9)]
    p = Program(tasks, {f"s{i}": 4 for i in range(9)}, live_in=["x"])
    assert p.schedule() == p.given
    assert p.peak(p.given) == 4


def test_dependencies_are_read_off_the_storages() -> None:
    tasks = [
        Task("write", (), ("a",)),
        Task("read", ("a",), ("b",)),
        Task("again", ("a",), ("c",)),
        Task("update", ("a", "b"), ("a",)),
        Task("last", ("a",), ("d",)),
        Task("free", (), ("e",), after=("read",)),
    ]
    assert order.dependencies(tasks) == {
        "write": set(),
        "read": {"write"},
        "again": {"write"},
        "update": {"write", "read", "again"},
        "last": {"update"},
        "free": {"read"},
    }


def test_a_storage_written_twice_lives_from_its_first_writer_to_its_last_user() -> None:
    tasks = [
        Task(0, (), ("sum",)),
        Task(1, (), ("a",)),
        Task(2, ("a",), ("sum",)),
        Task(3, ("sum",), ("y",)),
        Task(4, (), ("z",)),
    ]
    assert order.lifetimes(tasks, (), ("y",)) == {
        "sum": (0, 4),
        "a": (1, 3),
        "y": (3, 6),
        "z": (4, 5),
    }
    sizes = {"sum": 10, "a": 3, "y": 1, "z": 0}
    assert peak(range(5), tasks, sizes, live_out=["y"]) == 13


def test_wrong_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="two tasks have the id 1"):
        order.dependencies([Task(1, (), ("a",)), Task(1, (), ("b",))])
    with pytest.raises(ValueError, match="must follow 2, which is not before it"):
        order.dependencies([Task(1, (), ("a",), after=(2,)), Task(2, (), ("b",))])
    with pytest.raises(ValueError, match="reads `a`, which is not written before it"):
        schedule([Task(1, ("a",), ("b",))], {})
    with pytest.raises(ValueError, match="nothing writes it"):
        schedule([Task(1, (), ("b",))], {}, live_out=["c"])
