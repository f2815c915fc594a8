"""Programs: one state, several entry points, checked against the same code run by NumPy.

The functions that are compiled also run at once on arrays, so most expectations are what the very
same Python gives without a compiler.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.errors import ShapeError, UnsupportedError

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def copied(value: Any) -> Any:
    return np.array(value, order="C")


# --- an agent that acts and learns over one state ---


class Net(nn.Module):
    def __init__(self, sizes: tuple[int, ...], seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.fc1 = nn.Linear(sizes[0], sizes[1], rng=draw)
        self.fc2 = nn.Linear(sizes[1], sizes[2], rng=draw)

    def __call__(self, x: Any) -> Any:
        return self.fc2(np.tanh(self.fc1(x)))


SGD = optim.SGD(momentum=0.9)


def act(state: Any, observation: Any) -> Any:
    scores = state["net"](observation)
    return {"scores": scores, "action": np.argmax(scores, axis=0)}


def learn(state: Any, observations: Any, targets: Any) -> Any:
    def loss(net: Any) -> Any:
        return ((net(observations) - targets) ** 2).mean()

    value, gradients = gd.value_and_grad(loss)(state["net"])
    net, opt = SGD.update(state["net"], gradients, state["opt"], 0.1)
    return {"net": net, "opt": opt, "seen": state["seen"] + observations.shape[0]}, value


def first_state() -> Any:
    net = Net((4, 8, 3))
    return {"net": net, "opt": SGD.init(net), "seen": np.int32(0)}


@pytest.fixture(scope="module")
def agent() -> Any:
    return gd.program(
        "agent",
        first_state(),
        act=gd.query(act, gd.f32[4]),
        learn=gd.update(learn, gd.f32[32, 4], gd.f32[32, 3]),
    )


def test_an_agent_acts_and_learns_over_one_state(agent):
    observation, batch = normal(4), (normal(32, 4), normal(32, 3))
    state = first_state()
    for k in range(5):
        expected, got = act(state, observation), agent.act(observation)
        assert sorted(got) == ["action", "scores"]
        np.testing.assert_allclose(got["scores"], expected["scores"], rtol=1e-5, atol=1e-6)
        assert got["action"] == expected["action"]
        state, value = learn(state, *batch)
        assert agent.learn(*batch) == pytest.approx(float(value), rel=1e-5)
        assert agent.state["seen"] == 32 * (k + 1)
    for path in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
        expected = state["net"].parameters()[path]
        np.testing.assert_allclose(agent.state[f"net.{path}"], expected, rtol=1e-4, atol=1e-6)


def test_the_state_has_every_array_by_its_path(agent):
    params = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    expected = [f"net.{p}" for p in params] + [f"opt.momentum.{p}" for p in params] + ["seen"]
    assert list(agent.state) == expected
    assert agent.state["net.fc1.weight"].shape == (8, 4)
    with pytest.raises(KeyError, match=r"net\.fc1\.weight"):
        agent.state["net.fc9.weight"]


def test_a_query_changes_nothing_and_is_const_in_c(agent):
    before = agent.state.memory.tobytes()
    agent.act(normal(4))
    assert agent.state.memory.tobytes() == before
    assert re.search(r"agent_act\(\s*const agent_state \*state", agent.header)
    assert re.search(r"agent_learn\(\s*agent_state \*state", agent.header)


def test_what_is_written_through_a_view_is_what_the_next_call_reads(agent):
    kept = copied(agent.state["net.fc2.weight"]), copied(agent.state["net.fc2.bias"])
    agent.state["net.fc2.weight"][...] = 0
    agent.state["net.fc2.bias"][...] = [1, 3, 2]
    out = agent.act(normal(4))
    assert out["scores"].tolist() == [1, 3, 2]
    assert out["action"] == 1
    agent.state["net.fc2.weight"][...], agent.state["net.fc2.bias"][...] = kept


def test_an_entry_point_can_be_kept_and_takes_arguments_by_name():
    kept = gd.program("kept", {"a": np.ones(3, np.float32)}, dot=gd.query(weighted, gd.f32[3]))
    dot, x = kept.dot, np.arange(3, dtype=np.float32)
    assert dot(x) == dot(x=x) == kept.dot(x=x) == 3
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        kept.dot(y=x)


def weighted(state: Any, x: Any) -> Any:
    return (state["a"] * x).sum()


def test_outputs_of_two_calls_are_arrays_of_their_own(agent):
    first = agent.act(normal(4))["scores"]
    kept = first.copy()
    agent.act(normal(4))
    assert (first == kept).all()


def test_a_program_shows_what_it_is(agent):
    text = repr(agent)
    assert "agent" in text
    assert "learn" in text
    assert "update" in text
    assert len(text.splitlines()) <= 12
    assert {"act", "learn"} <= set(dir(agent))
    assert {"act", "learn"} == set(agent.plans)
    assert "tanh" in {node.op for node in agent.graph("act")}
    with pytest.raises(AttributeError, match="`act`, `learn`"):
        agent.forget()


# --- two updates and a query over one state, as a GAN has them ---


def sharpen(state: Any, real: Any) -> Any:
    """Moves the critic only."""

    def loss(critic: Any) -> Any:
        made = state["maker"]["scale"] * real + state["maker"]["shift"]
        return (critic["w"] * made).mean() - (critic["w"] * real).mean()

    value, gradient = gd.value_and_grad(loss)(state["critic"])
    return {**state, "critic": {"w": state["critic"]["w"] - 0.1 * gradient["w"]}}, value


def deceive(state: Any, noise: Any) -> Any:
    """Moves the maker only."""

    def loss(maker: Any) -> Any:
        return -(state["critic"]["w"] * (maker["scale"] * noise + maker["shift"])).mean()

    value, gradient = gd.value_and_grad(loss)(state["maker"])
    old = state["maker"]
    return {**state, "maker": {k: old[k] - 0.1 * gradient[k] for k in old}}, value


def test_two_updates_of_different_parts_of_one_state():
    state = {
        "maker": {"scale": normal(3), "shift": normal(3)},
        "critic": {"w": normal(3)},
    }
    batch = gd.f32[8, 3]
    program = gd.program(
        "gan",
        state,
        sharpen=gd.update(sharpen, batch),
        deceive=gd.update(deceive, batch),
        make=gd.query(lambda s, z: s["maker"]["scale"] * z + s["maker"]["shift"], gd.f32[3]),
    )
    for _ in range(4):
        data = normal(8, 3)
        before = copied(program.state["maker.scale"])
        state, expected = sharpen(state, data)
        assert program.sharpen(data) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
        assert (program.state["maker.scale"] == before).all()
        before = copied(program.state["critic.w"])
        state, expected = deceive(state, data)
        assert program.deceive(data) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
        assert (program.state["critic.w"] == before).all()
    z = normal(3)
    made = state["maker"]["scale"] * z + state["maker"]["shift"]
    np.testing.assert_allclose(program.make(z), made, rtol=1e-4, atol=1e-6)


# --- states of every kind of container ---


@dataclass
class Pair:
    left: Any
    right: Any


Named = namedtuple("Named", "left right")

CONTAINERS = {
    "dict": (lambda a, b: {"left": a, "right": b}, ["left", "right"]),
    "list": (lambda a, b: [a, b], ["0", "1"]),
    "tuple": (lambda a, b: (a, b), ["0", "1"]),
    "named tuple": (Named, ["left", "right"]),
    "dataclass": (Pair, ["left", "right"]),
    "nested": (lambda a, b: {"x": [Pair(a, (b,))]}, ["x.0.left", "x.0.right.0"]),
}


def doubled(value: Any) -> Any:
    """The same nesting, each array doubled."""
    match value:
        case Pair():
            return Pair(doubled(value.left), doubled(value.right))
        case Named():
            return Named(doubled(value.left), doubled(value.right))
        case dict():
            return {k: doubled(v) for k, v in value.items()}
        case list() | tuple():
            return type(value)([doubled(v) for v in value])
    return value * 2


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_state_is_any_nesting_of_arrays(kind):
    make, paths = CONTAINERS[kind]
    a, b = normal(2, 3), normal(4)
    program = gd.program(
        "nest",
        make(a, b),
        double=gd.update(lambda s, x: (doubled(s), s), gd.f32[2]),
        read=gd.query(lambda s: s),
    )
    assert list(program.state) == paths
    out = program.double(normal(2))
    assert type(out) is type(make(a, b))
    read = program.read()
    for path, before in zip(paths, (a, b), strict=True):
        assert (program.state[path] == 2 * before).all()
    assert type(read) is type(make(a, b))


def test_a_lone_array_is_a_state_too():
    program = gd.program(
        "lone", normal(3) * 0, add=gd.update(lambda s, x: (s + x, None), gd.f32[3])
    )
    assert program.add(np.arange(3, dtype=np.float32)) is None
    assert program.state["value"].tolist() == [0, 1, 2]


def test_numbers_in_a_state_take_their_default_dtypes():
    state = {"a": 1.5, "n": 3, "on": True, "wide": np.float64(2)}
    program = gd.program(
        "numbers",
        state,
        step=gd.update(lambda s: ({**s, "a": s["a"] * 2, "n": s["n"] + 1}, s["wide"] * 2)),
    )
    dtypes = {name: str(view.dtype) for name, view in program.state.items()}
    assert dtypes == {"a": "float32", "n": "int32", "on": "bool", "wide": "float64"}
    assert program.step() == 4
    assert (float(program.state["a"]), int(program.state["n"])) == (3, 4)


def test_a_state_in_foreign_byte_order_is_stored_in_the_machines_own():
    program = gd.program(
        "order", {"a": np.arange(3, dtype=">f4")}, read=gd.query(lambda s: s["a"] * 1)
    )
    assert program.state["a"].dtype == np.float32
    assert program.read().tolist() == [0, 1, 2]


def test_the_order_of_a_new_states_dicts_does_not_matter():
    program = gd.program(
        "reordered",
        {"a": np.zeros(3, np.float32), "b": np.ones(2, np.float32)},
        step=gd.update(lambda s: ({"b": s["b"] + 1, "a": s["a"] - 1}, None)),
    )
    program.step()
    assert program.state["a"].tolist() == [-1, -1, -1]
    assert program.state["b"].tolist() == [2, 2]


def test_a_swap_needs_both_old_values():
    program = gd.program(
        "swap",
        {"a": np.zeros(300, np.float32), "b": np.ones(300, np.float32)},
        swap=gd.update(lambda s: ({"a": s["b"], "b": s["a"]}, None)),
        mix=gd.update(lambda s: ({"a": s["a"] + s["b"], "b": s["a"] * s["b"]}, s["a"])),
    )
    program.swap()
    assert program.state["a"].tolist() == [1] * 300
    assert program.state["b"].tolist() == [0] * 300
    program.state["b"][...] = 3
    assert program.mix().tolist() == [1] * 300
    assert program.state["a"].tolist() == [4] * 300
    assert program.state["b"].tolist() == [3] * 300


def test_an_update_may_return_its_argument_and_the_new_state():
    def store(state: Any, x: Any) -> Any:
        new = {"a": x, "b": state["b"] + x}
        return new, (new["b"], state["a"])

    program = gd.program(
        "store",
        {"a": np.zeros(3, np.float32), "b": np.ones(3, np.float32)},
        store=gd.update(store, gd.f32[3]),
    )
    x = np.arange(3, dtype=np.float32)
    new, old = program.store(x)
    assert new.tolist() == [1, 2, 3]
    assert old.tolist() == [0, 0, 0]
    assert program.state["a"].tolist() == [0, 1, 2]
    assert program.state["b"].tolist() == [1, 2, 3]
    new[...] = 9
    assert program.state["b"].tolist() == [1, 2, 3]


# --- ties and layout ---


def test_one_array_by_two_names_is_one_leaf():
    w = normal(3, 3)

    def step(state: Any, x: Any) -> Any:
        y = x @ state["enc"]["w"] @ state["dec"]["w"]
        new = state["enc"]["w"] * 0.5
        return {"enc": {"w": new}, "dec": {"w": new}}, y

    program = gd.program(
        "tied", {"enc": {"w": w}, "dec": {"w": w}}, step=gd.update(step, gd.f32[2, 3])
    )
    assert list(program.state) == ["enc.w"]
    x = normal(2, 3)
    np.testing.assert_allclose(program.step(x), x @ w @ w, rtol=1e-4, atol=1e-5)
    assert (program.state["enc.w"] == w * np.float32(0.5)).all()


def test_tied_names_cannot_be_given_different_values():
    w = normal(3)

    def step(state: Any) -> Any:
        return {"a": state["a"] + 1, "b": state["b"] + 2}, None

    with pytest.raises(UnsupportedError, match="`b` is tied to `a`"):
        gd.program("tied", {"a": w, "b": w}, step=gd.update(step))


@pytest.mark.parametrize("target", ["native", "portable"])
def test_a_matrix_that_is_stored_transposed_is_seen_as_it_was_given(target):
    """Some layout is transposed for `x @ w.T`; which one is no matter to the view."""
    states = {"w": normal(48, 24), "v": normal(24, 48)}

    def step(state: Any, x: Any) -> Any:
        out = x @ state["w"].T + x @ state["v"]
        return {"w": state["w"] * 2, "v": state["v"] - 1}, out

    program = gd.program("layout", states, step=gd.update(step, gd.f32[16, 24]), target=target)
    stored = {m.identifier: m.swapped for m in program._core.compiled.members}
    assert any(stored.values()) or target == "portable"
    for name, value in states.items():
        assert (program.state[name] == value).all()
    x = normal(16, 24)
    expected = x @ states["w"].T + x @ states["v"]
    np.testing.assert_allclose(program.step(x), expected, rtol=1e-4, atol=1e-4)
    assert (program.state["w"] == states["w"] * 2).all()
    assert (program.state["v"] == states["v"] - 1).all()
    program.state["w"][3, 5] = 1000
    before = program.step(x)
    assert abs(before[:, 3]).max() > 100


# --- arguments in nestings ---


def test_arguments_of_entry_points_may_be_nested():
    def step(state: Any, batch: Any, weights: Any) -> Any:
        total = (batch["x"] * weights[0]).sum() + (batch["y"] * weights[1]).sum()
        return {"total": state["total"] + total}, {"seen": (total, batch["x"])}

    specs = {"x": gd.f32[4], "y": gd.f32[2, 2]}, [gd.f32[4], gd.f32[()]]
    program = gd.program("nested", {"total": np.float32(0)}, step=gd.update(step, *specs))
    x, y, w = normal(4), normal(2, 2), normal(4)
    expected = float((x * w).sum() + (y * 2).sum())
    out = program.step({"y": y, "x": x}, [w, 2.0])
    assert out["seen"][0] == pytest.approx(expected, rel=1e-4)
    assert (out["seen"][1] == x).all()
    assert float(program.state["total"]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ShapeError, match=r"missing `batch\.y`; unexpected `batch\.z`"):
        program.step({"x": x, "z": y}, [w, 2.0])
    with pytest.raises(ShapeError, match=r"2 arguments \(batch, weights\), got 1"):
        program.step({"x": x, "y": y})


def test_the_c_of_a_program_does_not_depend_on_the_hash_seed():
    """Sets and dicts of the compiler may order nothing that is printed."""
    code = (
        "import hashlib, numpy as np, gradc as gd\n"
        "def step(s, x):\n"
        "    y = np.tanh(x @ s['w'].T + s['b'])\n"
        "    return {'w': s['w'] * 0.5 + y.T @ x, 'b': s['b'] + y.sum(axis=0)}, (y, y.max())\n"
        "state = {'w': np.ones((5, 7), np.float32), 'b': np.zeros(5, np.float32)}\n"
        "p = gd.program('p', state, step=gd.update(step, gd.f32[3, 7]), target='avx2')\n"
        "print(hashlib.sha256((p.source + p.header).encode()).hexdigest())\n"
    )
    digests = set()
    for seed in ("0", "1", "12345"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1
