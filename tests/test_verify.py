"""The calls of an entry point against its plan: storages of one name, and plans that are wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from nests import lowered
from nests import run as run_nests

import gradc as gd
from gradc.plan.check import check_block
from gradc.plan.memory import MemoryPlan
from gradc.plan.offsets import PlanError
from gradc.plan.steps import Block, runs
from gradc.trace import trace_tree


def packed_twice(x, c):
    """Products that read one matrix through panels of different sizes."""
    m = np.maximum(c, x)
    return np.var(np.tanh(m.T @ m) @ m.T)


def two_derivatives(x, c):
    second = gd.grad(lambda x: (gd.grad(packed_twice)(x, c) * x).sum())(x)
    return gd.grad(packed_twice)(x, c), second


def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 17)), rng.normal(size=1)


def plan_of(fn, *args) -> Block:
    return lowered(trace_tree(fn, *args).graph).plan


def test_scratch_of_two_kernels_of_one_name_is_two_storages():
    plan = plan_of(two_derivatives, *inputs())
    scratch = [
        (call.kernel.name, use.array, p)
        for _, call, _ in runs(plan)
        for use, p in zip(call.uses, (*call.kernel.params, *call.kernel.scratch), strict=True)
        if use.array.home == "scratch"
    ]
    names = [(name, p.name) for name, _, p in scratch]
    assert len(set(names)) < len(names), "no two kernels have one name"
    assert len({place for _, place, _ in scratch}) == len(scratch)
    for _, place, p in scratch:
        planned = plan.memory.by_id[place]
        assert planned.size == p.size * p.dtype.itemsize
        assert planned.offset + planned.size <= plan.memory.arena_bytes
    labels = [b.name for b in plan.memory.buffers]
    assert len(set(labels)) == len(labels)


def test_kernels_of_one_name_compute_what_they_should():
    arrays = inputs()
    traced = trace_tree(two_derivatives, *arrays)
    in_python = run_nests(lowered(traced.graph), list(arrays))
    in_c = gd.compile(two_derivatives, *arrays, cflags=("-O0",))(*arrays)
    for a, b in zip(in_python, in_c, strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=1e-9, atol=1e-9)


def chain(x, w):
    h = np.tanh(x @ w)
    g = np.tanh(h @ w)
    return (g @ w.T) * h


@pytest.fixture(scope="module")
def plan() -> Block:
    return plan_of(chain, np.ones((6, 40)), np.ones((40, 40)))


def with_buffers(plan: Block, change) -> Block:
    """The plan with other buffers: `change` is given each and says what takes its place."""
    buffers = tuple(change(b) for b in plan.memory.buffers)
    memory: MemoryPlan = replace(plan.memory, buffers=buffers)
    return replace(plan, memory=memory)


def test_a_right_plan_is_accepted(plan):
    check_block(plan)
    assert len(plan.steps) > 2
    assert any(use.array.home == "scratch" for step in plan.steps for use in step.uses)


def test_a_buffer_beyond_the_arena_is_noticed(plan):
    end = plan.memory.arena_bytes
    for wrong in plan.memory.buffers:
        with pytest.raises(PlanError, match="leaves the arena"):
            check_block(
                with_buffers(
                    plan, lambda b, w=wrong: replace(b, offset=end - b.size + 64) if b == w else b
                )
            )


def test_a_buffer_of_another_size_is_noticed(plan):
    for wrong in plan.memory.buffers:
        for size in (wrong.size - 8, wrong.size + 8):
            with pytest.raises(PlanError, match="bytes, not"):
                check_block(
                    with_buffers(
                        plan,
                        lambda b, w=wrong, s=size: replace(b, size=s) if b == w else b,
                    )
                )


def test_buffers_that_share_bytes_while_both_are_needed_are_noticed(plan):
    largest = max(plan.memory.buffers, key=lambda b: b.size)
    beside = [
        b for b in plan.memory.buffers
        if b is not largest and b.first < largest.last and largest.first < b.last
    ]  # fmt: skip
    assert beside
    for wrong in beside:
        moved = with_buffers(
            plan, lambda b, w=wrong: replace(b, offset=largest.offset) if b == w else b
        )
        with pytest.raises(PlanError, match=r"share bytes|holds .* where"):
            check_block(moved)


def test_calls_in_another_order_are_noticed(plan):
    for k in range(len(plan.steps) - 1):
        calls = list(plan.steps)
        calls[k : k + 2] = calls[k + 1], calls[k]
        with pytest.raises(PlanError, match=r"holds .* where"):
            check_block(replace(plan, steps=tuple(calls)))


def test_a_call_left_out_is_noticed(plan):
    for k in range(len(plan.steps)):
        with pytest.raises(PlanError, match="holds nothing where"):
            check_block(replace(plan, steps=plan.steps[:k] + plan.steps[k + 1 :]))


def test_the_checks_are_no_assertions():
    """`python -O` drops assertions; the checks of a plan stay."""
    program = (
        "from gradc.plan.memory import PlannedBuffer, check\n"
        "check([PlannedBuffer('a', 0, 64, 0, 2), PlannedBuffer('b', 0, 64, 1, 3)], 64)\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "PlanError" in done.stderr
