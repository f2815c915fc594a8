"""Pickles and copies: compiled programs go to other processes without their Python functions."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.errors import ArgumentError
from gradc.graph import Graph

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X @ np.array([1, -2, 0.5], np.float32)).astype(np.float32)


def step_of_lambdas(batch: int = 4) -> Any:
    """A step of which nothing in Python could be pickled: classes and functions are local."""

    class Net(nn.Module):
        def __init__(self) -> None:
            self.hidden = nn.Linear(3, 5, rng=0)
            self.out = nn.Linear(5, 1, rng=1)
            self.act = lambda x: np.tanh(x)

        def __call__(self, x: Any) -> Any:
            return self.out(self.act(self.hidden(x)))[:, 0]

    return gd.train_step(
        lambda net, x, y: (((net(x) - y) ** 2).mean(), {"worst": abs(net(x) - y).max()}),
        Net(),
        optim.SGD(lr=0.1, momentum=0.9),
        gd.f32[batch, 3],
        gd.f32[batch],
        predict=lambda net, x: {"y": net(x)},
        name="pickled",
    )


def program_of_lambdas() -> Any:
    return gd.program(
        "counting",
        {"total": np.zeros(3, np.float32), "calls": np.float32(0)},
        add=gd.update(
            lambda s, parts: (
                {"total": s["total"] + parts["a"] * parts["b"], "calls": s["calls"] + 1},
                None,
            ),
            {"a": gd.f32[3], "b": gd.f32[3]},
        ),
        mean=gd.query(lambda s: (s["total"] / s["calls"], {"calls": s["calls"]})),
    )


def all_of(step: Any) -> list[Any]:
    """What a step computes next, in every way it can be asked."""
    return [
        step.evaluate(X[:4], Y[:4]),
        step.predict(X[:4])["y"].tolist(),
        step(X[:4], Y[:4]),
        step(X[4:8], Y[4:8], lr=0.5),
        step.many((X, Y), [[0, 5, 2, 9], [1, 1, 7, 3]], metrics=True)[0].tolist(),
        step.state.memory.tobytes(),
    ]


FRESH = """
import pickle, sys
import numpy as np
names = [m for m in sys.modules if m.startswith("gradc")]
things, results = pickle.load(open(sys.argv[1], "rb")), []
for kind, thing, arguments in things:
    if kind == "step":
        x, y = arguments
        results.append([thing(x[:4], y[:4]), thing.evaluate(x[:4], y[:4]),
                        thing.predict(x[:4])["y"].tobytes(), thing.state.memory.tobytes()])
    elif kind == "program":
        thing.add(arguments)
        mean, rest = thing.mean()
        results.append([mean.tobytes(), int(rest["calls"])])
    else:
        results.append(np.asarray(thing(**arguments)).tobytes())
pickle.dump(results, open(sys.argv[2], "wb"))
"""


def test_what_is_loaded_in_a_fresh_process_computes_the_same_bits(tmp_path: Path) -> None:
    step, program = step_of_lambdas(), program_of_lambdas()
    step(X[:4], Y[:4])
    parts = {"a": X[0], "b": X[1]}
    program.add(parts)
    model = {"w": X[:3], "act": lambda v: np.tanh(v)}
    function = gd.compile(lambda m, x: m["act"](x @ m["w"]), model, gd.f32[3, 3])
    given = {"m": model, "x": X[3:6]}
    things = [("step", step, (X, Y)), ("program", program, parts)]
    things.append(("function", gd.compile(lambda x: np.exp(x), gd.f32[12, 3]), {"x": X}))
    (tmp_path / "things").write_bytes(pickle.dumps(things))
    command = [sys.executable, "-c", FRESH, tmp_path / "things", tmp_path / "results"]
    subprocess.run(command, check=True, timeout=120)
    results = pickle.loads((tmp_path / "results").read_bytes())
    program.add(parts)
    mean, rest = program.mean()
    assert results == [
        [
            step(X[:4], Y[:4]),
            step.evaluate(X[:4], Y[:4]),
            step.predict(X[:4])["y"].tobytes(),
            step.state.memory.tobytes(),
        ],
        [mean.tobytes(), int(rest["calls"])],
        np.asarray(things[2][1](X)).tobytes(),
    ]
    loaded = pickle.loads(pickle.dumps(function))
    np.testing.assert_array_equal(loaded(**given), function(**given))


def test_a_loaded_step_is_as_visible_as_the_one_it_was(tmp_path: Path) -> None:
    step = step_of_lambdas()
    step.for_batch(3)
    loaded = pickle.loads(pickle.dumps(step))
    assert (loaded.source, loaded.header, repr(loaded)) == (step.source, step.header, repr(step))
    assert (loaded.name, loaded.specs, loaded.lr, loaded.batch) == (
        "pickled",
        step.specs,
        step.lr,
        4,
    )
    assert str(loaded.graph) == str(step.graph)
    assert loaded.plan.report() == step.plan.report()
    assert loaded.kernels == step.kernels
    assert [p.name for p in loaded.export(tmp_path)] == [p.name for p in step.export(tmp_path)]
    assert all_of(loaded) == all_of(step)


def test_sizes_that_were_compiled_travel_along_and_others_are_refused() -> None:
    step = step_of_lambdas()
    step.for_batch(3)
    loaded = pickle.loads(pickle.dumps(step))
    small = loaded.for_batch(3)
    assert small.state is loaded.state
    assert small.for_batch(4) is loaded
    assert small(X[:3], Y[:3]) == step.for_batch(3)(X[:3], Y[:3])
    with pytest.raises(ArgumentError, match="cannot be compiled for batches of 2 rows") as caught:
        loaded.for_batch(2)
    assert "batches of 3, 4 rows" in caught.value.diagnostic.notes[0]
    assert "before pickling" in caught.value.diagnostic.helps[0]
    with pytest.raises(ArgumentError, match="cannot be checked"):
        loaded.check()


def test_a_trainer_is_pickled_with_its_step() -> None:
    trainer = gd.Trainer(step_of_lambdas())
    trainer.fit((X, Y), epochs=2, progress=False)
    loaded = pickle.loads(pickle.dumps(trainer))
    assert loaded.epoch == 2
    histories = [t.fit((X, Y), epochs=2, progress=False) for t in (trainer, loaded)]
    assert histories[0]["loss"] == histories[1]["loss"]
    assert loaded.step.state.memory.tobytes() == trainer.step.state.memory.tobytes()


def test_a_deep_copy_has_a_state_of_its_own() -> None:
    step = step_of_lambdas()
    step(X[:4], Y[:4])
    other = copy.deepcopy(step)
    before = step.state.memory.tobytes()
    assert other.state.memory.tobytes() == before
    assert other.build().path == step.build().path
    results = all_of(other)
    assert step.state.memory.tobytes() == before
    assert all_of(step) == results
    assert other.for_batch(2).state is other.state  # its functions are still there
    assert other.check().ok


def test_a_shallow_copy_shares_the_state() -> None:
    step = step_of_lambdas()
    other = copy.copy(step)
    assert other is not step
    assert other.state is step.state
    other(X[:4], Y[:4])
    assert step.state["step"] == 1
    assert step.for_batch(4) is step


def test_copies_of_programs_and_functions() -> None:
    program = program_of_lambdas()
    parts = {"a": X[0], "b": X[1]}
    deep, shallow = copy.deepcopy(program), copy.copy(program)
    deep.add(parts)
    assert program.state["calls"] == 0
    shallow.add(parts)
    assert program.state["calls"] == 1
    assert shallow.mean()[0].tolist() == deep.mean()[0].tolist()
    function = gd.compile(lambda x, y: x - y, gd.f32[3], gd.f32[3])
    for same in (
        copy.copy(function),
        copy.deepcopy(function),
        pickle.loads(pickle.dumps(function)),
    ):
        assert repr(same) == repr(function)
        np.testing.assert_array_equal(same(y=X[0], x=X[1]), X[1] - X[0])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copied_state_is_other_memory_with_the_same_numbers(copied: Any) -> None:
    state = step_of_lambdas().state
    other = copied(state)
    assert list(other) == list(state)
    assert other.memory.tobytes() == state.memory.tobytes()
    other["params.out.bias"][...] = 7
    assert state["params.out.bias"] != 7
    assert other.memory.ctypes.data % 64 == 0


def test_parameters_travel_with_their_memory() -> None:
    params = step_of_lambdas().params
    loaded = pickle.loads(pickle.dumps(params))
    assert {n: a.tolist() for n, a in loaded.items()} == {n: a.tolist() for n, a in params.items()}


def test_a_graph_keeps_its_lines_and_stays_read_only() -> None:
    graph = step_of_lambdas().graph
    loaded = pickle.loads(pickle.dumps(graph))
    assert isinstance(loaded, Graph)
    assert str(loaded) == str(graph)
    assert "test_pickle.py:" in str(loaded)
    with pytest.raises(TypeError):
        loaded.nodes[0] = None
    assert copy.deepcopy(graph) is graph
    assert list(loaded.dag.edges) == list(graph.dag.edges)


def test_a_plan_is_data() -> None:
    plan = step_of_lambdas().plan
    assert pickle.loads(pickle.dumps(plan)).report() == plan.report()
    assert copy.deepcopy(plan).report() == plan.report()
