"""Arguments in memory that the call writes to: C is handed copies, so that results are right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import stepping
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

import gradc as gd
from gradc import optim

N = 64


class Named(np.ndarray):
    """A subclass, which keeps its base."""


def views(array: Any) -> dict[str, Any]:
    """The same elements by all the ways that NumPy has of not copying them."""
    return {
        "the view itself": array,
        "a view of it": array[:],
        "reshaped": array.reshape(8, 8).reshape(N),
        "a subclass": array.view(Named),
        "strided": np.lib.stride_tricks.as_strided(array, (N,), array.strides),
        "of a memoryview": np.frombuffer(memoryview(array), np.float32),
        "a view of that": np.frombuffer(memoryview(array), np.float32)[:],
        "by DLPack": np.from_dlpack(array),
        "by its interface": np.asarray(_Interface(array)),
    }


class _Interface:
    def __init__(self, array: Any) -> None:
        self.__array_interface__ = array.__array_interface__
        self.kept = array


@pytest.fixture(scope="module")
def rotating() -> Any:
    """`put(x)`: a is x from its end to its start, b counts. In place this would go wrong."""

    def put(state: Any, x: Any) -> Any:
        return {"a": x[::-1] + 0 * state["a"], "b": state["b"] + x}, x.sum()

    start = {"a": np.zeros(N, np.float32), "b": np.zeros(N, np.float32)}
    peek = gd.query(lambda state, x: state["a"] + x, gd.f32[N])
    return gd.program("rotating", start, put=gd.update(put, gd.f32[N]), peek=peek)


def started(program: Any) -> Any:
    program.state["a"][...] = np.arange(N)
    program.state["b"][...] = 1
    return program


@pytest.mark.parametrize("way", views(np.zeros(N, np.float32)))
@pytest.mark.parametrize("name", ["a", "b"])
def test_an_argument_that_lies_in_the_state_is_read_before_it_is_replaced(rotating, name, way):
    given = views(started(rotating).state[name])[way]
    before = np.array(given)
    b = np.array(rotating.state["b"])
    total = rotating.put(given)
    assert total == before.sum()
    np.testing.assert_array_equal(rotating.state["a"], before[::-1])
    np.testing.assert_array_equal(rotating.state["b"], b + before)


def test_part_of_the_state_counts_as_well(rotating):
    started(rotating)
    both = np.frombuffer(rotating.state.memory, np.float32)[N // 2 : N // 2 + N]
    before = np.array(both)
    rotating.put(both)
    np.testing.assert_array_equal(rotating.state["a"], before[::-1])


def test_what_only_reads_the_state_may_be_handed_it(rotating):
    started(rotating)
    np.testing.assert_array_equal(rotating.peek(rotating.state["a"]), 2 * np.arange(N))


def test_one_array_as_two_arguments():
    f = gd.compile(lambda x, y: x * y + x, gd.f32[N], gd.f32[N])
    x = np.arange(N, dtype=np.float32)
    np.testing.assert_array_equal(f(x, x), x * x + x)


def test_data_that_lies_in_the_state_is_trained_on_as_it_was():
    """A model whose parameters are its data, in one step and in many."""

    def make() -> Any:
        def loss(w: Any, x: Any) -> Any:
            return ((w[None, :] - x) ** 2).sum()

        w = np.linspace(-1, 1, 16, dtype=np.float32)
        return gd.train_step(loss, w, optim.SGD(lr=0.01), gd.f32[4, 16])

    order = np.arange(4).reshape(1, 4)
    results = []
    for copied in (False, True):
        step = make()
        given = np.broadcast_to(step.params["value"], (4, 16))
        strided = np.lib.stride_tricks.as_strided(step.params["value"], (4, 16), (0, 4))
        for data in (given, strided):
            step.many((data.copy() if copied else data,), order)
        small = step.for_batch(1)
        row = small.params["value"].reshape(1, 16)
        small(row.copy() if copied else row)
        small.many((row.copy() if copied else row,), [[0]])
        results.append(step.state.memory.tobytes())
    assert results[0] == results[1]


@settings(max_examples=200)
@drawn(data=st.data())
def test_any_window_of_the_state_is_read_as_it_was(rotating, data):
    """By any start, stride and direction, in any shape on the way."""
    memory = np.frombuffer(started(rotating).state.memory, np.float32)
    start = data.draw(st.integers(0, len(memory) - 1), "start")
    room = (len(memory) - 1 - start) // (N - 1), start // (N - 1)
    stride = data.draw(st.integers(-room[1], room[0]), "stride")
    given = np.lib.stride_tricks.as_strided(memory[start:], (N,), (4 * stride,))
    shape = data.draw(st.sampled_from([(N,), (8, 8), (2, 32), (1, N, 1)]), "shape")
    given = np.lib.stride_tricks.as_strided(
        given, shape, [given.strides[0] * math.prod(shape[k + 1 :]) for k in range(len(shape))]
    )
    before = np.array(given).reshape(N)
    results = []
    for x in (given.reshape(N), before):
        started(rotating)
        results.append((float(rotating.put(x)), rotating.state.memory.tobytes()))
    assert results[0] == results[1]
    np.testing.assert_array_equal(rotating.state["a"], before[::-1])


def test_labels_in_the_momentum_are_those_before_the_first_step():
    """All of them are zeros when they are checked: C must not see what they become."""
    results = []
    for copied in (False, True):
        step = stepping.make()
        momentum = step.state["opt.momentum.fc1.weight"]
        labels = momentum.ravel(order="K").view(np.int32)[: len(stepping.X)]
        assert np.shares_memory(labels, momentum)
        given = labels.copy() if copied else labels
        losses, *_ = step.many((stepping.X, given), stepping.ORDER)
        results.append((np.array(losses).tobytes(), step.state.memory.tobytes()))
    assert results[0] == results[1]


def test_what_evaluates_reads_the_state_where_it_lies():
    step = stepping.make()
    weights = np.frombuffer(step.state.memory, np.float32)
    rows = weights[: stepping.BATCH * stepping.FEATURES]
    x, y = rows.reshape(stepping.BATCH, stepping.FEATURES), stepping.Y[: stepping.BATCH]
    assert step.evaluate(x, y) == step.evaluate(x.copy(), y)
    step(stepping.X[: stepping.BATCH], y)
    assert step.evaluate(x, y) == step.evaluate(x.copy(), y)
