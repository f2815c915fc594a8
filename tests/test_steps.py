"""Loops, branches and guards as steps of a plan: checked, run in Python and compiled to C."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from blocks import RefusedError, run_block
from compiled import call
from step_cases import CASES, STEPS, WIDTH, Case, Plan, X, Y, Z, guarded, kernel, recurrent

from gradc.dtypes import F32
from gradc.emit.entry import Argument, Entry
from gradc.emit.interface import Interface
from gradc.emit.program import ProgramPrinter
from gradc.errors import DataError
from gradc.graph import Graph
from gradc.index import Index, Var, at
from gradc.inspect import memory_text
from gradc.inspect.data import plan_data
from gradc.inspect.view import EntryView
from gradc.lower.axes import Axes
from gradc.lower.target import TARGETS
from gradc.pipeline import Compiled
from gradc.plan.buffers import Buffer, View, are_apart
from gradc.plan.check import check_block
from gradc.plan.offsets import PlanError
from gradc.plan.steps import Block, Branch, Copy, Guard, Repeat, Run, blocks_of, plans_inside, walk
from gradc.program.core import Core
from gradc.program.options import Options


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: make() for name, make in CASES.items()}


def outside(case: Case) -> dict[Buffer, Any]:
    """Flat arrays for the arguments of a case, and for its results, which hold nothing yet."""
    found = {buffer: np.array(value).reshape(-1) for buffer, value in case.args}
    return found | {b: np.full(b.size, np.nan, b.dtype) for b, _ in case.results}


@pytest.mark.parametrize("name", CASES)
def test_steps_run_in_python(name: str, cases: Mapping[str, Case]) -> None:
    memory = outside(cases[name])
    run_block(cases[name].block, memory)
    for buffer, expected in cases[name].results:
        np.testing.assert_allclose(memory[buffer], expected.reshape(-1), rtol=1e-5, atol=1e-6)


# In C


@pytest.fixture(scope="module")
def core(cases: Mapping[str, Case]) -> Core:
    """All cases, and one whose guard ends it, as entry points of one program."""
    entries = []
    for k, case in enumerate([*cases.values(), guarded(fault=True)]):
        args, outputs = (
            tuple(Argument(b.name, b.name, b.dtype, b.shape) for b, _ in arrays)
            for arrays in (case.args, case.results)
        )
        axes = Axes({}, (), ((),) * len(args), ((),) * len(outputs))
        entries.append(Entry(f"case_{k}", case.block, args, outputs, axes, False, scope=""))
    target = TARGETS["scalar"]
    interface = Interface("steps", None, tuple(entries))
    emitted = ProgramPrinter(interface, target).emit()
    options = Options("steps", "portable", cflags=("-O1", "-Wall", "-Wextra", "-Werror"))
    return Core(Compiled("steps", emitted, interface, (), target, {}), options, (), None, [])


@pytest.mark.parametrize("name", CASES)
def test_steps_are_compiled(name: str, cases: Mapping[str, Case], core: Core) -> None:
    case = cases[name]
    found = call(core, f"case_{list(CASES).index(name)}", [value for _, value in case.args])
    for got, (_, expected) in zip(found, case.results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_guard_ends_a_function_before_it_has_written(core: Core) -> None:
    case = guarded(fault=True)
    memory = outside(case)
    with pytest.raises(RefusedError, match="index"):
        run_block(case.block, memory)
    assert all(np.isnan(memory[b]).all() for b, _ in case.results)
    with pytest.raises(DataError, match="computed an integer out of range and wrote nothing"):
        call(core, f"case_{len(CASES)}", [value for _, value in case.args])
    native = core.entry(f"case_{len(CASES)}")
    results = [native.ffi.new("float[8]", [7.0] * WIDTH) for _ in case.results]
    given = native.ffi.from_buffer("float[]", case.args[0][1])
    status = native.function(*results, given, native.arena_pointer)
    assert [s.enumerator for s in core.compiled.interface.statuses][
        status
    ] == "STEPS_INDEX_OUT_OF_RANGE"
    assert all(list(values) == [7.0] * WIDTH for values in results)


def test_loops_and_branches_read_as_such(core: Core) -> None:
    text = re.sub(r"\n +", "\n", core.source)
    assert "for (size_t t = 0; t < 5; ++t) {\n" in text
    assert "for (size_t t = 5; t-- > 0;) {\n" in text
    assert re.search(
        r"for \(size_t i = 0; i < 5; \+\+i\) \{\nfor \(size_t j = 0; j < 3; \+\+j\)", text
    )
    assert re.search(r"\(&out\[t \* 8 \+ 8\], &out\[t \* 8\], &xs\[t \* 8\]\);", text)
    assert re.search(r"if \(\*test\) \{\n.*?\n\} else \{\n", text, re.DOTALL)
    assert "if (*fault) {\nreturn STEPS_INDEX_OUT_OF_RANGE;\n}\n" in text


# How they are planned


def only(block: Block, kind: type[Any]) -> Any:
    (found,) = (step for _, step, _ in walk(block) if isinstance(step, kind))
    return found


def test_the_arena_of_a_block_is_one_buffer_around_it(cases: Mapping[str, Case]) -> None:
    loop = only(cases["loop"].block, Repeat)
    memory, inside = cases["loop"].block.memory, loop.block.memory
    assert [b.name for b in inside.buffers] == ["z"]
    frame = memory.by_id[loop.frame]
    assert (frame.size, frame.last - frame.first) == (inside.arena_bytes, 1)
    assert memory.arena_bytes == memory.lower_bound
    branch = only(cases["branch taken"].block, Branch)
    assert branch.frame.nbytes == max(b.memory.arena_bytes for b in branch.blocks)


def test_the_plans_inside_are_told(cases: Mapping[str, Case]) -> None:
    names = {name: [label for label, _ in plans_inside(case.block)] for name, case in cases.items()}
    assert names["loop"] == ["loop over t (step 2)"]
    assert names["loop in a loop"] == ["loop over i (step 1)", "loop over j (step 1)"]
    assert names["branch taken"] == [f"branch on test (step 1), side {n}" for n in (1, 2)]
    assert names["guard"] == []
    block = cases["loop"].block
    (inside,) = plans_inside(block)
    entry = EntryView("f", Graph({}, (), ()), (), block.memory, {}, {}, (inside,))
    whole, turn = memory_text(entry).split("\n\nloop over t (step 2)\n")
    assert whole == f"f\n{block.memory.report()}"
    assert turn == inside[1].report()
    data = plan_data(block.memory, entry.inside)
    assert data["inside"] == [{"name": "loop over t (step 2)", **plan_data(inside[1])}]


def test_a_loop_begins_where_its_value_lies_if_that_dies_there(cases: Mapping[str, Case]) -> None:
    assert len(only(cases["loop"].block, Repeat).starts) == 1
    block = cases["loop over what it begins with"].block
    assert only(block, Repeat).starts == ()
    assert block.memory["h"].over is block.memory["begin"].id


def test_a_value_made_of_its_own_row_is_aside_until_the_turn_ends() -> None:
    case = recurrent(direct=True)
    turn = only(case.block, Repeat).block
    assert [type(step) for step in turn.steps] == [Run, Run, Copy]
    memory = outside(case)
    run_block(case.block, memory)
    for buffer, expected in case.results:
        np.testing.assert_allclose(memory[buffer], expected.reshape(-1), rtol=1e-5, atol=1e-6)


def test_what_is_known_before_a_guard_is_copied_out_after_it(cases: Mapping[str, Case]) -> None:
    kinds = [type(step) for step in cases["guard"].block.steps]
    assert kinds == [Run, Run, Guard, Run, Copy]


def test_arrays_are_apart() -> None:
    a, b = Buffer("a", F32, (STEPS + 1, WIDTH)), Buffer("a", F32, (STEPS + 1, WIDTH))
    t = Var("t", STEPS)
    here, next_, near = (View(a, at(t) * WIDTH + k, (WIDTH,)) for k in (0, WIDTH, WIDTH - 1))
    assert a != b
    assert are_apart(a, b)
    assert are_apart(here, next_)
    assert are_apart(next_, here)
    assert not are_apart(here, near)
    assert not are_apart(a, here)
    with pytest.raises(ValueError, match="a view leaves `a`: elements 16 to 56 of 48"):
        View(a, at(t) * WIDTH + 2 * WIDTH, (WIDTH,))


# Plans that are wrong


def without(block: Block, path: tuple[int, ...]) -> Block:
    """The block without one step."""
    k, *rest = path
    steps = list(block.steps)
    if not rest:
        del steps[k]
    else:
        n, *inside = rest
        step = steps[k]
        assert isinstance(step, (Repeat, Branch))
        blocks = list(blocks_of(step))
        blocks[n] = without(blocks[n], tuple(inside))
        if isinstance(step, Repeat):
            steps[k] = replace(step, block=blocks[0])
        else:
            steps[k] = replace(step, blocks=(blocks[0], blocks[1]))
    return replace(block, steps=tuple(steps))


@pytest.mark.parametrize("name", CASES)
def test_a_step_left_out_is_noticed(name: str, cases: Mapping[str, Case]) -> None:
    block = cases[name].block
    for path, step, _ in walk(block):
        if not isinstance(step, Guard):  # which makes nothing
            with pytest.raises(PlanError, match=r"where|not made before"):
                check_block(without(block, path))


def test_a_loop_without_its_start_is_noticed(cases: Mapping[str, Case]) -> None:
    for name in ("loop", "history"):
        block = cases[name].block
        steps = tuple(replace(s, starts=()) if isinstance(s, Repeat) else s for s in block.steps)
        with pytest.raises(PlanError, match=r"loop over t: .* where"):
            check_block(replace(block, steps=steps))


def test_a_frame_over_what_a_turn_reads_is_noticed(cases: Mapping[str, Case]) -> None:
    block = cases["loop"].block
    frame = only(block, Repeat).frame
    for other in block.memory.buffers:
        if other.id is not frame:
            buffers = tuple(
                replace(b, offset=other.offset) if b.id is frame else b
                for b in block.memory.buffers
            )
            with pytest.raises(PlanError, match=r"where|is lost"):
                check_block(replace(block, memory=replace(block.memory, buffers=buffers)))


def test_a_guard_after_a_result_is_noticed(cases: Mapping[str, Case]) -> None:
    first, second, guard, *rest = cases["guard"].block.steps
    with pytest.raises(PlanError, match="guard of index: something outside the arena is written"):
        check_block(replace(cases["guard"].block, steps=(first, second, *rest, guard)))


def test_turns_that_stack_on_one_place_are_noticed(cases: Mapping[str, Case]) -> None:
    block = cases["loop in a loop"].block
    (i,) = (s for s in block.steps if isinstance(s, Repeat))
    still = Index()  # where the counter should be

    def fixed(array: Any) -> Any:
        return replace(array, first=still) if array.name == "out" else array

    inside = {v: fixed(a) for v, a in i.block.outputs.items()}
    wrong = replace(i, block=replace(i.block, outputs=inside))
    with pytest.raises(PlanError, match=r"where|is lost"):
        check_block(replace(block, steps=(wrong,)))


def test_a_kernel_of_another_task_is_refused() -> None:
    plan = Plan(
        {X: Buffer("x", F32, (WIDTH,), "argument")}, {Y: Buffer("y", F32, (WIDTH,), "output")}
    )
    row = np.ones(WIDTH, np.float32)
    plan.add(kernel(lambda x: x * 2, (X,), Z, row), (X,), {Y: Buffer("y", F32, (WIDTH,))})
    with pytest.raises(PlanError, match="does another task"):
        plan.block()
