"""The memory plan against the program that runs by it.

The plan says which bytes of the arena are dead when. So a build in which dead bytes are NaN, at the
start of a call and after every kernel, must compute what the ordinary build computes.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.plan import bind, memory, offsets
from gradc.plan.memory import MemoryPlan
from gradc.plan.offsets import Region
from gradc.plan.steps import Run

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ROWS, WIDTH, CLASSES = 16, 24, 5


class Block(nn.Module):
    """A residual block with a normalised, gated branch: many values that live long."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.gate = nn.Linear(WIDTH, WIDTH, rng=rng)
        self.value = nn.Linear(WIDTH, WIDTH, rng=rng)

    def __call__(self, x: Any) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return x + nn.sigmoid(self.gate(scaled)) * np.tanh(self.value(scaled))


class Net(nn.Module):
    def __init__(self, depth: int) -> None:
        rng = np.random.default_rng(0)
        self.blocks = [Block(rng) for _ in range(depth)]
        self.first = nn.Linear(WIDTH, CLASSES, rng=rng)
        self.second = nn.Linear(WIDTH, CLASSES, rng=rng)

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.first(x), self.second(x)


def loss(net: Any, x: Any, y: Any) -> Any:
    """Two heads, one of which also sees what the other says."""
    a, b = net(x)
    value = nn.cross_entropy(a, y) + 0.1 * nn.mse(b, gd.stop_gradient(a))
    return value, {"accuracy": nn.accuracy(a, y), "largest": np.abs(b).max()}


def residual(target: str = "native") -> Any:
    specs = gd.f32[ROWS, WIDTH], gd.i32[ROWS]
    sgd = optim.SGD(lr=0.05, momentum=0.9, weight_decay=1e-3)
    options = {"predict": Net.__call__, "name": "residual", "target": target}
    return gd.train_step(loss, Net(3), sgd, *specs, **options)


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module(name).step()


NAMES = ["residual", "portable", "deep_mlp", "neuron", "mnist"]


def make(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    if name == "portable":
        return residual("portable")
    return residual() if name == "residual" else example(name, monkeypatch)


def batches(step: Any, count: int = 4) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        parts = []
        for spec in step.specs:
            if spec.dtype.kind == "f":
                parts.append(rng.normal(size=spec.shape).astype(spec.dtype))
            else:
                parts.append(rng.integers(0, 2, spec.shape).astype(spec.dtype))
        found.append(tuple(parts))
    return found


def run(step: Any, before_each: Any = lambda: None) -> tuple[list[Any], dict[str, Any]]:
    """(loss, metrics) of a few steps and evaluations, and the state they end in."""
    results = []
    for batch in batches(step):
        for call in (step, step.evaluate):
            before_each()
            results.append(call(*batch))
    return results, step.state_dict()


@pytest.mark.parametrize("name", NAMES)
def test_every_plan_holds_what_it_promises(name, monkeypatch):
    step = make(name, monkeypatch)
    for entry, plan in step.plans.items():
        job = next(j for j in step._core.compiled.jobs if j.name == entry)
        assert len(plan.order) == len(job.plan.steps)
        memory.check(plan.buffers, plan.arena_bytes)
        assert plan.lower_bound <= plan.arena_bytes <= plan.no_reuse_bytes
        assert all(0 <= b.first < b.last <= len(plan.order) for b in plan.buffers)
        assert all(b.offset % memory.ALIGNMENT == 0 for b in plan.buffers)


@pytest.mark.parametrize("name", NAMES)
def test_the_c_lays_its_buffers_where_the_plan_says(name, monkeypatch):
    step = make(name, monkeypatch)
    largest = max(plan.arena_bytes for plan in step.plans.values())
    assert (f"Scratch of one call, {-(-largest // 64) * 64:,} bytes" in step.header) == (
        largest > 0
    )
    assert f"sizeof({step.name}_state) == {step.state.memory.size}," in step.source
    for entry, plan in step.plans.items():
        body = body_of(step.source, f"{step.name}_{entry}")
        places = re.findall(r"&arena->[a-z](\d+)\[(\d+)\]", body)
        found = {int(bits) // 8 * int(n) for bits, n in places}
        assert found == {b.offset for b in plan.buffers}


def body_of(source: str, function: str) -> str:
    """The text of one function of the C."""
    start = re.search(rf"^\w+ {function}\([^;{{]*\)\n\{{\n", source, re.MULTILINE)
    assert start is not None
    return source[start.start() : source.index("\n}\n", start.end())]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_arena_holds_before_a_call_does_not_matter(name, monkeypatch):
    expected, state = run(make(name, monkeypatch))
    step = make(name, monkeypatch)

    def soil() -> None:
        for entry in ("step", "evaluate"):
            step._core.entry(entry).arena[...] = 0xFF

    got, soiled = run(step, soil)
    assert got == expected
    assert all(np.array_equal(soiled[k], state[k]) for k in state)
    assert np.isfinite([value for value, _ in got]).all()


def dead_after(plan: MemoryPlan, position: int) -> list[tuple[int, int]]:
    """(offset, bytes) that no later call reads, of the buffers whose last call this is."""
    ranges = []
    for b in plan.buffers:
        if b.last == position + 1:
            kept = max((o.size for o in plan.buffers if o.over == b.id), default=0)
            if b.size > kept:
                ranges.append((b.offset + kept, b.size - kept))
    return ranges


def poisoned(step: Any, entry: str, early: str = "") -> str:
    """The C, but bytes of the arena become NaN as they die; the buffer `early` dies too soon."""
    source, plan = step.source, step.plans[entry]
    compiled = step._core.compiled
    job = next(j for j in compiled.jobs if j.name == entry)
    body = body_of(source, f"{step.name}_{entry}")
    done, rest = "", body
    if plan.arena_bytes:
        head, line, rest = rest.partition(")\n{\n")
        assert line
        done = f"{head}{line}    unsigned char *const base = (unsigned char *)arena;\n"
        done += f"    memset(base, 0xFF, {plan.arena_bytes});\n"
    for position, call in enumerate(job.plan.steps):
        known = compiled.emitted.kernels
        name = known[entry, (position,)][0] if isinstance(call, Run) else "memcpy"
        found = re.search(rf"^    {name}\([^;]*\);\n", rest, re.MULTILINE)
        assert found is not None, f"no call of {name}"
        done, rest = done + rest[: found.end()], rest[found.end() :]
        ranges = dead_after(plan, position)
        if early:
            b = plan[early]
            ranges += [(b.offset, b.size)] if b.first == position else []
        done += "".join(f"    memset(base + {at}, 0xFF, {size});\n" for at, size in ranges)
    include = "#include <string.h>\n"
    source = source.replace(body, done + rest)
    return source if include in source else source.replace("#include", f"{include}#include", 1)


def with_source(step: Any, source: str) -> Any:
    """The step, which must not have been built, with other C."""
    compiled = step._core.compiled
    compiled.emitted = replace(compiled.emitted, source=source)
    return step


@pytest.mark.parametrize("name", NAMES)
def test_filling_dead_buffers_with_nan_changes_no_result(name, monkeypatch):
    expected, state = run(make(name, monkeypatch))
    step = make(name, monkeypatch)
    source = poisoned(step, "step")
    if step.plan.buffers:
        assert source.count("memset(base") > len({b.last for b in step.plan.buffers})
    got, after = run(with_source(step, source))
    for (value, metrics), (wanted, others) in zip(got, expected, strict=True):
        assert value == pytest.approx(wanted, rel=1e-5)
        assert metrics == pytest.approx(others, rel=1e-5)
    for key, value in state.items():
        np.testing.assert_allclose(after[key], value, rtol=1e-4, atol=1e-6)


def test_a_buffer_that_dies_too_soon_is_noticed(monkeypatch):
    """The test above can fail: each buffer that outlives its kernel matters to the result."""
    step = example("deep_mlp", monkeypatch)
    lasting = [b.name for b in step.plan.buffers if b.last > b.first + 1]
    assert lasting
    expected, state = run(step)
    for name in lasting[:: max(1, len(lasting) // 3)]:
        other = example("deep_mlp", monkeypatch)
        got, after = run(with_source(other, poisoned(other, "step", early=name)))
        same = all(np.array_equal(after[k], state[k]) for k in state)
        assert not (same and got == expected), f"`{name}` is never read"


@pytest.mark.parametrize("name", ["residual", "deep_mlp"])
def test_writing_in_place_changes_no_bit(name, monkeypatch):
    expected, state = run(make(name, monkeypatch))
    with monkeypatch.context() as patch:
        patch.setattr(bind, "in_place_pairs", lambda kernel: [])
        step = make(name, monkeypatch)
    plan = step.plan
    assert not any(b.over is not None for b in plan.buffers)
    places = {b.name: b.offset for b in plan.buffers}
    buffers = [Region(b.name, b.size, memory.ALIGNMENT, b.first, b.last) for b in plan.buffers]
    offsets.check(buffers, places, plan.arena_bytes)
    got, after = run(step)
    assert got == expected
    assert all(after[k].tobytes() == state[k].tobytes() for k in state)
    assert make(name, monkeypatch).plan.arena_bytes <= plan.arena_bytes
