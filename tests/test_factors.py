"""Factors of dimensions, and what movements do to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from random_graphs import draw_case

from gradc.dtypes import Spec
from gradc.graph import Builder, Graph
from gradc.ops import OPS
from gradc.ops.table import Kind
from gradc.passes.factors import Factoring, lined_up

MOVEMENTS = [name for name, row in OPS.items() if row.kind is Kind.MOVEMENT]
F32 = np.dtype("float32")


def moved(op: str, shapes: list[tuple[int, ...]], attrs: dict[str, Any]) -> tuple[Graph, int]:
    """A graph of one movement, and its node."""
    builder = Builder()
    args = [builder.input(Spec(shape, F32), f"x{k}") for k, shape in enumerate(shapes)]
    node = builder.add(op, args, attrs)
    return builder.finish([node]), node


def cases() -> Iterator[Any]:
    for op in MOVEMENTS:
        for k, sample in enumerate(OPS[op].samples()):
            if sample.args[0].dtype == F32:
                shapes = [a.shape for a in sample.args]
                yield pytest.param(op, shapes, dict(sample.attrs), id=f"{op} {k}")
    yield pytest.param("reshape", [(12, 5)], {"shape": (3, 4, 5)}, id="a dimension is cut")
    yield pytest.param("reshape", [(3, 4, 5)], {"shape": (12, 5)}, id="two are joined")
    whole = {"start": (0, 0), "step": (1, 1), "shape": (3, 2)}
    yield pytest.param("slice", [(3, 4)], whole, id="a slice of whole rows")


@pytest.mark.parametrize(("op", "shapes", "attrs"), list(cases()))
def test_a_kept_factor_is_read_at_its_own_position(op, shapes, attrs):
    """Against NumPy: each element of the result is followed to where it comes from."""
    graph, node = moved(op, shapes, attrs)
    axes = Factoring(graph)
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    numbered = [
        np.arange(low, high).reshape(shape)
        for low, high, shape in zip(ends, ends[1:], shapes, strict=False)
    ]
    attrs = {**attrs, "value": -1} if "value" in attrs else attrs
    found = OPS[op].reference(*numbered, **attrs).reshape(axes.flat(node))
    for operand, kept in axes.moves(graph[node]):
        low, high = ends[operand], ends[operand + 1]
        for position, element in np.ndenumerate(found):
            if low <= element < high:
                source = np.unravel_index(element - low, axes.flat(operand))
                for k, at in zip(kept, source, strict=True):
                    assert k is None or position[k] == at


@pytest.mark.parametrize(
    ("op", "shape", "attrs", "kept"),
    [
        ("transpose", (3, 4), {"perm": (1, 0)}, (1, 0)),
        ("broadcast", (4,), {"shape": (3, 4), "axes": (1,)}, (1,)),
        ("flip", (3, 4), {"axes": (1,)}, (0, None)),
        ("slice", (3, 4), {"start": (0, 1), "step": (1, 1), "shape": (3, 2)}, (0, None)),
        ("pad", (3, 4), {"low": (0, 1), "step": (1, 1), "shape": (3, 6), "value": 0.0}, (0, None)),
        ("reshape", (12, 5), {"shape": (3, 4, 5)}, (0, 1, 2)),
        ("reshape", (6, 5), {"shape": (5, 6)}, (None, None)),
    ],
)
def test_what_a_movement_keeps(op, shape, attrs, kept):
    graph, node = moved(op, [shape], attrs)
    ((_, found),) = Factoring(graph).moves(graph[node])
    assert found == kept


def test_a_map_goes_through_a_chain_of_movements():
    """The transpose of a part of the rows: only the columns are read where the reader is."""
    builder = Builder()
    x = builder.input(Spec((6, 4), F32), "x")
    part = builder.add("slice", (x,), {"start": (1, 0), "step": (1, 1), "shape": (3, 4)})
    turned = builder.add("transpose", (part,), {"perm": (1, 0)})
    graph = builder.finish([turned])
    axes = Factoring(graph)
    ((_, first),) = axes.through(graph[turned], (7, 8))
    assert first == (8, 7)
    assert axes.through(graph[part], first) == [(x, (None, 7))]


def factors_of(shape: tuple[int, ...], *reshapes: tuple[int, ...]) -> list[Any]:
    builder = Builder()
    nodes = [builder.input(Spec(shape, F32), "x")]
    for other in reshapes:
        nodes.append(builder.add("reshape", nodes[-1:], {"shape": other}))
    axes = Factoring(builder.finish(nodes[-1:]))
    return [axes[node] for node in nodes]


def test_a_reshape_cuts_dimensions_where_the_others_begin():
    assert factors_of((12, 64, 5), (768, 5)) == [((12,), (64,), (5,)), ((12, 64), (5,))]


def test_cuts_go_through_several_reshapes():
    both = ((2, 2, 3),)
    assert factors_of((2, 6), (12,), (4, 3)) == [((2,), (2, 3)), both, ((2, 2), (3,))]


def test_extents_that_do_not_lie_within_one_another_stay_whole():
    """6 = 2 x 3 against 3 x 2."""
    assert factors_of((2, 3, 5), (3, 2, 5)) == [((2,), (3,), (5,)), ((3,), (2,), (5,))]


@pytest.mark.parametrize("rows", [2, 4, 6])
def test_the_first_rows_of_an_array_are_no_reshape_of_it(rows):
    """They lie one after the other just as they did, but there are fewer."""
    builder = Builder()
    x = builder.input(Spec((12, 12, 3), F32), "x")
    whole = {"start": (0, 0, 0), "step": (1, 1, 1), "shape": (rows, 12, 3)}
    first = builder.add("slice", (x,), whole)
    axes = Factoring(builder.finish([first]))
    assert axes[x] == ((12,), (12,), (3,))
    assert axes[first] == ((rows,), (12,), (3,))


def test_arrays_without_elements_have_factors():
    assert factors_of((0, 6), (3, 0)) == [((0,), (6,)), ((3,), (0,))]


def test_dimensions_of_a_contraction_are_whole():
    builder = Builder()
    x = builder.input(Spec((12, 4), F32), "x")
    w = builder.input(Spec((4, 6), F32), "w")
    y = builder.add("dot", (x, w), {"contract": ((1,), (0,)), "batch": ((), ())})
    cut = builder.add("reshape", (y,), {"shape": (3, 4, 6)})
    axes = Factoring(builder.finish([cut]))
    assert axes[y] == ((12,), (6,))


@pytest.mark.parametrize("seed", range(40))
def test_factors_multiply_to_extents_and_agree_over_elementwise_nodes(seed):
    graph = draw_case(f"axes {seed}", 16).graph
    axes = Factoring(graph)
    for node in graph:
        assert tuple(int(np.prod(f)) for f in axes[node.id]) == node.shape
        if node.kind is Kind.ELEMENTWISE:
            assert all(axes[a] == axes[node.id] for a in node.args)


def test_runs_of_equal_products_are_the_shortest():
    assert lined_up((2, 3, 4, 5), (6, 20)) == [([0, 1], [0]), ([2, 3], [1])]
    assert lined_up((2, 3), (2, 3)) == [([0], [0]), ([1], [1])]
    assert lined_up((2, 3), (3, 2)) == [([0, 1], [0, 1])]
