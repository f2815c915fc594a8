"""Entry points as a C programmer reads them: paragraphs by lines of the model, and parts of long
ones.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.emit import parts

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class Deep(nn.Module):
    """Many small layers."""

    def __init__(self, depth: int) -> None:
        rng = np.random.default_rng(0)
        self.layers = [nn.Linear(4, 4, rng=rng) for _ in range(depth)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = np.tanh(layer(x))
        return x


def squares(model: Any, x: Any, y: Any) -> Any:
    return ((model(x) - y) ** 2).mean()


def deep(depth: int) -> Any:
    x = gd.f32[3, 4]
    return gd.train_step(
        squares, Deep(depth), optim.SGD(0.5, momentum=0.9), x, x, name="deep", cflags=["-O1"]
    )


def body(source: str, function: str) -> str:
    found = re.search(rf"^\w[\w ]* {function}\([^;]*?\)\n{{\n(.*?)^}}", source, re.M | re.S)
    assert found is not None, function
    return found[1]


def test_a_step_reads_as_the_model_does(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    source = importlib.import_module("mnist").step().source
    comments = re.findall(r"/\* (?:[A-Z]\w+ pass.*?\n     \* )?(\d.*?) \*/",
                          body(source, "mnist_step"), re.S)  # fmt: skip
    headings = [" ".join(c.replace("\n     *", "").split()) for c in comments]
    assert headings[0] == "1-2: return self.fc2(nn.relu(self.fc1(x))); mnist.py:28"
    assert re.fullmatch(
        r'3: return nn\.cross_entropy\(logits, y\), \{"accuracy": .*\}; mnist\.py:34\.'
        r" Here the backward pass begins\.", headings[1]
    )  # fmt: skip
    assert re.search(r"mnist\.py:28, fc[12] and fc[12]$", headings[2])
    assert headings[-1].endswith(": the rest of the state")


@pytest.mark.parametrize("function", ["mnist_step", "mnist_evaluate", "mnist_predict"])
def test_headings_number_the_calls_below_them(function, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    text = body(importlib.import_module("mnist").step().source, function)
    below = re.split(r"(?:/|     )\* (\d+(?:-\d+)?):", text)[1:]
    number = 1
    for span, lines in zip(below[::2], below[1::2], strict=True):
        calls = len(re.findall(r"^    (?!return)\w+\(", lines, re.M))
        first, _, last = span.partition("-")
        assert (int(first), int(last or first)) == (number, number + calls - 1)
        number += calls
    assert number > 1


def test_a_long_step_is_functions_of_its_phases_and_computes_the_same(monkeypatch):
    monkeypatch.setattr(parts, "MOST_STEPS", 10)
    made = deep(12)
    long = made.source
    names = re.findall(r"^GRADC_PHASE void (\w+)\(", long, re.M)
    steps = [n for n in names if n.startswith("step")]
    phases = [re.sub(r"_\d+$", "", name) for name in steps]
    assert sorted(phases, reverse=True) == phases, "first forward, then backward"
    assert len(set(steps)) == len(steps) > len(set(phases)) == 2
    for name in names:
        calls = re.findall(r"^    \w+\(", body(long, name), re.M)
        assert 0 < len(calls) <= parts.MOST_STEPS
    called = re.findall(r"^    (step_\w+)\(", body(long, "deep_step"), re.M)
    assert called == steps
    monkeypatch.setattr(parts, "MOST_STEPS", 10**6)
    whole = deep(12)
    assert "GRADC_PHASE" not in whole.source
    rng = np.random.default_rng(1)
    for _ in range(3):
        x, y = rng.normal(size=(2, 3, 4)).astype(np.float32)
        assert made(x, y) == whole(x, y)
    for name in made.params:
        np.testing.assert_array_equal(made.params[name], whole.params[name])


def test_however_deep_a_network_is_it_has_the_same_functions():
    count = [len(re.findall(r"^GRADC_KERNEL", deep(n).source, re.M)) for n in (6, 24)]
    assert count[0] == count[1]
