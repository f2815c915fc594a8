"""Offsets, order of kernels, the memory plan: against bounds, brute force, known instances."""

from __future__ import annotations

import csv
import io
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradc.passes import memory, offsets, order
from gradc.passes.memory import MemoryPlan, PlannedBuffer, Storage, plan
from gradc.passes.offsets import Buffer, arena_bytes, check, lower_bound, place
from gradc.passes.order import InPlace, Task, TaskId, lower_bound_all_orders, peak, schedule

DATA = Path(__file__).parent / "data" / "memory"


def instance(name: str) -> list[Buffer]:
    rows = csv.DictReader(io.StringIO((DATA / f"{name}.csv").read_text()))
    return [Buffer(r["id"], int(r["size"]), 1, int(r["lower"]), int(r["upper"])) for r in rows]


@st.composite
def some_buffers(draw: st.DrawFn, most: int = 14) -> list[Buffer]:
    found = []
    for i in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, 12))
        last = first + draw(st.integers(0, 6))
        size = draw(st.sampled_from((0, 1, 3, 4, 40, 64, 100, 256, 1000)))
        found.append(Buffer(f"b{i}", size, draw(st.sampled_from((1, 4, 64))), first, last))
    return found


# Offsets


@given(some_buffers())
def test_a_placement_passes_the_check_and_respects_the_bound(buffers: list[Buffer]) -> None:
    found = place(buffers)
    total = arena_bytes(buffers, found)
    check(buffers, found, total)
    assert total >= lower_bound(buffers)
    assert total <= sum(offsets.round_up(b.size, 64) for b in buffers)


@given(some_buffers(), st.randoms(use_true_random=False))
def test_the_sequence_of_the_buffers_does_not_matter(
    buffers: list[Buffer], shuffler: random.Random
) -> None:
    shuffled = list(buffers)
    shuffler.shuffle(shuffled)
    assert place(shuffled) == place(buffers)
    assert lower_bound(shuffled) == lower_bound(buffers)


def least_arena(buffers: Sequence[Buffer]) -> int:
    """The optimum by trying every sequence, each buffer in turn at its lowest free place."""
    best = sum(offsets.round_up(b.size, b.alignment) for b in buffers)
    for sequence in itertools.permutations(buffers):
        found: dict[str, int] = {}
        for b in sequence:
            rivals = [
                (found[c.name], found[c.name] + c.size)
                for c in sequence
                if c.name in found and c.first < b.last and b.first < c.last
            ]
            starts = [0, *(offsets.round_up(end, b.alignment) for _, end in rivals)]
            found[b.name] = min(
                s for s in starts if all(s + b.size <= low or s >= end for low, end in rivals)
            )
        best = min(best, arena_bytes(buffers, found))
    return best


@settings(max_examples=60)
@given(some_buffers(most=6))
def test_small_problems_are_solved_to_the_optimum(buffers: list[Buffer]) -> None:
    assert arena_bytes(buffers, place(buffers)) == least_arena(buffers)


def test_the_search_finds_what_the_skyline_misses() -> None:
    buffers = [
        Buffer("a", 2, 1, 2, 4),
        Buffer("b", 3, 1, 0, 2),
        Buffer("c", 3, 1, 3, 6),
        Buffer("d", 4, 1, 5, 9),
        Buffer("e", 2, 1, 0, 3),
        Buffer("f", 1, 1, 0, 4),
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
    buffers = [Buffer("a", 1, 64, 0, 2), Buffer("b", 65, 64, 0, 1), Buffer("c", 10, 64, 1, 2)]
    found = place(buffers)
    check(buffers, found)
    assert lower_bound(buffers) == 192
    assert arena_bytes(buffers, found) == 192


def test_empty_buffers_take_no_room() -> None:
    buffers = [Buffer("none", 0, 64, 0, 9), Buffer("never", 100, 64, 3, 3), Buffer("a", 8, 8, 0, 9)]
    found = place(buffers)
    check(buffers, found, 8)
    assert arena_bytes(buffers, found) == 8
    assert place([]) == {}
    assert arena_bytes([], {}) == lower_bound([]) == 0


def test_the_check_names_the_two_that_overlap() -> None:
    buffers = [Buffer("left", 8, 4, 0, 3), Buffer("right", 8, 4, 2, 5), Buffer("late", 8, 4, 5, 6)]
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
        Buffer("a", -1, 4, 0, 1)
    with pytest.raises(ValueError, match="negative"):
        Buffer("a", 1, 4, 2, 1)
    with pytest.raises(ValueError, match="power of two"):
        Buffer("a", 1, 24, 0, 1)
    with pytest.raises(ValueError, match="one name"):
        place([Buffer("a", 1, 1, 0, 1), Buffer("a", 1, 1, 0, 1)])


def test_a_thousand_buffers_are_placed_near_the_bound() -> None:
    draw = random.Random(7)
    buffers = []
    for i in range(1000):
        first = draw.randrange(2000)
        last = first + draw.randrange(1, 200)
        buffers.append(Buffer(f"b{i}", draw.randrange(1, 5000), 64, first, last))
    found = place(buffers)
    check(buffers, found)
    assert arena_bytes(buffers, found) <= 1.1 * lower_bound(buffers)


def test_results_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from tests.test_memory import instance, training_step\n"
        "from gradc.passes.offsets import place\n"
        "from gradc.passes.memory import plan\n"
        "print(sorted(place(instance('deep_speech')).items()))\n"
        "print(plan(*training_step()).report())\n"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=DATA.parents[2],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(DATA.parents[2])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert "over h1" in texts[0]
    assert texts[0] == texts[1]


# Order


class Program:
    """Tasks in a right order, with all that `schedule` and `peak` want to know about them."""

    def __init__(self, tasks: list[Task], sizes: dict[str, int], **rest: Sequence[object]) -> None:
        self.tasks, self.sizes = tasks, sizes
        self.live_in: Sequence[str] = [str(n) for n in rest.get("live_in", ())]
        self.live_out: Sequence[str] = [str(n) for n in rest.get("live_out", ())]
        self.in_place: Sequence[InPlace] = rest.get("in_place", ())  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Program({self.__dict__})"

    def peak(self, sequence: Sequence[TaskId]) -> int:
        return peak(
            sequence,
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
        )

    def bound(self) -> int:
        return lower_bound_all_orders(
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
        )

    def schedule(self, **options: int) -> tuple[TaskId, ...]:
        return schedule(
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
            **options,
        )

    @property
    def given(self) -> tuple[TaskId, ...]:
        return tuple(t.id for t in self.tasks)

    def orders(self) -> Iterator[tuple[TaskId, ...]]:
        """All topological orders, the obvious way."""
        before = order.dependencies(self.tasks)

        def extend(done: tuple[TaskId, ...]) -> Iterator[tuple[TaskId, ...]]:
            if len(done) == len(self.tasks):
                yield done
            for i in self.given:
                if i not in done and before[i] <= set(done):
                    yield from extend((*done, i))

        return extend(())


@st.composite
def some_program(draw: st.DrawFn, most: int = 7) -> Program:
    """Tasks that each make a storage or two, read earlier ones, and sometimes update one."""
    size = st.sampled_from((0, 1, 2, 5, 10, 10, 30))
    sizes = {"w": draw(size), "x": draw(size)}
    live_in = ["w", "x"]
    made = list(live_in)
    tasks: list[Task] = []
    in_place: list[InPlace] = []
    for i in range(draw(st.integers(1, most))):
        reads = draw(st.lists(st.sampled_from(made), max_size=3, unique=True))
        writes = [f"s{i}"]
        sizes[f"s{i}"] = draw(size)
        if draw(st.integers(0, 3)) == 0:
            writes.append(draw(st.sampled_from(made)))
        if draw(st.integers(0, 4)) == 0:
            writes.append(f"t{i}")
            sizes[f"t{i}"] = draw(size)
        after = draw(st.lists(st.sampled_from(range(i)), max_size=1)) if i else []
        tasks.append(
            Task(i, tuple(reads), tuple(writes), draw(st.sampled_from((0, 0, 7))), tuple(after))
        )
        in_place += [(i, s, t) for s in reads for t in writes if s != t and draw(st.booleans())]
        made += [n for n in writes if n not in made]
    live_out = draw(st.lists(st.sampled_from(made), max_size=3, unique=True))
    return Program(tasks, sizes, live_in=live_in, live_out=live_out, in_place=in_place)


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


# The plan


def training_step() -> tuple[list[Task], list[Storage], list[InPlace]]:
    """An MLP's step by hand; relu and its gradient in place, updates in the products."""
    tasks = [
        Task("fc1", ("x", "w1"), ("h1",), scratch=1000),
        Task("relu", ("h1",), ("a1",)),
        Task("fc2", ("a1", "w2"), ("h2",)),
        Task("cross_entropy", ("h2", "y"), ("loss", "d_h2")),
        Task("d_a1", ("d_h2", "w2"), ("d_a1",)),
        Task("update_w2", ("a1", "d_h2"), ("w2",)),
        Task("d_relu", ("d_a1", "a1"), ("d_h1",)),
        Task("update_w1", ("x", "d_h1"), ("w1",)),
    ]
    storages = [
        Storage("x", 64 * 784 * 4, kind="io"),
        Storage("y", 64 * 4, kind="io"),
        Storage("loss", 4, kind="io"),
        Storage("w1", 784 * 128 * 4, kind="state"),
        Storage("w2", 128 * 10 * 4, kind="state"),
        *(Storage(n, 64 * 128 * 4, shape="f32[64, 128]") for n in ("h1", "a1", "d_a1", "d_h1")),
        *(Storage(n, 64 * 10 * 4, shape="f32[64, 10]") for n in ("h2", "d_h2")),
    ]
    in_place: list[InPlace] = [
        ("relu", "h1", "a1"),
        ("cross_entropy", "h2", "d_h2"),
        ("d_relu", "d_a1", "d_h1"),
    ]
    return tasks, storages, in_place


def test_a_training_step_is_planned_at_its_bound() -> None:
    found = plan(*training_step())
    assert found.arena_bytes == found.lower_bound == 2 * 32_768 + 2_560
    assert found.no_reuse_bytes == 4 * 32_768 + 2 * 2_560 + 1_024
    assert found.state_bytes == 401_408 + 5_120
    assert found.io_bytes == 200_704 + 256 + 4
    assert found.total_bytes == found.arena_bytes + found.state_bytes + found.io_bytes
    assert found.order[0] == "fc1"
    assert found["a1"] == PlannedBuffer("a1", 0, 32_768, 1, 7, "f32[64, 128]", "h1")
    assert found["d_h1"].offset == found["d_a1"].offset
    assert (found["scratch of fc1"].first, found["scratch of fc1"].last) == (0, 1)


def test_without_permission_nothing_is_written_in_place() -> None:
    tasks, storages, _ = training_step()
    found = plan(tasks, storages)
    assert all(not b.over for b in found.buffers)
    assert found["a1"].offset != found["h1"].offset
    assert found.arena_bytes == found.lower_bound == 3 * 32_768


def chain(sizes: Sequence[int], extra: Sequence[Task] = ()) -> tuple[list[Task], list[Storage]]:
    """Task i reads storage i and writes storage i + 1."""
    tasks = [Task("t0", (), ("s0",))]
    tasks += [Task(f"t{i}", (f"s{i - 1}",), (f"s{i}",)) for i in range(1, len(sizes))]
    return [*tasks, *extra], [Storage(f"s{i}", size) for i, size in enumerate(sizes)]


def steps(count: int) -> list[InPlace]:
    return [(f"t{i}", f"s{i - 1}", f"s{i}") for i in range(1, count)]


def test_in_place_chains_share_one_offset() -> None:
    tasks, storages = chain([640] * 5)
    found = plan(tasks, storages, steps(5))
    assert {b.offset for b in found.buffers} == {0}
    assert [b.over for b in found.buffers] == ["", "s0", "s1", "s2", "s3"]
    assert found.arena_bytes == found.lower_bound == 640
    assert plan(tasks, storages).arena_bytes == 1280


def test_a_larger_output_is_not_written_in_place() -> None:
    tasks, storages = chain([640, 1280])
    assert plan(tasks, storages, steps(2))["s1"].over == ""


def test_room_lost_to_alignment_is_no_room_for_an_output() -> None:
    tasks, storages = chain([65, 100])
    assert plan(tasks, storages, steps(2))["s1"].over == ""
    tasks, storages = chain([100, 65])
    assert plan(tasks, storages, steps(2))["s1"].over == "s0"


def test_an_input_that_is_used_later_is_not_overwritten() -> None:
    tasks, storages = chain([640, 640], [Task("later", ("s0", "s1"), ())])
    assert plan(tasks, storages, steps(2))["s1"].over == ""


def test_an_input_is_overwritten_by_one_output_only() -> None:
    tasks = [Task("a", (), ("x",)), Task("b", ("x",), ("y", "z")), Task("c", ("y", "z"), ())]
    storages = [Storage(n, 64) for n in "xyz"]
    found = plan(tasks, storages, [("b", "x", "y"), ("b", "x", "z")])
    assert sorted(b.over for b in found.buffers) == ["", "", "x"]
    assert found.arena_bytes == 128


def test_parameters_and_inputs_are_never_overwritten() -> None:
    tasks = [Task("a", ("x",), ("y",)), Task("b", ("y",), ())]
    storages = [Storage("x", 64, kind="io"), Storage("y", 64)]
    found = plan(tasks, storages, [("a", "x", "y")])
    assert found["y"].over == ""
    assert [b.name for b in found.buffers] == ["y"]


def test_a_small_output_that_lives_on_does_not_hold_a_large_input_up() -> None:
    late = [Task("big", ("s1",), ("s2",)), Task("end", ("s1", "s2"), ())]
    tasks, storages = chain([6400, 64], late)
    storages.append(Storage("s2", 6400))
    found = plan(tasks, storages, [("t1", "s0", "s1")])
    assert found["s1"].over == ""
    assert found.arena_bytes == found.lower_bound == 6464
    short = plan(tasks[:2], storages[:2], [("t1", "s0", "s1")])
    assert short["s1"].over == "s0"
    assert short.arena_bytes == 6400


@given(some_program(most=8))
def test_plans_of_random_programs_hold_what_they_promise(p: Program) -> None:
    outside = {*p.live_in, *p.live_out}
    storages = [
        Storage(n, max(0, 64 * s - i), kind="state" if n in outside else "arena")
        for i, (n, s) in enumerate(p.sizes.items())
    ]
    found = plan(p.tasks, storages, p.in_place)
    assert found.lower_bound <= found.arena_bytes <= found.no_reuse_bytes
    bytes_of: dict[tuple[int, int], str] = {}
    for b in found.buffers:  # paint every byte of every step, in units of 64
        for step in range(b.first + bool(b.over), b.last):
            for byte in range(b.offset // 64, (b.offset + b.size + 63) // 64):
                assert (step, byte) not in bytes_of
                bytes_of[step, byte] = b.name
        assert b.over == "" or found[b.over].offset == b.offset
    assert {b.name for b in found.buffers if not b.name.startswith("scratch")} == {
        n for n in p.sizes if n not in outside
    }
    assert plan(p.tasks, storages, p.in_place) == found


def test_the_plan_checks_what_is_written_in_place() -> None:
    source = PlannedBuffer("a", 0, 64, 0, 2)
    memory.check([source, PlannedBuffer("b", 0, 64, 1, 3, "", "a")], 64)
    wrong = {
        "overlap": PlannedBuffer("b", 0, 64, 1, 3),
        "lies elsewhere": PlannedBuffer("b", 64, 64, 1, 3, "", "a"),
        "is larger": PlannedBuffer("b", 0, 128, 1, 3, "", "a"),
        "last use": PlannedBuffer("b", 0, 64, 2, 3, "", "a"),
        "as old": PlannedBuffer("b", 0, 64, 0, 3, "", "a"),
        "leaves the arena": PlannedBuffer("b", 64, 128, 1, 3),
    }
    for message, buffer in wrong.items():
        with pytest.raises(AssertionError, match=message):
            memory.check([source, buffer], 128)


def test_wrong_storages_are_refused() -> None:
    with pytest.raises(ValueError, match="two storages have one name"):
        plan([], [Storage("a", 1), Storage("a", 1)])
    with pytest.raises(ValueError, match="has the name `scratch of 0`"):
        plan([Task(0, (), (), scratch=8)], [Storage("scratch of 0", 1)])
    with pytest.raises(ValueError, match="touches `b`, which is no storage"):
        plan([Task(0, (), ("b",))], [])
    with pytest.raises(ValueError, match="reads `a`, which is not written before it"):
        plan([Task(0, ("a",), ())], [Storage("a", 4)])


def test_a_plan_prints_tersely_and_in_full() -> None:
    found = plan(*training_step())
    assert repr(found).splitlines() == [
        "MemoryPlan: 7 buffers over 8 steps",
        "  parameters and state    397.0 KiB",
        "  inputs and outputs      196.3 KiB",
        "  arena                    66.5 KiB  50% under no reuse, at the lower bound",
        "  total                   659.8 KiB",
    ]
    text = found.report()
    assert "A       32,768       1,000  0..0       scratch of fc1" in text
    assert "C            0      32,768  1..6       a1              f32[64, 128]  over h1" in text
    assert "steps 0 to 7, 1 step a column" in text
    assert "            0 |BBBCCCCCCCCCCCCCCCCCC..." in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_empty_plan_prints() -> None:
    found = plan([], [])
    assert isinstance(found, MemoryPlan)
    assert found.arena_bytes == found.lower_bound == found.no_reuse_bytes == 0
    assert found.report() == repr(found)
    assert found.as_csv() == "id,lower,upper,size,offset\n"


def test_the_csv_of_a_plan_is_a_plan_again() -> None:
    rows = list(csv.DictReader(io.StringIO(plan(*training_step()).as_csv())))
    buffers = [Buffer(r["id"], int(r["size"]), 64, int(r["lower"]), int(r["upper"])) for r in rows]
    check(buffers, {r["id"]: int(r["offset"]) for r in rows}, 2 * 32_768 + 2_560)
    assert [b.name for b in buffers] == ["h1+a1", "scratch of fc1", "h2+d_h2", "d_a1+d_h1"]


def test_a_long_program_fits_the_picture() -> None:
    tasks, storages = chain([128 + 64 * (i % 3) for i in range(200)])
    text = plan(tasks, storages).report()
    assert "steps 0 to 199, 3 steps a column" in text
    assert max(map(len, text.splitlines())) <= 100
