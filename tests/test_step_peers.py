"""Training steps beside PyTorch and JAX: gradients, and twenty steps of SGD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stepping import BATCH, FEATURES, ORDER, Net, X, Y, loss

import gradc as gd
from gradc import optim


def gradient_of_a_step(step: Any, x: Any, y: Any) -> dict[str, Any]:
    """What one step with learning rate 1 subtracts."""
    before = {name: value.copy() for name, value in step.params.items()}
    step(x, y, lr=1.0)
    return {name: before[name] - value for name, value in step.params.items()}


@pytest.fixture(scope="module")
def plain() -> Any:
    specs = gd.f32[BATCH, FEATURES], gd.i32[BATCH]
    return gd.train_step(loss, Net(), optim.SGD(lr=1.0), *specs, name="plain")


@pytest.mark.peers
def test_the_gradient_is_pytorchs(plain):
    torch = pytest.importorskip("torch")
    net = Net()
    params = {
        n: torch.tensor(np.asarray(v), requires_grad=True) for n, v in net.parameters().items()
    }
    h = torch.tensor(X[:BATCH]) @ params["fc1.weight"].T + params["fc1.bias"]
    logits = torch.relu(h) @ params["fc2.weight"].T + params["fc2.bias"]
    torch.nn.functional.cross_entropy(logits, torch.tensor(Y[:BATCH]).long()).backward()
    for name, g in gradient_of_a_step(plain, X[:BATCH], Y[:BATCH]).items():
        np.testing.assert_allclose(g, params[name].grad.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.peers
def test_the_gradient_is_jaxs(plain):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    params = {name: np.array(value) for name, value in plain.params.items()}

    def jax_loss(p: Any) -> Any:
        h = jax.nn.relu(X[:BATCH] @ p["fc1.weight"].T + p["fc1.bias"])
        logits = h @ p["fc2.weight"].T + p["fc2.bias"]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(BATCH), Y[:BATCH]])

    expected = jax.grad(jax_loss)(params)
    for name, g in gradient_of_a_step(plain, X[:BATCH], Y[:BATCH]).items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-3, atol=1e-6)


@pytest.mark.peers
@pytest.mark.parametrize("settings", [{"momentum": 0.9, "weight_decay": 1e-2}, {}])
def test_twenty_compiled_steps_are_pytorchs(settings):
    torch = pytest.importorskip("torch")
    net = Net()
    params = {
        n: torch.tensor(np.asarray(v), requires_grad=True) for n, v in net.parameters().items()
    }
    theirs = torch.optim.SGD(list(params.values()), lr=0.05, **settings)
    specs = gd.f32[BATCH, FEATURES], gd.i32[BATCH]
    step = gd.train_step(loss, net, optim.SGD(lr=0.05, **settings), *specs, name="twenty")
    for k in range(20):
        rows = ORDER[k % len(ORDER)]
        theirs.zero_grad()
        h = torch.relu(torch.tensor(X[rows]) @ params["fc1.weight"].T + params["fc1.bias"])
        logits = h @ params["fc2.weight"].T + params["fc2.bias"]
        value = torch.nn.functional.cross_entropy(logits, torch.tensor(Y[rows]).long())
        value.backward()
        theirs.step()
        assert step(X[rows], Y[rows])[0] == pytest.approx(value.item(), rel=1e-4)
    for name, value in step.params.items():
        np.testing.assert_allclose(value, params[name].detach().numpy(), rtol=2e-4, atol=2e-6)
