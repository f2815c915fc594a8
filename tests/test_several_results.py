"""Nodes with several results, nodes that hold graphs, and nodes that are computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from nests import lowered

import gradc as gd
from gradc.dtypes import Spec
from gradc.errors import UnsupportedError
from gradc.graph import Builder, Graph, verify
from gradc.interpret import interpret, interpret_all
from gradc.ops import OPS, Kind, Op
from gradc.passes.rewrite import Rewriter
from gradc.passes.simplify import simplify
from gradc.passes.squeeze import squeeze_units
from gradc.trace import Value, trace_tree

F64 = np.dtype("float64")


def split_spec(name, args, attrs) -> tuple[Spec, ...]:
    """The first `at` rows, the others, and how many rows there are."""
    (x,) = args
    at, rest = attrs["at"], x.shape[1:]
    return (
        Spec((at, *rest), x.dtype),
        Spec((x.shape[0] - at, *rest), x.dtype),
        Spec((), np.dtype("int32")),
    )


def split_vjp(gs, ys, x, at):
    first, others, _ = (
        g if g is not None else y.astype(F64) * 0 for g, y in zip(gs, ys, strict=True)
    )
    return (first.concat(others, axis=0),)


def body_spec(name, args, attrs) -> tuple[Spec, ...]:
    body = attrs["body"]
    return tuple(body[o].spec for o in body.outputs)


NEW = (
    Op(
        "parted",
        Kind.OWN,
        lambda x, at: (x[:at], x[at:], np.int32(len(x))),
        split_spec,
        lambda: iter(()),
        vjp=split_vjp,
    ),
    Op(
        "run",
        Kind.OWN,
        lambda *arrays, body: tuple(interpret(body, arrays)),
        body_spec,
        lambda: iter(()),
    ),
)


@pytest.fixture(autouse=True)
def new_rows() -> Iterator[None]:
    OPS.update((row.name, row) for row in NEW)
    yield
    for row in NEW:
        del OPS[row.name]


def several(name: str, *operands: Value, **attrs) -> list[Value]:
    owner = operands[0].owner
    maker = owner.add(name, tuple(v.node_id for v in operands), attrs)
    count = len(owner.builder.nodes[maker].results)
    return [Value(owner, owner.add("item", (maker,), {"index": k})) for k in range(count)]


def parted(x: Value) -> list[Value]:
    return several("parted", x, at=2)


X = np.random.default_rng(0).uniform(1, 2, (5, 3))


def test_results_are_read_one_by_one():
    graph = trace_tree(lambda x: parted(x * 2), X).graph
    maker = next(n for n in graph if n.op == "parted")
    assert [len(maker.results), maker.type_text] == [3, "(f64[2, 3], f64[3, 3], i32[])"]
    with pytest.raises(ValueError, match="unpack"):
        _ = maker.shape
    items = [n for n in graph if n.kind is Kind.ITEM]
    assert [n.spec for n in items] == list(maker.results)
    found = interpret(graph, [X])
    for part, expected in zip(found, (X[:2] * 2, X[2:] * 2, 5), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert isinstance(interpret_all(graph, [X])[maker.id], tuple)


def test_the_listing_shows_all_results():
    graph = trace_tree(lambda x: parted(x)[1], X).graph
    assert "#1 parted #0 at=2" in str(graph)
    assert "(f64[2, 3], f64[3, 3], i32[])" in str(graph)
    assert "item #1 index=1" in str(graph)
    assert "shape" not in graph.dag.nodes[1]
    assert graph.dag.nodes[graph.outputs[0]]["shape"] == (3, 3)


def test_one_maker_serves_every_reader():
    graph = trace_tree(lambda x: (parted(x)[0], parted(x)[0], parted(x)[1]), X).graph
    assert [n.op for n in graph] == ["input", "parted", "item", "item"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: (parted(x)[0] ** 2).sum(),
        lambda x: parted(x * x)[0].sum() * (parted(x * x)[1] ** 3).mean(),
        lambda x: (parted(x)[2].astype(F64) * x).sum(),
        lambda x: sum((part * part).sum() for part in parted(parted(x * x)[1])[:2]),
    ],
    ids=["one", "two", "whole number", "nested"],
)
def test_gradients_pass_through_items(loss):
    assert gd.check_grad(loss, X).checked == X.size
    gradient = gd.grad(loss)
    assert gd.check_grad(lambda x: (gradient(x) ** 2).sum(), X).checked == X.size


def test_passes_keep_them():
    x = X.reshape(5, 1, 3)
    graph = trace_tree(lambda x: [p * 1 for p in parted(x * 1)[:2]], x).graph
    expected = interpret(graph, [x])
    for rebuilt in (simplify(graph), squeeze_units(graph), simplify(squeeze_units(graph))):
        verify(rebuilt)
        for found, wanted in zip(interpret(rebuilt, [x]), expected, strict=True):
            np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_there_is_no_c_for_them_yet():
    graph = trace_tree(lambda x: parted(x)[0], X).graph
    with pytest.raises(UnsupportedError, match="`parted` cannot be compiled to C") as caught:
        lowered(graph)
    assert "owner.add(" in caught.value.diagnostic.labels[0].span.text


def broken(graph: Graph, node_id: int, **changes) -> Graph:
    nodes = {**graph.nodes, node_id: replace(graph[node_id], **changes)}
    return Graph(MappingProxyType(nodes), graph.inputs, graph.outputs)


def test_verify_knows_what_may_read_several_results():
    graph = trace_tree(lambda x: parted(x)[0] * 2, X).graph
    product = graph.outputs[0]
    verify(graph)
    for bad in (
        broken(graph, product, args=(1, 1)),  # reads the maker itself
        broken(graph, 2, args=(0,)),  # an item of one array
        broken(graph, 2, attrs={"index": 2}),  # another result than it says
        broken(graph, 1, results=graph[1].results[:2]),
        Graph(graph.nodes, graph.inputs, (1,)),
    ):
        with pytest.raises((AssertionError, IndexError)):
            verify(bad)


# Graphs in nodes


def body(constant: float) -> Graph:
    return gd.trace(lambda x: (x * constant, gd.sin(x)), gd.f64[5, 3])


def test_graphs_are_the_same_when_they_compute_the_same():
    shifted = Builder()
    shifted.constant(7.0, F64)
    x = shifted.input(gd.f64[5, 3], "y")
    two = shifted.add("broadcast", (shifted.constant(2.0, F64),), {"shape": (5, 3), "axes": ()})
    outs = [shifted.add("mul", (x, two)), shifted.add("sin", (x,))]
    assert simplify(shifted.finish(outs)).key == simplify(body(2.0)).key
    assert body(2.0).key == body(2.0).key != body(3.0).key
    assert hash(body(2.0).key) == hash(body(2.0).key)


def test_equal_bodies_make_one_node_and_are_shown_under_it():
    def program(x):
        first, second = several("run", x, body=body(2.0)), several("run", x, body=body(2.0))
        return first[0] + second[1] + several("run", x, body=body(3.0))[0]

    graph = trace_tree(program, X).graph
    makers = [n for n in graph if n.op == "run"]
    assert [m.attrs["body"].key for m in makers] == [body(2.0).key, body(3.0).key]
    assert makers[0].bodies == (makers[0].attrs["body"],)
    np.testing.assert_allclose(interpret(graph, [X])[0], X * 5 + np.sin(X))
    lines = str(graph).splitlines()
    start = next(k for k, line in enumerate(lines) if " run " in line)
    assert "body=<" in lines[start]
    assert lines[start + 1].startswith("    #0 input ")
    assert any(line.startswith("    return #") for line in lines)
    assert graph.dag.nodes[makers[0].id]["bodies"] == [makers[0].bodies[0].dag]


def test_verify_looks_into_bodies_of_bodies():
    inner = body(2.0)
    middle = trace_tree(lambda x: several("run", x, body=inner)[0], X).graph
    bad = broken(inner, inner.outputs[0], results=(gd.f32[5, 3],))
    maker = next(n for n in middle if n.op == "run")
    for graph, right in ((middle, True), (broken(middle, maker.id, attrs={"body": bad}), False)):
        outer = Builder()
        made = outer.add("run", (outer.input(gd.f64[5, 3], "x"),), {"body": graph})
        whole = outer.finish([made])
        if right:
            verify(whole)
        else:
            with pytest.raises(AssertionError):
                verify(whole)


def test_inputs_ascend():
    b = Builder()
    first, second = b.input(gd.f64[2], "a"), b.input(gd.f64[2], "b")
    graph = b.finish([b.add("sub", (first, second))])
    with pytest.raises(AssertionError, match="out of order"):
        verify(Graph(graph.nodes, (second, first), graph.outputs))


# Nodes that are computed again


def test_a_clone_is_a_node_of_its_own_through_every_pass():
    b = Builder()
    x = b.input(gd.f64[4], "x")
    ids = [b.add("exp", (x,), clone=k) for k in (0, 1, 1, 0)]
    assert ids == [ids[0], ids[1], ids[1], ids[0]]
    assert ids[0] != ids[1]
    graph = b.finish([b.add("sin", (ids[0],)), b.add("cos", (ids[1],))])
    rewriter = Rewriter(graph)
    for rebuilt in (rewriter.run(rewriter.copy), simplify(graph), squeeze_units(graph)):
        assert sorted(n.clone for n in rebuilt if n.op == "exp") == [0, 1]


def test_what_is_unique_stays_unique_in_a_copy():
    b = Builder()
    x = b.input(gd.f64[4], "x")
    marks = [b.add("identity", (x,), unique=True) for _ in range(3)]
    assert len(set(marks)) == 3
    graph = b.finish(marks)
    rewriter = Rewriter(graph)
    assert len(set(rewriter.run(rewriter.copy).outputs)) == 3


def test_only_new_nodes_are_verified_again():
    graph = body(2.0)
    out = graph.outputs[0]
    wrong = broken(graph, out, results=(gd.f32[5, 3],))
    with pytest.raises(AssertionError):
        verify(wrong, graph)
    verify(wrong, wrong)  # its nodes are those that were checked
