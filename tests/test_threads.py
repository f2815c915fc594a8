"""Threads: calls into C run side by side, and what shares a state takes turns.

The C is reentrant: all it touches are its arguments, the caller's state and the caller's arena. So
two instances in two threads compute, bit for bit, what each computes alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim

BATCH, FEATURES, CLASSES, STEPS = 16, 20, 4, 300


class Net(nn.Module):
    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.fc1 = nn.Linear(FEATURES, 32, rng=rng)
        self.fc2 = nn.Linear(32, CLASSES, rng=rng)

    def __call__(self, x: Any) -> Any:
        return self.fc2(np.tanh(self.fc1(x)))


def loss(net: Any, x: Any, y: Any) -> Any:
    logits = net(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def make(seed: int) -> Any:
    """The same C for every seed, another state."""
    specs = gd.f32[BATCH, FEATURES], gd.i32[BATCH]
    sgd = optim.SGD(lr=0.05, momentum=0.9)
    return gd.train_step(loss, Net(seed), sgd, *specs, predict=Net.__call__, name="threaded")


def samples(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(256, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, 256).astype(np.int32)


def order(seed: int, steps: int = STEPS) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (steps, BATCH))


def in_threads(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs at once, each in a thread; their results, or the first exception."""
    results: list[Any] = [None] * len(jobs)
    failures: list[BaseException] = []
    together = threading.Barrier(len(jobs))

    def run(k: int, job: Callable[[], Any]) -> None:
        try:
            together.wait()
            results[k] = job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def one_by_one(step: Any, seed: int) -> list[Any]:
    x, y = samples(seed)
    return [step(x[rows], y[rows]) for rows in order(seed)]


def at_once(step: Any, seed: int) -> list[Any]:
    losses, metrics = step.many(samples(seed), order(seed), metrics=True)
    return [*losses.tolist(), *metrics["accuracy"].tolist()]


@pytest.mark.parametrize("train", [one_by_one, at_once])
def test_two_instances_in_two_threads_compute_what_each_computes_alone(train):
    alone = []
    for seed in (1, 2):
        step = make(seed)
        alone.append((train(step, seed), step.state.memory.tobytes()))
    steps = make(1), make(2)
    results = in_threads(lambda: train(steps[0], 1), lambda: train(steps[1], 2))
    assert results == [alone[0][0], alone[1][0]]
    assert [s.state.memory.tobytes() for s in steps] == [alone[0][1], alone[1][1]]


def test_the_interpreter_runs_on_while_c_computes():
    """Another thread sees the step counter in the C struct rise during one call of `many`."""
    step = make(0)
    data, rows = samples(0), order(0, 1)
    step.many(data, rows)
    total = 20_000
    while True:
        step.state["step"][...] = 0
        call = threading.Thread(target=step.many, args=(data, np.repeat(rows, total, axis=0)))
        seen = set()
        call.start()
        while call.is_alive():
            seen.add(int(step.state["step"]))
        call.join()
        assert step.state["step"] == total
        between = seen - {0, total}
        if between or total > 1_000_000:
            break
        total *= 4
    assert between


def test_calls_of_one_instance_take_turns():
    """Threads that share a step do all of their steps, none on top of another."""
    step = make(3)
    x, y = samples(3)
    jobs = [lambda: [step(x[:BATCH], y[:BATCH])[0] for _ in range(200)]] * 3
    losses = sorted((v for part in in_threads(*jobs) for v in part), reverse=True)
    alone = make(3)
    expected = [alone(x[:BATCH], y[:BATCH])[0] for _ in range(600)]
    assert step.state["step"] == 600
    assert losses == sorted(expected, reverse=True)
    assert step.state.memory.tobytes() == alone.state.memory.tobytes()


def test_entry_points_of_one_state_take_turns():
    """Batches of two sizes and an evaluation, all at once, over one state."""
    step = make(4)
    small = step.for_batch(4)
    x, y = samples(4)
    counts = in_threads(
        lambda: len([step(x[:BATCH], y[:BATCH]) for _ in range(200)]),
        lambda: len([small(x[:4], y[:4]) for _ in range(200)]),
        lambda: sum(np.isfinite(step.evaluate(x[:BATCH], y[:BATCH])[0]) for _ in range(200)),
        lambda: sum(np.isfinite(step.predict(x[:BATCH])).all() for _ in range(200)),
        lambda: sum(np.isfinite(step.state_dict()["params.fc1.weight"]).all() for _ in range(50)),
    )
    assert counts == [200, 200, 200, 200, 50]
    assert step.state["step"] == 400


def test_one_function_in_many_threads():
    f = gd.compile(lambda x: (np.exp(x @ x.T).sum(axis=0), x.max()), gd.f32[24, 24])
    inputs = [np.random.default_rng(k).normal(size=(24, 24)).astype(np.float32) for k in range(4)]
    expected = [[a.tolist() for a in f(x)] for x in inputs]

    def repeat(k: int) -> bool:
        return all([a.tolist() for a in f(inputs[k])] == expected[k] for _ in range(300))

    assert in_threads(*(lambda k=k: repeat(k) for k in range(4))) == [True] * 4


def test_the_first_calls_from_several_threads_build_once():
    f = gd.compile(lambda x: x * 3 + 0.25, gd.f32[5], name="built_by_many")
    x = np.arange(5, dtype=np.float32)
    results = in_threads(*[lambda: f(x).tolist()] * 4)
    assert results == [(x * 3 + 0.25).tolist()] * 4
    assert [s.verb for s in f.stages].count("Compiled") == 1
