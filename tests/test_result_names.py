"""What results are called, in the graph, the C and the header; the lines that gradients keep."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradc as gd


def product(x: Any, y: Any, z: Any) -> Any:
    return (x + y) * z


def line_loss(w: Any, x: Any) -> Any:
    return ((x @ w["a"][0] + w["b"]) ** 2).mean()


def with_metric(x: Any, y: Any) -> Any:
    return (x * y).sum(), {"largest": x.max()}


def chosen_names(x: Any, y: Any) -> Any:
    value, gradient = gd.value_and_grad(with_metric, has_aux=True)(x, y)
    return {"loss": value[0], "slope": gradient}


def reordered(x: Any, y: Any) -> Any:
    value, gradients = gd.value_and_grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, y)
    return gradients[1], gradients[0], value, x + 1


def pulled(x: Any, y: Any) -> Any:
    _, pull = gd.vjp(lambda u, v: u * v, x, y)
    return pull(gd.ones((3,)))


VECTOR, SCALAR = gd.f32[3], gd.f64[()]
W = {"a": [gd.f32[3, 2]], "b": gd.f32[2]}
CASES = {
    "value_and_grad": (
        gd.value_and_grad(product, argnums=(0, 1, 2)),
        [SCALAR] * 3,
        ["value", "d_x", "d_y", "d_z"],
    ),
    "one argument": (gd.value_and_grad(product, argnums=1), [SCALAR] * 3, ["value", "d_y"]),
    "grad": (gd.grad(product), [SCALAR] * 3, ["d_x"]),
    "grad of some": (gd.grad(product, argnums=(2, 0)), [SCALAR] * 3, ["d_z", "d_x"]),
    "nested": (gd.value_and_grad(line_loss), [W, gd.f32[4, 3]], ["value", "d_w_a_0", "d_w_b"]),
    "aux": (
        gd.value_and_grad(with_metric, has_aux=True),
        [VECTOR, VECTOR],
        ["value", "aux_largest", "d_x"],
    ),
    "grad with aux": (
        gd.grad(with_metric, has_aux=True),
        [VECTOR, VECTOR],
        ["d_x", "aux_largest"],
    ),
    "second": (gd.value_and_grad(gd.grad(lambda x: x**3)), [SCALAR], ["value", "d_x"]),
    "vjp": (pulled, [VECTOR, VECTOR], ["d_u", "d_v"]),
    "no dependence": (gd.grad(lambda x, y: x.sum(), argnums=(0, 1)), [VECTOR] * 2, ["d_x", "d_y"]),
    "the user's keys": (chosen_names, [VECTOR, VECTOR], ["loss", "slope"]),
    "the user's order": (reordered, [VECTOR, VECTOR], ["d_b", "d_a", "value", "out_3"]),
    "an argument of that name": (gd.grad(lambda x, d_x: x * d_x), [SCALAR] * 2, ["d_x_2"]),
    "no gradient": (lambda x: (x, x + 1), [VECTOR], ["out_0", "out_1"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_results_are_called_what_they_are(case: str) -> None:
    function, specs, names = CASES[case]
    compiled = gd.compile(function, *specs)
    comment = re.search(r"/\* \w+: (.*?) from ", compiled.header, flags=re.DOTALL)
    assert comment is not None
    assert re.findall(r"(\w+) [fi]\d+\[", comment[1]) == names
    (entry,) = compiled.compiled.entries
    assert [a.name for a in entry.outputs] == names


def test_results_have_their_names_in_the_graph() -> None:
    both = gd.value_and_grad(product, argnums=(0, 1, 2))
    traced = gd.trace(both, *[SCALAR] * 3)
    assert [traced[o].name for o in traced.outputs] == ["value", "d_x", "d_x", "d_z"]
    compiled = gd.compile(both, *[SCALAR] * 3).graph  # where each is a node of its own
    assert [compiled[o].name for o in compiled.outputs] == ["value", "d_x", "d_y", "d_z"]


def test_the_loss_of_a_step_has_its_name_in_the_graph() -> None:
    def loss(model: Any, x: Any) -> Any:
        return (model["w"] * x).sum()

    step = gd.train_step(loss, {"w": np.zeros(3, np.float32)}, gd.optim.SGD(), gd.f32[3])
    assert [n.op for n in step.graph if n.name == "loss"] == ["sum"]


COPIES = {
    "an input": (lambda x, y: (x * y).sum(), [VECTOR, VECTOR]),
    "a constant": (lambda x: (x * np.arange(3.0, dtype=np.float32)).sum(), [VECTOR]),
    "ones": (lambda x: x.sum(), [VECTOR]),
    "a transpose": (lambda x, y: (x.T * y).sum(), [gd.f32[3, 2], gd.f32[2, 3]]),
    "a part": (lambda x, y: (x[1:] * y).sum(), [VECTOR, gd.f32[2]]),
    "a broadcast": (lambda x, y: (x * y).sum(), [gd.f32[4, 3], VECTOR]),
    "a scalar": (lambda x, y: x * y, [SCALAR, SCALAR]),
}


@pytest.mark.parametrize("with_value", [False, True])
@pytest.mark.parametrize("case", COPIES)
def test_a_gradient_that_is_a_copy_keeps_its_line(case: str, with_value: bool) -> None:
    function, specs = COPIES[case]
    transform = gd.value_and_grad if with_value else gd.grad
    compiled = gd.compile(transform(function), *specs)
    node = compiled.graph[compiled.graph.outputs[-1]]
    line = f"test_result_names.py:{function.__code__.co_firstlineno}"
    assert node.name == "d_x"
    assert node.span is not None
    assert node.span.short == line
    assert node.of is not None
    assert f"{line} (gradient" in str(compiled.graph)
    above = r"/\*((?:[^*]|\*(?!/))*)\*/\nGRADC_KERNEL void (?:backward|value_and)_d_x\("
    comment = re.search(above, compiled.source)
    assert comment is not None
    assert "d_x = " in comment[1]
    assert f"gradient of {line}" in comment[1]
