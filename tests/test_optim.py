"""Optimizers: the formulas, twenty steps of PyTorch's, and bad settings."""

from __future__ import annotations

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.errors import ArgumentError
from gradc.interpret import interpret
from gradc.trace import trace_tree
from gradc.tree import flatten

SETTINGS = [
    {},
    {"momentum": 0.9},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.8, "dampening": 0.2, "weight_decay": 0.01},
]


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8, rng=0), nn.tanh, nn.Linear(8, 3, rng=1))


def batches(count: int):
    rng = np.random.default_rng(2)
    for _ in range(count):
        x = rng.normal(size=(16, 4)).astype(np.float32)
        yield x, rng.integers(0, 3, 16).astype(np.int32)


def run_steps(optimizer: optim.SGD, params, count: int, lr: float) -> tuple[dict, list[float]]:
    """`count` training steps, traced once and interpreted."""

    def step(params, state, x, y, lr):
        loss, grads = gd.value_and_grad(lambda m: nn.cross_entropy(m(x), y))(params)
        return *optimizer.update(params, grads, state, lr), loss

    state = optimizer.init(params)
    args = (params, state, *next(batches(1)), np.float32(lr))
    traced = trace_tree(step, *args)
    losses = []
    for x, y in batches(count):
        leaves = flatten((params, state, x, y, np.float32(lr)))[0]
        results = interpret(traced.graph, traced.arrays(leaves))
        params, state, loss = traced.out_tree.unflatten(results)
        losses.append(float(loss))
    return params.parameters(), losses


@pytest.mark.peers
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_twenty_steps_are_pytorchs(settings):
    torch = pytest.importorskip("torch")
    ours = model()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for parameter, array in zip(theirs.parameters(), ours.parameters().values(), strict=True):
            parameter.copy_(torch.tensor(np.asarray(array)))
    stepper = torch.optim.SGD(theirs.parameters(), lr=0.1, **settings)
    expected = []
    for x, y in batches(20):
        stepper.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            theirs(torch.tensor(x)), torch.tensor(y, dtype=torch.int64)
        )
        loss.backward()
        stepper.step()
        expected.append(loss.item())
    found, losses = run_steps(optim.SGD(lr=0.1, **settings), ours, 20, 0.1)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for parameter, array in zip(theirs.parameters(), found.values(), strict=True):
        np.testing.assert_allclose(array, parameter.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_formula_at_once_in_numpy(settings):
    """`update` is plain code: on NumPy arrays it computes at once."""
    momentum, decay = settings.get("momentum", 0), settings.get("weight_decay", 0)
    optimizer = optim.SGD(lr=0.1, **settings)
    p, buffer = np.array([1.0, -2.0]), None
    params, state = {"w": p}, optimizer.init({"w": p})
    for k in range(3):
        g = np.array([0.5, 0.25 * k])
        d = g + decay * p
        if momentum:
            dampened = (1 - settings.get("dampening", 0)) * d
            buffer = d if buffer is None else momentum * buffer + dampened
            d = d + momentum * buffer if settings.get("nesterov") else buffer
        p = p - 0.1 * d
        params, state = optimizer.update(params, {"w": g}, state, 0.1)
        np.testing.assert_allclose(params["w"], p, rtol=1e-12)


def test_one_step_down_the_gradient():
    def g(p):
        return (p["x"] + p["y"]) * p["z"]

    p = {"x": 3.0, "y": 5.0, "z": 2.0}
    new, state = optim.SGD(lr=0.1).update(p, gd.grad(g)(p), {}, 0.1)
    np.testing.assert_allclose(list(new.values()), [3 - 0.2, 5 - 0.2, 2 - 0.8])
    assert state == {}


def test_the_state_mirrors_the_parameters():
    state = optim.SGD(momentum=0.9).init(model())
    paths = [path for path, _ in paths_of(state)]
    assert paths[0] == "momentum.layers.0.weight"
    assert all(not buffer.any() for _, buffer in paths_of(state))
    assert optim.SGD().init(model()) == {}


def paths_of(nested):
    leaves, tree = flatten(nested)
    return list(zip(tree.paths(), leaves, strict=True))


def test_tied_parameters_have_one_buffer():
    w = np.ones(3, np.float32)
    state = optim.SGD(momentum=0.9).init({"a": w, "b": w, "c": w.copy()})["momentum"]
    assert state["a"] is state["b"]
    assert state["a"] is not state["c"]


def test_the_learning_rate_takes_the_parameters_dtype():
    specs = {"w": gd.f32[3]}, {"w": gd.f32[3]}, gd.f64[()]
    graph = gd.trace(lambda p, g, lr: optim.SGD().update(p, g, {}, lr)[0], *specs)
    assert graph[graph.outputs[0]].dtype == np.float32


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": -0.1},
        {"momentum": -1},
        {"weight_decay": -1},
        {"nesterov": True},
        {"momentum": 0.9, "dampening": 0.1, "nesterov": True},
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ArgumentError):
        optim.SGD(**settings)


def test_an_optimizer_shows_its_settings():
    assert repr(optim.SGD(lr=0.1, momentum=0.9)) == "SGD(lr=0.1, momentum=0.9)"
