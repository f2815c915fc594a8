"""Loops cut at their tests: pads, concatenations, rolls and slice gradients of all small shapes.

Every case is run three ways: its loop nest before the cut and after it, and the C of the nest after
it as each compiler builds it by default. Some compilers turn an inner loop with a test into vectors
wrongly; so what is asked above all is that there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from compiled import Array, call, job_of
from nests import lowered
from nests import run as run_nests

import gradc as gd
from gradc.index import Index, Quot, Rem, Var, at, divmod_index
from gradc.interpret import interpret
from gradc.lower.cuts import MOST_PIECES, cut_loops
from gradc.lower.execute import execute, unwritten
from gradc.lower.nest import (
    Apply,
    Assign,
    Declare,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Param,
    Ref,
    Stmt,
    Store,
)
from gradc.lower.ranges import cut_points, decided, period, plain
from gradc.lower.traverse import walk
from gradc.program.core import Core, make_core
from gradc.program.options import Options
from gradc.trace import trace_tree

Move = Callable[[Any], Any]
F32 = np.dtype("float32")
COMPILERS = ("gcc", "clang", "zig")


def slice_gradient(low: int, step: int, axis: int) -> Move:
    """The gradient of a slice from `low` with a step along an axis: a pad, strided if step > 1."""

    def move(x: Any) -> Any:
        cut = (slice(None),) * axis + (slice(low, None, step),)
        return gd.grad(lambda x: (x[cut] ** 2).sum())(x)

    return move


def joined(axis: int) -> Move:
    return lambda x: np.concatenate([x, x], axis)


def turned(axis: int) -> Move:
    """A part, the whole turned round, and the whole."""

    def move(x: Any) -> Any:
        part = x[(slice(None),) * axis + (slice(0, 1),)]
        return np.concatenate([part, np.flip(x, axis), x], axis) * 2

    return move


def rolled(axis: int) -> Move:
    return lambda x: np.roll(x, 1, axis) - x


def flat(axis: int) -> Move:
    """Rolled, read row by row as one axis, and folded."""
    return lambda x: np.roll(x, 2, axis).reshape(-1) * 2


def moves(axis: int) -> dict[str, Move]:
    return {
        "concat": joined(axis),
        "turned": turned(axis),
        "roll": rolled(axis),
        "flat": flat(axis),
        "pad": slice_gradient(1, 1, axis),
        "every_second": slice_gradient(0, 2, axis),
        "every_third": slice_gradient(1, 3, axis),
    }


def shapes() -> Iterator[tuple[int, ...]]:
    yield from ((n,) for n in range(2, 10))
    yield from product(range(2, 10), (1, 2, 3, 5))
    yield from ((a, b, c) for a, b, c in product((2, 3, 4, 9), repeat=3) if (a + b + c) % 3 == 0)


def cases() -> dict[str, tuple[Any, Array]]:
    """The graph and the argument of each case by name."""
    found = {}
    for k, shape in enumerate(shapes()):
        for axis in range(len(shape)):
            if shape[axis] < 2:
                continue
            for n, (name, move) in enumerate(moves(axis).items()):
                if len(shape) == 1 or name == "concat" or (k + n + axis) % 3 == 0:
                    x = (np.arange(np.prod(shape)) + 1).reshape(shape).astype("float32")
                    label = f"{name}_{axis}_of_{'x'.join(map(str, shape))}"
                    found[label] = trace_tree(move, x).graph, x
    return found


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[Any, Array]]:
    return cases()


def program(table: dict[str, tuple[Any, Array]], compiler: str) -> Core:
    options = Options("moves", compiler=compiler)
    jobs = [job_of(name, graph, options) for name, (graph, _) in table.items()]
    return make_core(options, (), jobs, traced_seconds=0.0)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_moves_of_small_arrays_are_right_at_default_flags(compiler: str, table: Any):
    if shutil.which(compiler) is None and not (compiler == "zig" and find_spec("ziglang")):
        pytest.skip(f"no {compiler}")
    core = program(table, compiler)
    for name, (graph, x) in table.items():
        wanted = interpret(graph, [x])
        for got, want in zip(call(core, name, [x]), wanted, strict=True):
            np.testing.assert_array_equal(got, want, name)


def test_no_loop_is_left_with_a_test(table: Any):
    for name, (graph, _) in table.items():
        for planned in lowered(graph).plan.steps:
            tests = [s for s in walk(planned.kernel.body) if isinstance(s, If) and s.tests]
            assert not tests, f"{name}\n{planned.kernel}"


def test_the_nests_compute_what_they_did(table: Any):
    """Each element is written once, by the nest before the cut and by that after it."""
    for name in list(table)[::5]:
        graph, x = table[name]
        job = lowered(graph)
        for got, want in zip(run_nests(job, [x]), interpret(graph, [x]), strict=True):
            np.testing.assert_array_equal(got.reshape(want.shape), want, name)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_tests_around_a_register_tile_are_right_at_default_flags(compiler: str):
    """A panel is packed, and the rows of the tile are tested: the loop around it is not cut."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(13, 40)), rng.normal(size=(3, 40))
    a = rng.normal(size=(13, 3))
    arrays = [v.astype("float32") for v in (x, w, a)]
    graph = trace_tree(lambda x, w, a: np.tanh(x @ w.T) + np.roll(a, 3, 0), *arrays).graph
    core = program({"f": (graph, None)}, compiler)
    (got,) = call(core, "f", arrays)
    np.testing.assert_allclose(got, np.tanh(x @ w.T) + np.roll(a, 3, 0), atol=1e-4)


# Loops that are not cut ---


def body_of(fn: Callable[..., Any], *args: Array) -> list[Stmt]:
    """All statements of the one kernel of a function."""
    (planned,) = lowered(trace_tree(fn, *args).graph).plan.steps
    return list(walk(planned.kernel.body))


def test_rows_behind_each_other_are_one_loop():
    x = np.ones((9, 2), "float32")
    body = body_of(lambda x: np.concatenate([x, x]), x)
    loops = [(s.var.first, s.var.extent) for s in body if isinstance(s, For)]
    assert loops == [(0, 18), (18, 36)]


def test_a_loop_is_not_cut_into_very_many_pieces():
    parts = [np.full(1, k, "float32") for k in range(MOST_PIECES + 1)]
    few = body_of(lambda *xs: np.concatenate(xs), *parts[:-1])
    assert not any(isinstance(s, If) and s.tests for s in few)
    many = body_of(lambda *xs: np.concatenate(xs), *parts)
    assert sum(isinstance(s, For) for s in many) == 1
    assert sum(isinstance(s, If) for s in many) == MOST_PIECES + 1
    run = lowered(trace_tree(lambda *xs: np.concatenate(xs), *parts).graph)
    np.testing.assert_array_equal(run_nests(run, parts)[0], np.arange(MOST_PIECES + 1))


def test_a_name_within_a_test_may_be_that_of_a_value_outside():
    """The value within is the guard's own, what comes after the guard means the one outside."""
    x, y = Param("x", F32, 4), Param("y", F32, 6, written=True)
    j, k = Var("j", 2), Var("k", 3)
    guard = (
        Let("v", Load("x", at(j) + 1, F32)),
        Assign("c", Ref("v", F32)),
    )
    body = (
        Declare("c", F32, Literal(0.0, F32)),
        If(((at(j), 1, 2),), guard),
        Let("total", Apply("add", (Ref("c", F32), Ref("v", F32)), F32)),
        Store("y", at(j) * 3 + at(k), Ref("total", F32)),
    )
    rows = For(j, (Let("v", Load("x", at(j) * 3, F32)), For(k, body)))
    kernel = Kernel("k", (x, y), (0, 1), (rows,), (1,))
    found = []
    for form in (kernel, cut_loops(kernel)):
        arrays = {"x": np.array([1, 10, 100, 1000], F32), "y": unwritten(6, F32)}
        execute(form, arrays)
        found.append(arrays["y"].tolist())
    assert found[0] == found[1] == [1, 1, 1, 1100, 1100, 1100]
    assert not any(isinstance(s, If) and s.tests for s in walk(cut_loops(kernel).body))


# Tests and ranges ---

I, J = Var("i", 12), Var("j", 5)
INDICES = {
    "i": at(I),
    "12 - i": at(I) * -1 + 12,
    "2 i - 3": at(I) * 2 + -3,
    "i + j": at(I) + at(J),
    "5 i + j": at(I) * 5 + at(J),
    "i // 3": Index(((Quot(at(I), 3), 1),)),
    "4 - i // 3": Index(((Quot(at(I), 3), -1),), 4),
    "i % 4": Index(((Rem(at(I), 4), 1),)),
    "i % 6 % 3": Index(((Rem(Index(((Rem(at(I), 6), 1),)), 3), 1),)),
    "i // 2 % 3": Index(((Rem(Index(((Quot(at(I), 2), 1),)), 3), 1),)),
    "(5 i + j) // 7 % 4": divmod_index(divmod_index(at(I) * 5 + at(J), 7)[0], 4)[1],
}


def value(index: Index, i: int, j: int) -> int:
    total = index.const
    for atom, k in index.terms:
        if isinstance(atom, Var):
            total += k * (i if atom.name == "i" else j)
        elif isinstance(atom, Quot):
            total += k * (value(atom.index, i, j) // atom.by)
        else:
            total += k * (value(atom.index, i, j) % atom.by)
    return total


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("low", [-4, 0, 2, 5, 30])
@pytest.mark.parametrize("width", [0, 1, 4, 40])
def test_tests_are_decided_between_the_points(name: str, low: int, width: int):
    test = (INDICES[name], low, low + width)
    same = plain(test)
    truth = np.array([[low <= value(test[0], i, j) < low + width for j in range(5)]
                      for i in range(12)])  # fmt: skip
    for i, j in product(range(12), range(5)):
        assert (same[1] <= value(same[0], i, j) < same[2]) == truth[i, j]
    verdict = decided(same)
    assert verdict is None or (truth == verdict).all()
    if name in ("i", "12 - i", "2 i - 3", "i // 3", "4 - i // 3"):  # of i alone: constant between
        ends = [0, *cut_points(same, I), 12]
        for a, b in pairwise(ends):
            assert len(set(truth[a:b].ravel())) == 1
    if name == "i % 4":
        assert period(same, I) == (4, 0)
    if name == "i % 6 % 3":
        assert period(same, I) == (3, 0)
    if name == "i // 2 % 3":
        assert period(same, I) == (6, 0)
