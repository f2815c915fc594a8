"""Every configuration of PyTorch's own table of optimizers: twenty steps are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradc import optim
from gradc.interpret import interpret
from gradc.trace import trace_tree
from gradc.tree import flatten

torch: Any = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which the table's module imports
table: Any = pytest.importorskip("torch.testing._internal.common_optimizers")

pytestmark = pytest.mark.peers

STEPS = 20

# What is not here, and why.
MISSING = {
    "LBFGS": "evaluates the loss several times a step",
    "SparseAdam": "takes sparse gradients alone",
}

CONFIGURATIONS = [
    pytest.param(info.optim_cls, given.kwargs, id=f"{info.optim_cls.__name__}-{given.desc}")
    for info in table.optim_db
    for given in info.optim_inputs_func(device="cpu")
    if info.optim_cls.__name__ not in MISSING
]


def start(theirs: Any, dtype: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Parameters, and a gradient of each for each step; some are zeros."""
    rng = np.random.default_rng(3)
    shapes = {"tall": (6, 4), "wide": (3, 7), "vector": (5,), "stack": (2, 3, 4)}
    if theirs.__name__ == "Muon":  # for matrices alone
        shapes = {"tall": (6, 4), "wide": (3, 7)}
    params = {n: rng.normal(size=s).astype(dtype) for n, s in shapes.items()}
    grads = [{n: rng.normal(size=s).astype(dtype) for n, s in shapes.items()} for _ in range(STEPS)]
    for k in (3, 4):
        grads[k]["wide"][:] = 0
    return params, grads


def steps_of_theirs(theirs: Any, settings: dict[str, Any], dtype: Any) -> dict[str, Any]:
    params, grads = start(theirs, dtype)
    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    stepper = theirs(list(tensors.values()), **settings)
    for grad in grads:
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(grad[name])
        stepper.step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def ours_of(theirs: Any, settings: dict[str, Any]) -> Any:
    plain = {k: float(v) if torch.is_tensor(v) else v for k, v in settings.items()}
    return getattr(optim, theirs.__name__)(**plain)


@pytest.fixture(autouse=True)
def in_the_dtype_of_the_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's Muon iterates in bfloat16; for the comparison it does not."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


@pytest.mark.parametrize(("theirs", "settings"), CONFIGURATIONS)
def test_the_formula_is_pytorchs(theirs: Any, settings: dict[str, Any]) -> None:
    """In float64, at once in NumPy; PyTorch keeps a few scalars in float32 all the same."""
    ours = ours_of(theirs, settings)
    params, grads = start(theirs, np.float64)
    state = ours.init(params)
    for grad in grads:
        params, state = ours.update(params, grad, state, ours.lr)
    for name, expected in steps_of_theirs(theirs, settings, np.float64).items():
        np.testing.assert_allclose(params[name], expected, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("theirs", "settings"), CONFIGURATIONS)
def test_twenty_traced_steps_are_pytorchs_within_rounding(
    theirs: Any, settings: dict[str, Any]
) -> None:
    """In float32; the state keeps its dtypes and shapes."""
    ours = ours_of(theirs, settings)
    params, grads = start(theirs, np.float32)
    state = ours.init(params)
    rate = np.float32(ours.lr)
    traced = trace_tree(ours.update, params, grads[0], state, rate)
    for grad in grads:
        leaves = flatten((params, grad, state, rate))[0]
        before = [np.asarray(leaf) for leaf in flatten((params, state))[0]]
        params, state = traced.out_tree.unflatten(interpret(traced.graph, traced.arrays(leaves)))
        after = [np.asarray(leaf) for leaf in flatten((params, state))[0]]
        assert [(a.shape, a.dtype) for a in after] == [(a.shape, a.dtype) for a in before]
    for name, expected in steps_of_theirs(theirs, settings, np.float32).items():
        np.testing.assert_allclose(params[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_the_table_has_is_here_but_for_what_is_named() -> None:
    names = {info.optim_cls.__name__ for info in table.optim_db}
    assert {name for name in names if not hasattr(optim, name)} == set(MISSING)
    assert len(CONFIGURATIONS) >= 82
