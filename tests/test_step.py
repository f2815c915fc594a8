"""Training steps and compiled functions: what `gd.train_step`, `gd.compile` and `gd.jit` give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stepping import BATCH, CLASSES, FEATURES, ORDER, Net, X, Y, loss, make

import gradc as gd
from gradc import optim
from gradc.errors import ArgumentError, CheckpointError, ShapeError, TraceError


@pytest.fixture(scope="module")
def shared() -> Any:
    """One step for the tests that leave its state as it was."""
    return make()


@pytest.fixture
def step(shared: Any) -> Any:
    """The shared step in its first state."""
    before = shared.state_dict()
    yield shared
    shared.load_state_dict(before)


def numpy_step(net: Any, buffers: Any, x: Any, y: Any, lr: float = 0.1) -> tuple[float, float]:
    """The same step by hand, in float64: forward, backward, momentum, weight decay."""
    h = x @ net["w1"].T + net["b1"]
    a = np.maximum(h, 0)
    z = a @ net["w2"].T + net["b2"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    value, accuracy = -np.log(p[rows, y]).mean(), (z.argmax(axis=1) == y).mean()
    p[rows, y] -= 1
    dz = p / len(y)
    dh = (dz @ net["w2"]) * (h > 0)
    gradients = {"w1": dh.T @ x, "b1": dh.sum(0), "w2": dz.T @ a, "b2": dz.sum(0)}
    for name, g in gradients.items():
        buffers[name] = 0.9 * buffers[name] + g + 1e-3 * net[name]
        net[name] = net[name] - lr * buffers[name]
    return float(value), float(accuracy)


NAMES = {"w1": "fc1.weight", "b1": "fc1.bias", "w2": "fc2.weight", "b2": "fc2.bias"}


def test_a_step_is_forward_backward_and_update(step):
    net = {k: np.array(step.params[v], np.float64) for k, v in NAMES.items()}
    buffers = dict.fromkeys(net, 0.0)
    for k, rows in enumerate(ORDER):
        lr = 0.1 if k % 2 else 0.03
        value, accuracy = numpy_step(net, buffers, X[rows].astype(float), Y[rows], lr)
        got, metrics = step(X[rows], Y[rows], lr=None if k % 2 else lr)
        assert got == pytest.approx(value, rel=1e-4)
        assert metrics == {"accuracy": pytest.approx(accuracy)}
    for k, v in NAMES.items():
        np.testing.assert_allclose(step.params[v], net[k], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(
            step.state[f"opt.momentum.{v}"], buffers[k], rtol=1e-3, atol=1e-5
        )
    assert step.state["step"] == len(ORDER)


def test_results_are_plain_python_numbers(step):
    value, metrics = step(X[:BATCH], Y[:BATCH])
    assert type(value) is float
    assert type(metrics["accuracy"]) is float
    value, metrics = step.evaluate(X[:BATCH], Y[:BATCH])
    assert type(value) is float
    assert type(metrics["accuracy"]) is float


def test_evaluate_is_a_step_that_changes_nothing(step):
    before = step.state.memory.tobytes()
    value, metrics = step.evaluate(X[:BATCH], Y[:BATCH])
    assert step.state.memory.tobytes() == before
    again, same = step(X[:BATCH], Y[:BATCH])
    assert value == pytest.approx(again, rel=1e-5)
    assert metrics == same
    assert step.state.memory.tobytes() != before


def test_predict_is_the_model(step):
    net = Net()
    np.testing.assert_allclose(step.predict(X[:BATCH]), net(X[:BATCH]), rtol=1e-4, atol=1e-5)
    alone = gd.train_step(
        lambda w, x: (w * x).sum(), np.ones(3, np.float32), optim.SGD(), gd.f32[3]
    )
    with pytest.raises(ArgumentError, match="made without `predict`"):
        alone.predict(np.ones(3, np.float32))


def test_many_is_the_same_steps_bit_for_bit(step):
    before = step.state_dict()
    single = [step(X[rows], Y[rows], lr=0.05) for rows in ORDER]
    after = step.state.memory.tobytes()
    step.load_state_dict(before)
    losses, metrics = step.many((X, Y), ORDER, lr=0.05, metrics=True)
    assert losses.dtype == np.float32
    assert losses.tolist() == [value for value, _ in single]
    assert metrics["accuracy"].tolist() == [m["accuracy"] for _, m in single]
    assert step.state.memory.tobytes() == after
    step.load_state_dict(before)
    first, last = step.many((X, Y), ORDER[:2], lr=0.05), step.many((X, Y), ORDER[2:], lr=0.05)
    assert np.concatenate([first, last]).tolist() == losses.tolist()
    assert step.state.memory.tobytes() == after


def test_many_takes_any_kind_of_index(step):
    before = step.state_dict()
    results = []
    for order in (ORDER, ORDER.astype(np.uint8), ORDER.tolist(), np.asfortranarray(ORDER)):
        step.load_state_dict(before)
        results.append(step.many((X, Y), order).tolist())
    assert all(r == results[0] for r in results)
    assert step.many((X, Y), np.zeros((0, BATCH), int)).shape == (0,)


def test_for_batch_shares_the_state(step):
    small = step.for_batch(4)
    assert small.batch == 4
    assert small.specs == (gd.f32[4, FEATURES], gd.i32[4])
    assert small.state is step.state
    assert step.for_batch(4) is small
    assert small.for_batch(BATCH) is step
    before = step.params["fc1.weight"].copy()
    small(X[:4], Y[:4])
    assert step.state["step"] == 1
    assert (step.params["fc1.weight"] != before).any()
    for name, member in zip(step.state, step._core.compiled.members, strict=True):
        other = next(m for m in small._core.compiled.members if m.path == member.path)
        assert (other.offset, other.swapped) == (member.offset, member.swapped), name
    np.testing.assert_allclose(small.predict(X[:4]), step.predict(X[:BATCH])[:4], rtol=1e-4)


def test_batches_of_every_size_give_the_same_step():
    """A step on 16 rows is the mean of the steps on each of them."""

    def plain(w: Any, x: Any, y: Any) -> Any:
        return ((x @ w - y) ** 2).mean()

    w = np.random.default_rng(0).normal(size=FEATURES).astype(np.float32)
    x, y = X[:BATCH], X[BATCH : 2 * BATCH, 0].copy()
    specs = gd.f32[BATCH, FEATURES], gd.f32[BATCH]
    step = gd.train_step(plain, w, optim.SGD(lr=0.1), *specs)
    before = step.state_dict()
    step(x, y)
    whole = step.params["value"] - w
    parts = []
    single = step.for_batch(1)
    for k in range(BATCH):
        step.load_state_dict(before)
        single(x[k : k + 1], y[k : k + 1])
        parts.append(step.params["value"] - w)
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), rtol=1e-3, atol=1e-6)


# --- parameters and state ---


def test_params_are_a_mapping_of_views(step):
    assert list(step.params) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert len(step.params) == 4
    assert step.params["fc1.weight"].shape == (24, FEATURES)
    for name, value in Net().parameters().items():
        assert (step.params[name] == value).all()
    assert "fc2.weight" in step.params
    assert "fc3.weight" not in step.params
    with pytest.raises(KeyError, match=r"fc1\.weight"):
        step.params["fc3.weight"]
    assert "fc1.weight: f32[24, 12]" in repr(step.params)


def test_writing_through_params_is_what_the_next_step_sees(step):
    for name in ("fc1.weight", "fc2.weight", "fc1.bias"):
        step.params[name][...] = 0
    step.params["fc2.bias"][...] = np.arange(CLASSES)
    assert step.predict(X[:BATCH]).tolist() == [list(range(CLASSES))] * BATCH
    step.params["fc2.bias"][2] = 99
    _, metrics = step.evaluate(X[:BATCH], np.full(BATCH, 2, np.int32))
    assert metrics == {"accuracy": 1.0}


def test_the_initial_arrays_are_copied():
    net = Net()
    step = gd.train_step(loss, net, optim.SGD(lr=1.0), gd.f32[4, FEATURES], gd.i32[4])
    kept = net.fc1.weight.copy()
    step(X[:4], Y[:4])
    assert (net.fc1.weight == kept).all()
    net.fc1.weight[...] = 0
    assert (step.params["fc1.weight"] != 0).any()


def test_state_dict_is_a_copy_and_goes_back(step):
    saved = step.state_dict()
    assert list(saved) == list(step.state)
    assert set(saved) >= {"params.fc1.weight", "opt.momentum.fc1.weight", "step", "seed"}
    assert all(a.flags.c_contiguous for a in saved.values())
    before = step.state.memory.tobytes()
    expected = step(X[:BATCH], Y[:BATCH])
    assert step.state.memory.tobytes() != before
    assert (saved["step"], step.state["step"]) == (0, 1)
    step.load_state_dict({name: a.astype(a.dtype.newbyteorder(">")) for name, a in saved.items()})
    assert step.state.memory.tobytes() == before
    assert step(X[:BATCH], Y[:BATCH]) == expected


def spoilt(saved: dict[str, Any], what: str) -> dict[str, Any]:
    match what:
        case "missing":
            del saved["opt.momentum.fc2.bias"]
        case "foreign":
            saved["params.fc9"] = np.zeros(3, np.float32)
        case "shape":
            saved["params.fc2.weight"] = saved["params.fc2.weight"].T
        case "dtype":
            saved["step"] = saved["step"].astype(np.int32)
        case "object":
            saved["step"] = np.array(None)
    return {name: a + 1 if a.dtype.kind == "f" else a for name, a in saved.items()}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("missing", r"tensor `opt\.momentum\.fc2\.bias` is missing"),
        ("foreign", r"tensor `params\.fc9` is not of this program"),
        ("shape", r"`params\.fc2\.weight` is f32\[24, 5\], the program has f32\[5, 24\]"),
        ("dtype", r"`step` is i32\[\], the program has u64\[\]"),
        ("object", r"`step` is object\[\], the program has u64\[\]"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(step, what, text):
    before = step.state.memory.tobytes()
    with pytest.raises(CheckpointError, match=text):
        step.load_state_dict(spoilt(step.state_dict(), what))
    assert step.state.memory.tobytes() == before


def test_tied_weights_are_one_parameter_with_both_gradients():
    w = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)

    def tied_loss(m: Any, x: Any) -> Any:
        return ((x @ m["enc"] @ m["dec"].T) ** 2).mean()

    sgd = optim.SGD(lr=0.01, momentum=0.9)
    step = gd.train_step(tied_loss, {"enc": w, "dec": w}, sgd, gd.f32[3, 6])
    assert list(step.params) == ["enc", "dec"]
    assert list(step.state) == ["params.enc", "opt.momentum.enc", "step", "seed"]
    assert np.shares_memory(step.params["enc"], step.params["dec"])
    assert "36 parameters" in repr(step)
    x = np.random.default_rng(2).normal(size=(3, 6))
    v = w.astype(float)
    y = x @ v @ v.T
    gradient = x.T @ y @ v + y.T @ x @ v
    step(x.astype(np.float32))
    np.testing.assert_allclose(step.params["dec"], w - 0.01 * gradient * 2 / 18, rtol=1e-4)


def test_equal_numbers_are_not_tied():
    one = np.float32(0.5)
    for model in ({"a": 0.5, "b": 0.5}, {"a": one, "b": one}):
        step = gd.train_step(
            lambda m, x: ((m["a"] * x - 1) ** 2).mean() + m["b"] ** 2,
            model,
            optim.SGD(0.1),
            gd.f32[3],
        )
        step(np.ones(3, np.float32))
        assert list(step.params) == ["a", "b"]
        assert float(step.params["a"]) == pytest.approx(0.6)
        assert float(step.params["b"]) == pytest.approx(0.4)


# --- the learning rate, the loss, the batch ---


def square(w: Any, x: Any) -> Any:
    return ((w * x) ** 2).mean()


def test_a_schedule_is_traced_in():
    schedule = optim.SGD(lr=lambda t: 0.1 / (1 + t))
    step = gd.train_step(square, np.float32(1), schedule, gd.f32[4])
    x, w = np.ones(4, np.float32), 1.0
    assert step.lr is None
    for k in range(3):
        assert step(x) == pytest.approx(w**2, rel=1e-5)
        w -= 0.1 / (1 + k) * 2 * w
    assert float(step.params["value"]) == pytest.approx(w, rel=1e-5)
    for call in (lambda: step(x, lr=0.1), lambda: step.many((x,), [[0, 1, 2, 3]], lr=0.1)):
        with pytest.raises(ArgumentError, match="the optimizer decides the learning rate"):
            call()


@pytest.mark.parametrize("rate", [0.1, np.float32(0.1), np.float64(0.1), 1])
def test_a_learning_rate_is_any_number(rate):
    step = gd.train_step(square, np.float32(1), optim.SGD(lr=rate), gd.f32[4])
    assert step.lr == pytest.approx(float(rate))
    with pytest.raises(AttributeError):
        step.lr = 0.5
    step(np.ones(4, np.float32))
    assert float(step.params["value"]) == pytest.approx(1 - 2 * float(rate), rel=1e-5)
    step.params["value"][...] = 1
    step(np.ones(4, np.float32), lr=0)
    assert float(step.params["value"]) == 1


def test_a_float64_model_has_a_float64_learning_rate():
    step = gd.train_step(square, np.float64(1), optim.SGD(lr=0.1), gd.f64[4])
    step(np.ones(4))
    assert float(step.params["value"]) == pytest.approx(0.8, rel=1e-15)


def test_a_loss_may_do_without_data():
    step = gd.train_step(lambda w: ((w - 3) ** 2).sum(), np.zeros(3, np.float32), optim.SGD(lr=0.5))
    assert (step.batch, step.specs) == (None, ())
    assert step() == 27
    assert step.evaluate() == 0
    with pytest.raises(ShapeError, match="share no leading axis"):
        step.many((), [[0]])
    with pytest.raises(ShapeError, match="share no leading axis"):
        step.for_batch(3)


def test_a_batch_may_hold_scalars_beside_its_arrays():
    step = gd.train_step(
        lambda w, x, t: ((w * x) ** 2).mean() * t,
        np.float32(1),
        optim.SGD(0.0),
        gd.f32[4],
        gd.f32[()],
    )
    x = np.arange(8, dtype=np.float32)
    assert step.batch == 4
    assert step(x[:4], 2.0) == pytest.approx(7)
    assert step.many((x, 2.0), [[0, 1, 2, 3], [4, 5, 6, 7]]) == pytest.approx([7, 63])


def test_metrics_keep_their_names_and_are_scalars():
    def measured(w: Any, x: Any) -> Any:
        value = square(w, x)
        return value, {"top-5 error": value, "rows": x.shape[0], "any": (x > 0).any(), "x": x.max()}

    step = gd.train_step(measured, np.float32(1), optim.SGD(0.1), gd.f32[3])
    value, metrics = step(np.array([1, 2, 3], np.float32))
    assert metrics == {"top-5 error": value, "rows": 3, "any": 1, "x": 3}
    assert all(type(m) is float for m in metrics.values())
    losses, metrics = step.many((np.ones(3, np.float32),), [[0, 1, 2]], metrics=True)
    assert list(metrics) == ["top-5 error", "rows", "any", "x"]
    assert metrics["top-5 error"].tolist() == losses.tolist()


BAD_RESULTS = [
    (lambda w, x: (square(w, x), {"loss": x.sum()}), TraceError, "'loss' cannot name a metric"),
    (lambda w, x: (square(w, x), {3: x.sum()}), TraceError, "3 cannot name a metric"),
    (lambda w, x: (square(w, x), {"v": x}), ShapeError, r"`v` must be a scalar, got f32\[3\]"),
    (lambda w, x: (square(w, x), {"v": {}}), TraceError, "`v` must be a scalar, got a `dict`"),
    (lambda w, x: (square(w, x), x.sum()), TraceError, "a scalar and a dict of metrics"),
    (lambda w, x: (square(w, x),), TraceError, "a scalar and a dict of metrics"),
    (lambda w, x: w * x, ShapeError, r"the loss must be a scalar, got f32\[3\]"),
    (lambda w, x: {"loss": square(w, x)}, TraceError, "the loss must be one scalar, got a `dict`"),
    (lambda w, x: None, TraceError, "the loss must be one scalar, got a `NoneType`"),
    (lambda w, x: x.sum(), TraceError, "no gradient reaches parameter `value`"),
]


@pytest.mark.parametrize(("fn", "kind", "text"), BAD_RESULTS)
def test_what_a_loss_may_not_return(fn, kind, text):
    with pytest.raises(kind, match=text):
        gd.train_step(fn, np.float32(1), optim.SGD(0.1), gd.f32[3])


def test_what_a_step_cannot_be_made_of():
    with pytest.raises(TraceError, match="no floating-point parameters"):
        gd.train_step(square, {"n": np.arange(3)}, optim.SGD(0.1), gd.f32[3])
    with pytest.raises(ArgumentError, match="one array, got a `dict`"):
        gd.train_step(square, np.float32(1), optim.SGD(0.1), {"x": gd.f32[3]})
    with pytest.raises(ArgumentError, match="`predict` takes 2 arguments"):
        gd.train_step(
            square, np.float32(1), optim.SGD(0.1), gd.f32[3], predict=lambda w, x, y: w * x * y
        )
    with pytest.raises(ArgumentError, match="unknown target 'z80'"):
        gd.train_step(square, np.float32(1), optim.SGD(0.1), gd.f32[3], target="z80")


def test_an_optimizer_that_forgets_a_parameter_is_refused():
    class Forgetful(optim.SGD):
        def update(self, params: Any, grads: Any, state: Any, lr: Any) -> Any:
            new, state = super().update(params, grads, state, lr)
            return {name: value for name, value in new.items() if name != "b"}, state

    with pytest.raises(TraceError, match="must return the parameters it was given: see `b`"):
        gd.train_step(
            lambda m, x: ((m["a"] + m["b"]) * x).sum(),
            {"a": np.float32(1), "b": np.float32(1)},
            Forgetful(0.1),
            gd.f32[3],
        )


def test_integers_of_a_model_are_kept_as_they_are():
    model = {"w": np.ones(3, np.float32), "index": np.arange(3, dtype=np.int32)}
    step = gd.train_step(
        lambda m, x: (m["w"] * x * gd.astype(m["index"], gd.float32)).sum(),
        model,
        optim.SGD(1.0),
        gd.f32[3],
    )
    step(np.ones(3, np.float32))
    assert step.params["index"].tolist() == [0, 1, 2]
    assert step.params["w"].tolist() == [1, 0, -1]


def test_check_compares_gradients_and_c(step):
    report = step.check()
    assert report.ok
    assert {row.kind for row in report.rows} == {"gradient", "C"}
    assert {row.name for row in report.rows if row.kind == "gradient"} == set(step.params)
    assert step.state["step"] == 0


def test_a_step_shows_what_it_is(step):
    assert "TrainStep net(f32[16, 12], i32[16])" in repr(step)
    assert len(repr(step).splitlines()) <= 12
    assert callable(step)
