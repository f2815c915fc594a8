"""Inspection: nodes, kernels and memory agree with the program, as text and as data."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import optim
from gradc.errors import ArgumentError
from gradc.inspect import kernels_text, memory_text, node_text, summary_text, view_of
from gradc.inspect.data import _plain, kernel_data, node_data, plan_data, view_data
from gradc.inspect.view import View, _ranges


def loss(p: Any, x: Any, y: Any) -> Any:
    h = np.tanh(x @ p["w"])  # the line of the tests below
    return ((h @ p["v"] - y) ** 2).mean()


LINE = loss.__code__.co_firstlineno + 1


@pytest.fixture(scope="module")
def step() -> Any:
    rng = np.random.default_rng(0)
    shapes = {"w": (5, 7), "v": (7, 3)}
    parameters = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    return gd.train_step(
        loss, parameters, optim.SGD(lr=0.1), gd.f32[16, 5], gd.f32[16, 3], name="net"
    )


@pytest.fixture(scope="module")
def view(step: Any) -> View:
    return view_of(step)


def node(view: View, op: str, *, gradient: bool = False) -> Any:
    entry = view.entry()
    return next(n for n in entry.graph if n.op == op and (n.of is not None) == gradient)


def test_a_view_holds_the_program(view: View, step: Any) -> None:
    assert (view.name, view.source, view.header) == ("net", step.source, step.header)
    assert list(view.entries) == ["step", "evaluate"]
    assert view.entry() is view.entries["step"]
    assert view.entry("evaluate").name == "evaluate"
    assert view.entry().plan is step.plan
    names = [k.name for e in view.entries.values() for k in e.kernels]
    assert names == [k.name for k in step.kernels]


def test_the_node_view_says_where_a_value_comes_from_and_goes(view: View) -> None:
    tanh = node(view, "tanh")
    entry = view.entry()
    lines = node_text(view, entry, tanh).splitlines()
    number = entry.kernel_of(tanh.id)
    assert number is not None
    assert lines[0] == f"#{tanh.id} tanh `h`  f32[16, 7]  forward, kernel {number}"
    facts = dict(line.strip().split(maxsplit=1) for line in lines[1:])
    assert list(facts) == ["python", "in", "out", "buffer", "C", "cost"]
    assert facts["python"].startswith(f"test_inspect.py:{LINE}:9    h = np.tanh(x @ p[")
    assert facts["in"] == view.entry().graph.label(tanh.args[0])
    assert f"gradient of #{tanh.id}" in facts["out"]
    assert "saved for backward" in facts["buffer"]
    planned = entry.plan[entry.places[tanh.id].name]
    assert facts["buffer"].startswith(f"offset {planned.offset}, ")
    assert facts["C"].startswith("net.c:")
    assert "% of step" in facts["cost"]


def test_the_lines_of_c_are_those_of_the_node(view: View) -> None:
    tanh = node(view, "tanh")
    text = view.source.splitlines()
    own = [text[n - 1] for a, b in view.entry().lines[tanh.id] for n in range(a, b + 1)]
    assert any("gradc_tanh" in line for line in own)


def test_the_node_views_of_other_kinds(view: View) -> None:
    entry = view.entry()
    texts = {n.id: node_text(view, entry, n) for n in entry.graph}
    first = next(n for n in entry.graph if n.name == "w")
    assert f"#{first.id} input `w`  f32[5, 7]  input" in texts[first.id]
    assert "buffer   state `w`, 140 B" in texts[first.id]
    argument = next(n for n in entry.graph if n.name == "x")
    assert "buffer   argument `x`" in texts[argument.id]
    gradients = [n for n in entry.graph if n.of is not None and n.op != "const"]
    assert gradients
    for n in gradients:
        assert f"backward, gradient of #{n.of}" in texts[n.id]
    assert any("none: computed where it is used" in t for t in texts.values())


def test_nodes_are_found_by_the_line_they_came_from(view: View) -> None:
    entry = view.entry()
    found = entry.at("test_inspect.py", LINE)
    assert {"dot", "tanh"} <= {n.op for n in found}
    assert entry.at("tests/test_inspect.py", LINE) == found
    assert entry.at(__file__, LINE) == found
    assert entry.at("inspect.py", LINE) == []
    assert entry.at("test_inspect.py", 1) == []


def test_what_is_not_there_is_said(view: View) -> None:
    last = list(view.entry().graph.nodes)[-1]
    with pytest.raises(ArgumentError, match=f"has no node 9999: its ids are 0 to {last}"):
        view.entry().node(9999)
    with pytest.raises(ArgumentError, match="it has `step`, `evaluate`"):
        view.entry("predict")


def test_the_tables(view: View) -> None:
    entry = view.entry()
    summary = summary_text(view).splitlines()
    assert summary[0].startswith("net: ")
    assert [line.split()[0] for line in summary[1:4]] == ["entry", "step", "evaluate"]
    kernels = kernels_text(entry).splitlines()
    assert len(kernels) == 1 + len(entry.kernels)
    for line, kernel in zip(kernels[1:], entry.kernels, strict=True):
        assert kernel.name in line
        assert f"{kernel.flops:,}" in line
        assert f"{kernel.lines[0]}-{kernel.lines[1]}" in line
    assert all(buffer.name in memory_text(entry) for buffer in entry.plan.buffers)


def test_the_data_is_json_and_complete(view: View) -> None:
    entry = view.entry()
    nodes = json.loads(json.dumps([node_data(entry, n) for n in entry.graph], allow_nan=False))
    assert [n["id"] for n in nodes] == list(entry.graph.nodes)
    tanh = next(n for n in nodes if n["op"] == "tanh")
    assert tanh["shape"] == [16, 7]
    assert tanh["source"]["line"] == LINE
    assert tanh["source"]["column"] == 9
    assert tanh["place"]["kind"] == "arena"
    kernels = json.loads(json.dumps([kernel_data(k) for k in entry.kernels], allow_nan=False))
    assert [k["name"] for k in kernels] == [k.name for k in entry.kernels]
    plan = json.loads(json.dumps(plan_data(entry.plan), allow_nan=False))
    assert plan["arena_bytes"] == entry.plan.arena_bytes
    assert len(plan["buffers"]) == len(entry.plan.buffers)
    summary = json.loads(json.dumps(view_data(view), allow_nan=False))
    assert summary["entries"]["step"]["kernels"] == len(entry.kernels)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.arange(3), [0, 1, 2]),
        (np.zeros((10, 10)), {"shape": [10, 10]}),
        (np.dtype("float32"), "float32"),
        (((0,), (1, 2)), [[0], [1, 2]]),
        (math.inf, "inf"),
        (2.5, 2.5),
        (True, True),
    ],
)
def test_attributes_as_data(value: Any, plain: Any) -> None:
    assert _plain(value) == plain


def test_ranges_of_lines() -> None:
    assert list(_ranges([3, 4, 5, 9, 11, 12])) == [(3, 5), (9, 9), (11, 12)]


def test_functions_and_programs_have_views() -> None:
    function = gd.compile(lambda x: x * 2, gd.f32[4], name="twice")
    assert list(view_of(function).entries) == ["twice"]
    assert "twice" in summary_text(view_of(function))

    def act(state: Any, x: Any) -> Any:
        return state["w"] * x

    program = gd.program("agent", {"w": np.ones(4, np.float32)}, act=gd.query(act, gd.f32[4]))
    view = view_of(program)
    assert list(view.entries) == ["act"]
    assert view.state_arrays == 1
