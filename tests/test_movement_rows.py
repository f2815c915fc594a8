"""A movement op is one row: every stage works from the row's index map, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from compiled import call, compile_graphs
from nests import compare

import gradc as gd
from gradc.dtypes import Spec
from gradc.index import Source
from gradc.interpret import interpret
from gradc.ops import OPS, Kind, Op
from gradc.trace import Value

MOVEMENTS = [row for row in OPS.values() if row.kind is Kind.MOVEMENT]


def rotated(index, shapes, shape, attrs) -> tuple[Source, ...]:
    """Two pieces of one operand: the last `by` elements of the first axis, then the others."""
    i, rest, by = index[0], index[1:], attrs["by"]
    return (
        Source(0, (i + (shape[0] - by), *rest), ((i, 0, by),)),
        Source(0, (i + -by, *rest), ((i, by, shape[0]),)),
    )


def same_spec(name, args, attrs) -> Spec:
    return args[0]


def diagonal_spec(name, args, attrs) -> Spec:
    return Spec(args[0].shape[:1], args[0].dtype)


NEW = (
    Op(
        "rotate",
        Kind.MOVEMENT,
        lambda x, by: np.roll(x, by, 0),
        same_spec,
        lambda: iter(()),
        vjp=lambda g, y, a, by: (g.movement("rotate", by=a.shape[0] - by),),
        index_map=rotated,
    ),
    Op(
        "main_diagonal",
        Kind.MOVEMENT,
        lambda x: np.diagonal(x),
        diagonal_spec,
        lambda: iter(()),
        vjp=lambda g, y, a: (g.broadcast(shape=a.shape, axes=(0,)) * np.eye(*a.shape),),
        index_map=lambda index, shapes, shape, attrs: (Source(0, (index[0], index[0])),),
    ),
)


@pytest.fixture(autouse=True)
def new_rows() -> Iterator[None]:
    OPS.update((row.name, row) for row in NEW)
    yield
    for row in NEW:
        del OPS[row.name]


def rotate(x: Value, by: int) -> Value:
    return x.movement("rotate", by=by)


def diagonal(x: Value) -> Value:
    return x.movement("main_diagonal")


X = np.random.default_rng(0).uniform(-1, 1, (6, 6))
PROGRAMS = {
    "alone": lambda x: (rotate(x, 2), diagonal(x)),
    "in an expression": lambda x: rotate(x, 1) * 2 + x,
    "of a computed value": lambda x: diagonal(gd.exp(x)) + 1,
    "folded": lambda x: (rotate(gd.sin(x), 5).sum(0), diagonal(x * x).sum()),
    "of each other": lambda x: diagonal(rotate(x.T, 2)),
    "in a row nest": lambda x: gd.softmax(rotate(x, 3), axis=1),
    "as a factor": lambda x: rotate(x, 2) @ x + diagonal(x),
    "with axes of one element": lambda x: rotate(x.reshape(6, 1, 6), 2) * 2,
}


def loss_of(program):
    def loss(x: Value) -> Value:
        found = program(x)
        parts = found if isinstance(found, tuple) else (found,)
        return sum(((part * part).sum() for part in parts), start=0.0)

    return loss


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_new_row_is_traced_interpreted_and_lowered(name):
    compare(PROGRAMS[name], X)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_new_row_is_differentiated(name):
    loss = loss_of(PROGRAMS[name])
    assert gd.check_grad(loss, X).checked == X.size
    compare(gd.grad(loss), X)


def test_a_new_row_is_compiled():
    """Every program, and its gradient, as an entry point of one C file."""
    graphs = {}
    for k, program in enumerate(PROGRAMS.values()):
        graphs[f"p{k}"] = gd.trace(program, X)
        graphs[f"d{k}"] = gd.trace(gd.grad(loss_of(program)), X)
    core = compile_graphs(graphs, cflags=("-O1",))
    for name, graph in graphs.items():
        for found, expected in zip(call(core, name, [X]), interpret(graph, [X]), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
