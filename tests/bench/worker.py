"""One framework in a process of its own: takes timing requests on stdin, answers on stdout.

Usage: python worker.py gradc|torch|jax [COMPILER]. A request is one line of JSON,
`{"workload": "mnist", "mode": "step" | "many", "steps": 100}`; the answer is one line,
`{"seconds": 0.03, "loss": 2.31}`: the time of that many training steps in a row, and the loss of
the first step that was ever taken with this workload and mode. `many` (gradc only) takes all the
steps in one call. COMPILER is the C compiler that gradc uses, else it is the one gradc finds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache

import numpy as np
from workloads import LEARNING_RATE, WORKLOADS, Workload

Run = Callable[[int], float]  # takes so many steps, returns the loss of the last


def gradc_run(w: Workload, mode: str, compiler: str | None) -> Run:
    import gradc as gd
    from gradc import nn, optim

    activation = getattr(nn, w.activation)

    class MLP(nn.Module):
        def __init__(self) -> None:
            pairs = zip(w.sizes[:-1], w.sizes[1:], strict=True)
            self.layers = [nn.Linear(n, m) for n, m in pairs]

        def __call__(self, x):
            for i, layer in enumerate(self.layers):
                x = activation(layer(x)) if w.activates(i) else layer(x)
            return x

    def loss(model, x, y):
        return getattr(nn, w.loss)(model(x), y)

    x, y = w.data(batches=1 if mode == "step" else 64)
    specs = [gd.spec((w.batch, *a.shape[1:]), a.dtype) for a in (x, y)]
    rule = optim.SGD(lr=LEARNING_RATE)
    name = w.name.replace("-", "_")
    step = gd.train_step(loss, MLP(), rule, *specs, name=name, compiler=compiler)
    for i, (weight, bias) in enumerate(w.parameters()):
        step.params[f"layers.{i}.weight"][...] = weight.T
        step.params[f"layers.{i}.bias"][...] = bias

    def one_by_one(count: int) -> float:
        for _ in range(count):
            value = step(x, y)
        return float(value)

    def all_at_once(count: int) -> float:
        order = np.arange(count * w.batch).reshape(count, w.batch) % len(x)
        return float(step.many((x, y), order)[-1])

    return one_by_one if mode == "step" else all_at_once


def torch_run(w: Workload) -> Run:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    layers: list[nn.Module] = []
    for i, (weight, bias) in enumerate(w.parameters()):
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.append(linear)
        if w.activates(i):
            kinds = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
            layers.append(kinds[w.activation]())
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    x, y = (torch.from_numpy(a) for a in w.data())
    if w.loss == "cross_entropy":
        y = y.long()
    criterion = nn.CrossEntropyLoss() if w.loss == "cross_entropy" else nn.MSELoss()

    def run(count: int) -> float:
        for _ in range(count):
            optimizer.zero_grad()
            value = criterion(model(x), y)
            value.backward()
            optimizer.step()
        return float(value.detach())

    return run


def jax_run(w: Workload) -> Run:
    import jax
    import jax.numpy as jnp

    kinds = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
    activation = kinds[w.activation]

    def loss(params, x, y):
        for i, (weight, bias) in enumerate(params):
            x = x @ weight + bias
            if w.activates(i):
                x = activation(x)
        if w.loss == "mse":
            return jnp.mean((x - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))

    def step(params, x, y):
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads), value

    compiled = jax.jit(step, donate_argnums=0)
    params = jax.tree.map(jnp.asarray, w.parameters())
    x, y = (jnp.asarray(a) for a in w.data())

    def run(count: int) -> float:
        nonlocal params
        for _ in range(count):
            params, value = compiled(params, x, y)
        jax.block_until_ready(params)
        return float(value)

    return run


@cache
def prepared(framework: str, compiler: str | None, workload: str, mode: str) -> tuple[Run, float]:
    """The step, compiled and run once, and its first loss."""
    w = WORKLOADS[workload]
    if framework == "gradc":
        run = gradc_run(w, mode, compiler)
    else:
        run = {"torch": torch_run, "jax": jax_run}[framework](w)
    return run, run(1)


def main() -> None:
    framework, compiler = (*sys.argv[1:], None)[:2]
    for line in sys.stdin:
        request = json.loads(line)
        run, loss = prepared(framework, compiler, request["workload"], request["mode"])
        start = time.perf_counter()
        run(request["steps"])
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "loss": loss}), flush=True)


if __name__ == "__main__":
    main()
