"""The memory plan: what is written in place, what it promises, how it prints."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from memory_cases import DATA, Program, some_program, training_step

from gradc.plan import memory
from gradc.plan.memory import MemoryPlan, PlannedBuffer, Storage, plan
from gradc.plan.offsets import Region, check
from gradc.plan.order import InPlace, Task


def test_a_training_step_is_planned_at_its_bound() -> None:
    found = plan(*training_step())
    assert found.arena_bytes == found.lower_bound == 2 * 32_768 + 2_560
    assert found.no_reuse_bytes == 4 * 32_768 + 2 * 2_560 + 1_024
    assert found.state_bytes == 401_408 + 5_120
    assert found.io_bytes == 200_704 + 256 + 4
    assert found.total_bytes == found.arena_bytes + found.state_bytes + found.io_bytes
    assert found.order[0] == "fc1"
    assert found["a1"] == PlannedBuffer("a1", 0, 32_768, 1, 7, "f32[64, 128]", "h1", "a1")
    assert found["d_h1"].offset == found["d_a1"].offset
    assert (found["scratch of fc1"].first, found["scratch of fc1"].last) == (0, 1)


def test_without_permission_nothing_is_written_in_place() -> None:
    tasks, storages, _ = training_step()
    found = plan(tasks, storages)
    assert all(b.over is None for b in found.buffers)
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
    assert [b.over for b in found.buffers] == [None, "s0", "s1", "s2", "s3"]
    assert found.arena_bytes == found.lower_bound == 640
    assert plan(tasks, storages).arena_bytes == 1280


def test_a_larger_output_is_not_written_in_place() -> None:
    tasks, storages = chain([640, 1280])
    assert plan(tasks, storages, steps(2))["s1"].over is None


def test_room_lost_to_alignment_is_no_room_for_an_output() -> None:
    tasks, storages = chain([65, 100])
    assert plan(tasks, storages, steps(2))["s1"].over is None
    tasks, storages = chain([100, 65])
    assert plan(tasks, storages, steps(2))["s1"].over == "s0"


def test_an_input_that_is_used_later_is_not_overwritten() -> None:
    tasks, storages = chain([640, 640], [Task("later", ("s0", "s1"), ())])
    assert plan(tasks, storages, steps(2))["s1"].over is None


def test_an_input_is_overwritten_by_one_output_only() -> None:
    tasks = [Task("a", (), ("x",)), Task("b", ("x",), ("y", "z")), Task("c", ("y", "z"), ())]
    storages = [Storage(n, 64) for n in "xyz"]
    found = plan(tasks, storages, [("b", "x", "y"), ("b", "x", "z")])
    assert [b.over for b in found.buffers].count("x") == 1
    assert found.arena_bytes == 128


def test_parameters_and_inputs_are_never_overwritten() -> None:
    tasks = [Task("a", ("x",), ("y",)), Task("b", ("y",), ())]
    storages = [Storage("x", 64, kind="io"), Storage("y", 64)]
    found = plan(tasks, storages, [("a", "x", "y")])
    assert found["y"].over is None
    assert [b.name for b in found.buffers] == ["y"]


def test_a_small_output_that_lives_on_does_not_hold_a_large_input_up() -> None:
    late = [Task("big", ("s1",), ("s2",)), Task("end", ("s1", "s2"), ())]
    tasks, storages = chain([6400, 64], late)
    storages.append(Storage("s2", 6400))
    found = plan(tasks, storages, [("t1", "s0", "s1")])
    assert found["s1"].over is None
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
        for step in range(b.first + (b.over is not None), b.last):
            for byte in range(b.offset // 64, (b.offset + b.size + 63) // 64):
                assert (step, byte) not in bytes_of
                bytes_of[step, byte] = b.name
        assert b.over is None or found.by_id[b.over].offset == b.offset
    assert {b.name for b in found.buffers if not b.name.startswith("scratch")} == {
        n for n in p.sizes if n not in outside
    }
    assert plan(p.tasks, storages, p.in_place) == found


def test_the_plan_checks_what_is_written_in_place() -> None:
    source = PlannedBuffer("a", 0, 64, 0, 2)
    memory.check([source, PlannedBuffer("b", 0, 64, 1, 3, over="a")], 64)
    wrong = {
        "overlap": PlannedBuffer("b", 0, 64, 1, 3),
        "lies elsewhere": PlannedBuffer("b", 64, 64, 1, 3, over="a"),
        "is larger": PlannedBuffer("b", 0, 128, 1, 3, over="a"),
        "last use": PlannedBuffer("b", 0, 64, 2, 3, over="a"),
        "as old": PlannedBuffer("b", 0, 64, 0, 3, over="a"),
        "leaves the arena": PlannedBuffer("b", 64, 128, 1, 3),
    }
    for message, buffer in wrong.items():
        with pytest.raises(AssertionError, match=message):
            memory.check([source, buffer], 128)


def test_wrong_storages_are_refused() -> None:
    with pytest.raises(ValueError, match="two storages are one"):
        plan([], [Storage("a", 1), Storage("a", 1)])
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
    buffers = [Region(r["id"], int(r["size"]), 64, int(r["lower"]), int(r["upper"])) for r in rows]
    check(buffers, {r["id"]: int(r["offset"]) for r in rows}, 2 * 32_768 + 2_560)
    assert [b.id for b in buffers] == ["h1+a1", "scratch of fc1", "h2+d_h2", "d_a1+d_h1"]


def test_a_long_program_fits_the_picture() -> None:
    tasks, storages = chain([128 + 64 * (i % 3) for i in range(200)])
    text = plan(tasks, storages).report()
    assert "steps 0 to 199, 3 steps a column" in text
    assert max(map(len, text.splitlines())) <= 100


def test_results_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from tests.memory_cases import instance, training_step\n"
        "from gradc.plan.offsets import place\n"
        "from gradc.plan.memory import plan\n"
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
