"""Kernels as a C programmer reads them: what they take, in which order, and what is said of it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.emit.passing import Role, operands
from gradc.plan.steps import runs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class Block(nn.Module):
    """A layer norm, attention between two linear layers, and a residual."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.qkv = nn.Linear(16, 48, rng=rng)
        self.proj = nn.Linear(16, 16, rng=rng)
        self.gain = np.ones(16, np.float32)

    def __call__(self, x: Any) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        qkv = self.qkv(centred / np.sqrt(variance + 1e-5) * self.gain)
        q, k, v = (qkv[..., i : i + 16] for i in (0, 16, 32))
        return x + self.proj(gd.softmax(q @ k.mT / 4, axis=-1) @ v)


def squares(model: Any, x: Any, y: Any) -> Any:
    return ((model(x) - y) ** 2).mean()


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    spec = gd.f32[2, 8, 16]
    made = {
        "block": gd.train_step(
            squares, Block(), optim.SGD(1e-3, momentum=0.9), spec, spec, name="block"
        )
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        made |= {name: importlib.import_module(name).step() for name in ("mnist", "neuron")}
    return made


PROGRAMS = ["block", "mnist", "neuron"]


def functions(source: str) -> dict[str, list[tuple[str, str]]]:
    """The parameters of each kernel, by its name: their declarations and comments."""
    found = re.findall(
        r"^GRADC_KERNEL void (\w+)\(\n(.*?)\)( */\*[^\n]*)?\n\{", source, re.M | re.S
    )
    kernels = {}
    for name, text, end in found:
        rows = re.findall(
            r"^ +(?:/\* (.*) \*/\n +)?([^/\n]+?),?(?: +/\* (.*) \*/)?$", text + end, re.M
        )
        kernels[name] = [(declared, above or behind) for above, declared, behind in rows]
    return kernels


ROLES = {"out": 0, "in-out": 1, "in:": 1, "scratch": 4}


@pytest.mark.parametrize("name", PROGRAMS)
def test_parameters_stand_in_one_order_and_say_what_they_are(name, programs):
    kernels = functions(programs[name].source)
    assert kernels
    for parameters in kernels.values():
        roles = []
        for declared, comment in parameters:
            assert re.fullmatch(r"(const )?\w+ (\*restrict )?\w+", declared)
            assert re.fullmatch(
                r"(out|in-out|in: \w+, out: \w+|scratch)? ?(\[[\w, ]+\])?", comment
            ), comment
            role = ROLES.get(comment.partition(" ")[0], 2 if "*" in declared else 3)
            assert declared.startswith("const") == (role == 2)
            roles.append(role)
        assert roles == sorted(roles), parameters


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_roles_are_what_the_plan_says(name, programs):
    for job in programs[name].compiled.jobs:
        for _, call, block in runs(job.plan):
            for o in operands(call, block):
                read = call.uses[o.position].read is not None
                written = call.uses[o.position].written is not None
                expected = {
                    (False, True): {Role.OUT}, (True, True): {Role.IN_OUT},
                    (True, False): {Role.IN, Role.SCALAR}, (False, False): {Role.SCRATCH},
                }  # fmt: skip
                assert o.role in expected[read, written]
                assert (o.over is not None) == (o.role is Role.IN_OUT and o.array.home == "arena")


def test_results_come_first_and_the_loss_before_all(programs):
    kernels = functions(programs["mnist"].source)
    first = [parameters[0][0] for name, parameters in kernels.items() if "loss" in name]
    assert first
    assert set(first) == {"float *restrict loss"}
    names = [declared.split()[-1] for declared, _ in kernels["update_fc1_weight"]]
    assert names == [
        "fc1_weight", "momentum_fc1_weight", "x", "d_fc1", "lr",
    ]  # fmt: skip


def test_what_is_written_over_an_input_is_one_array_under_two_names(programs):
    source = programs["mnist"].source
    overlays = re.findall(r"^ +float \*const (\w+) = (\w+); ", source, re.MULTILINE)
    assert overlays
    marks = set(re.findall(r"/\* in: (\w+), out: (\w+)", source))
    assert marks & {(over, name) for name, over in overlays}
