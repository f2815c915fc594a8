"""The builder, the checker, the listing, the networkx view, and the interpreter."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import networkx as nx
import numpy as np
import pytest

import gradc as gd
from gradc.errors import DataError, ShapeError
from gradc.graph import Builder, Graph, verify
from gradc.interpret import interpret, interpret_all


def square_plus_one() -> Graph:
    return gd.trace(lambda x: x * x + 1, gd.f32[3])


def test_the_same_computation_is_one_node():
    b = Builder()
    x = b.input(gd.f32[3], "x")
    assert b.add("exp", (x,)) == b.add("exp", (x,))
    assert b.add("identity", (x,), unique=True) != b.add("identity", (x,), unique=True)
    other = b.input(gd.f32[3], "y")
    assert other != x


def test_constants_are_told_apart_by_their_bits():
    b = Builder()
    f32, f64 = np.dtype("float32"), np.dtype("float64")
    ids = {b.constant(v, f32) for v in (0.0, -0.0, 1.0, np.nan)}
    assert len(ids) == 4
    assert b.constant(np.nan, f32) == b.constant(np.nan, f32)
    assert b.constant(1.0, f32) != b.constant(1.0, f64)
    assert b.constant([1.0, 2.0], f32) != b.constant([[1.0, 2.0]], f32)


def test_a_name_is_given_once():
    b = Builder()
    x = b.input(gd.f32[3], "x")
    b.rename(x, "other")
    assert b.nodes[x].name == "x"
    e = b.add("exp", (x,))
    b.add("exp", (x,), name="h")
    assert b.nodes[e].name == "h"


def test_finish_drops_what_no_output_needs_and_keeps_inputs():
    b = Builder()
    x, unused = b.input(gd.f32[3], "x"), b.input(gd.f32[2], "unused")
    b.add("exp", (x,))
    y = b.add("sin", (x,))
    graph = b.finish([y, y])
    assert list(graph.nodes) == [x, unused, y]
    assert graph.outputs == (y, y)


def test_the_dag_is_a_networkx_graph_in_id_order():
    graph = square_plus_one()
    assert isinstance(graph.dag, nx.DiGraph)
    assert nx.is_directed_acyclic_graph(graph.dag)
    assert list(nx.lexicographical_topological_sort(graph.dag)) == list(graph.nodes)
    product = next(n for n in graph if n.op == "mul")
    assert product.args == (0, 0)  # twice in the node, one edge in the dag
    assert list(graph.dag.predecessors(product.id)) == [0]
    assert graph.dag.nodes[product.id]["node"] is product
    assert graph.users[0] == (product.id,)


def test_the_listing_shows_ops_types_and_places():
    text = str(square_plus_one())
    assert "mul #0 #0" in text
    assert "f32[3]" in text
    assert "test_graph.py:" in text
    assert text.splitlines()[-1].startswith("return #")
    long = repr(gd.trace(lambda x: sum((x + i for i in range(9)), start=0 * x), gd.f32[3]))
    assert len(long.splitlines()) <= 12


def broken(graph: Graph, node_id: int, **changes) -> Graph:
    nodes = dict(graph.nodes)
    nodes[node_id] = replace(nodes[node_id], **changes)
    return Graph(MappingProxyType(nodes), graph.inputs, graph.outputs)


def test_verify_finds_every_broken_invariant():
    graph = square_plus_one()
    verify(graph)
    last = graph.outputs[0]
    for bad in (
        broken(graph, last, results=(gd.f32[4],)),
        broken(graph, last, results=(gd.f64[3],)),
        broken(graph, 1, args=(last, last)),
        broken(graph, last, id=99),
        Graph(graph.nodes, (last,), graph.outputs),
        Graph(graph.nodes, graph.inputs, (99,)),
    ):
        with pytest.raises((AssertionError, KeyError)):
            verify(bad)


def test_the_interpreter_computes_every_node_in_its_dtype():
    graph = square_plus_one()
    x = np.array([1, 2, 3], np.float32)
    (y,) = interpret(graph, [x])
    np.testing.assert_array_equal(y, x * x + 1)
    values = interpret_all(graph, [x])
    assert set(values) == set(graph.nodes)
    for node_id, value in values.items():
        assert value.dtype == graph[node_id].dtype
        assert value.shape == graph[node_id].shape


def test_the_interpreter_checks_its_inputs():
    graph = square_plus_one()
    with pytest.raises(ShapeError, match=r"input `x` is f32\[3\], got f32\[4\]"):
        interpret(graph, [np.zeros(4, np.float32)])
    with pytest.raises(ShapeError, match=r"got f64\[3\]"):
        interpret(graph, [np.zeros(3)])
    with pytest.raises(DataError, match="1 inputs, got 2"):
        interpret(graph, [np.zeros(3), np.zeros(3)])


def test_an_output_is_an_array_of_its_own():
    graph = gd.trace(lambda x: (x, x), gd.f32[3])
    x = np.zeros(3, np.float32)
    first, second = interpret(graph, [x])
    first[:] = 1
    assert not x.any()
    assert not second.any()
