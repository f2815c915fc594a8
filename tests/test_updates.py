"""Random updates of a state: whatever an update computes, it computes from the old state.

New values are written over old ones wherever no later kernel reads these. Programs of a dozen
random updates, called in random order, find an order of kernels in which that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc as gd

NAMES = ("a", "b", "c")
UPDATES, CALLS = 8, 30
Expression = Callable[[dict[str, Any]], Any]


def expression(rng: np.random.Generator, depth: int) -> Expression:
    """A random function of three square matrices of the state and an argument."""
    if depth == 0:
        name = str(rng.choice([*NAMES, "x"]))
        return lambda v: v[name]
    left, right = expression(rng, depth - 1), expression(rng, int(rng.integers(0, depth)))
    forms: list[Expression] = [
        lambda v: left(v),
        lambda v: left(v).T,
        lambda v: left(v) + right(v),
        lambda v: left(v) * right(v),
        lambda v: left(v) - right(v).T,
        lambda v: np.tanh(left(v) @ right(v)),
        lambda v: np.tanh(left(v).T @ right(v)),
        lambda v: np.maximum(left(v), right(v)),
        lambda v: left(v) - left(v).mean(axis=1, keepdims=True),
        lambda v: left(v)[::-1] + right(v).sum(axis=0),
        lambda v: left(v) * right(v).max(axis=1, keepdims=True),
        lambda v: np.concatenate([left(v)[1:], right(v)[:1]], axis=0),
    ]
    return forms[rng.integers(len(forms))]


def update(rng: np.random.Generator) -> Callable[[Any, Any], Any]:
    """A random update that changes most of the state and has two results."""
    new = {name: expression(rng, int(rng.integers(4))) for name in NAMES}
    kept = str(rng.choice([*NAMES, "none"]))
    result = expression(rng, 2)

    def step(state: Any, x: Any) -> Any:
        values = {**state, "x": x}
        after = {k: state[k] if k == kept else np.tanh(f(values)) for k, f in new.items()}
        return after, (result(values), after["b"].sum())

    return step


@pytest.mark.parametrize("seed", range(5))
def test_an_update_computes_from_the_old_state(seed):
    rng = np.random.default_rng(seed)
    size = (1, 3, 8, 17, 24)[seed]
    steps = {f"update_{k}": update(rng) for k in range(UPDATES)}
    program = gd.program(
        "updates",
        {name: rng.normal(size=(size, size)).astype(np.float32) for name in NAMES},
        target="portable" if seed % 2 else "native",
        **{name: gd.update(step, gd.f32[size, size]) for name, step in steps.items()},
    )
    for _ in range(CALLS):
        name = str(rng.choice(list(steps)))
        x = rng.normal(size=(size, size)).astype(np.float32)
        old = {k: view.copy() for k, view in program.state.items()}
        new, results = steps[name](old, x)
        got = getattr(program, name)(x)
        for k in NAMES:
            np.testing.assert_allclose(program.state[k], new[k], rtol=2e-4, atol=1e-4)
        for value, expected in zip(got, results, strict=True):
            np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-4 * size)
