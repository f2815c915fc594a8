"""Bad input gets a clear error: at the user's line while tracing, by name at the call.

Nothing that is refused has changed anything: state and arena guards are compared byte for byte.
"""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.errors import (
    DataError,
    DTypeError,
    GradcError,
    ShapeError,
    TraceError,
    UnsupportedError,
)

ROWS, FEATURES, CLASSES = 4, 3, 5


def loss(m: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(x @ m["w"] + m["b"], y)


@pytest.fixture(scope="module")
def shared() -> Any:
    rng = np.random.default_rng(0)
    model = {"w": rng.normal(size=(FEATURES, CLASSES)).astype(np.float32), "b": np.zeros(CLASSES)}
    model["b"] = model["b"].astype(np.float32)
    specs = gd.f32[ROWS, FEATURES], gd.i32[ROWS]
    sgd = optim.SGD(lr=0.1, momentum=0.9)
    return gd.train_step(loss, model, sgd, *specs, predict=lambda m, x: x @ m["w"], name="victim")


@pytest.fixture
def step(shared: Any) -> Any:
    """A step whose state must be the same, byte for byte, when the test is over."""
    before = shared.state.memory.tobytes()
    yield shared
    assert shared.state.memory.tobytes() == before


X = np.arange(ROWS * FEATURES, dtype=np.float32).reshape(ROWS, FEATURES) / 10
Y = np.array([0, 1, 4, 2], np.int32)


def calls(step: Any) -> list[tuple[str, Any]]:
    """Every way to hand a batch to the C."""
    order = np.arange(ROWS).reshape(1, ROWS)
    return [
        ("step", lambda x, y: step(x, y)),
        ("evaluate", lambda x, y: step.evaluate(x, y)),
        ("many", lambda x, y: step.many((x, y), order)),
    ]


# --- the call: shapes, dtypes, counts ---

WRONG = [
    ("too few rows", X[:2], Y[:2], ShapeError, r"`x` must be f32\[4, 3\], got f32\[2, 3\]"),
    ("transposed", X.T, Y, ShapeError, r"`x` must be f32\[4, 3\], got f32\[3, 4\]"),
    ("too few axes", X[0], Y, ShapeError, r"`x` must be f32\[4, 3\], got f32\[3\]"),
    ("a scalar", 3.0, Y, ShapeError, r"`x` must be f32\[4, 3\], got f64\[\]"),
    ("complex", X.astype(complex), Y, DTypeError, r"`x` must be .*, got complex128\[4, 3\]"),
    ("objects", np.full((ROWS, FEATURES), None), Y, DTypeError, r"got object\[4, 3\]"),
    ("strings", np.full((ROWS, FEATURES), "a"), Y, DTypeError, r"`x` must be .*, got <U1\[4, 3\]"),
    ("ragged", [[1.0, 2.0], [3.0]], Y, ShapeError, r"`x` is not an array"),
    ("a dict", {"x": X}, Y, ShapeError, r"`x` must be f32\[4, 3\], got a `dict`"),
    ("nothing", None, Y, ShapeError, r"`x` must be f32\[4, 3\], got a `NoneType`"),
    ("float labels", X, Y.astype(np.float32), DTypeError, r"`y` must be i32\[4\], got f32\[4\]"),
    ("column labels", X, Y[:, None], ShapeError, r"`y` must be i32\[4\], got i32\[4, 1\]"),
    ("NaN labels", X, [0, 1, np.nan, 2], DTypeError, r"`y` must be i32\[4\], got f64\[4\]"),
    ("NaN array", X, np.full(ROWS, np.nan), DTypeError, r"`y` must be i32\[4\], got f64\[4\]"),
    (
        "huge labels",
        X,
        [0, 1, 2**40, 2],
        DataError,
        r"`y\[2\]` is 1099511627776, which does not fit",
    ),
    (
        "huge features",
        X.astype(float) * 1e300,
        Y,
        DataError,
        r"`x\[0, 1\]` is 1.*e\+299, which does not fit `f32`",
    ),
    ("two at once", X * 1j, Y * 0.5, DTypeError, r"`x` must be .*; `y` must be i32\[4\], got f64"),
    ("fractions", X, [0, 1, 2.5, 2], DTypeError, r"`y` must be i32\[4\], got f64\[4\]"),
]


@pytest.mark.parametrize(
    ("x", "y", "kind", "text"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG]
)
@pytest.mark.parametrize("way", ["step", "evaluate"])
def test_a_wrong_argument_is_named_with_what_was_expected_and_what_came(
    step, way, x, y, kind, text
):
    call = dict(calls(step))[way]
    with pytest.raises(kind, match=text):
        call(x, y)


def test_a_message_says_what_to_do(step):
    with pytest.raises(DTypeError, match=r"y\.astype\(np\.int32\)"):
        step(X, Y.astype(np.float64))
    with pytest.raises(ShapeError, match=r"use `step\.for_batch\(2\)` for 2 rows"):
        step(X[:2], Y[:2])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), r"`step` takes 2 arguments \(x, y\), got 0"),
        ((X,), r"`step` takes 2 arguments \(x, y\), got 1"),
        ((X, Y, 0.5), r"got 3.*\n.*give `lr=...` by name"),
        ((X, Y, X, Y), r"`step` takes 2 arguments \(x, y\), got 4"),
    ],
)
def test_a_wrong_number_of_arguments(step, args, text):
    with pytest.raises(ShapeError, match=text):
        step(*args)


@pytest.mark.parametrize("rate", ["0.1", [0.1], True, 1j, np.ones(2, np.float32)])
def test_a_learning_rate_is_a_number(step, rate):
    with pytest.raises((DTypeError, ShapeError), match="`lr` must be"):
        step(X, Y, lr=rate)
    with pytest.raises((DTypeError, ShapeError), match="`lr` must be"):
        step.many((X, Y), [[0, 1, 2, 3]], lr=rate)


# --- the call: arrays that are right, but not as they lie ---


def in_fortran_order(a: Any) -> Any:
    return np.asfortranarray(a)


def with_gaps(a: Any) -> Any:
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 99, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def backwards(a: Any) -> Any:
    return a[::-1].copy()[::-1]


def read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a: Any) -> Any:
    raw = np.zeros(a.nbytes + 1, np.uint8)
    moved = raw[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def a_subclass(a: Any) -> Any:
    return a.view(type("Own", (np.ndarray,), {}))


def a_list(a: Any) -> Any:
    return a.tolist()


def an_array_interface(a: Any) -> Any:
    return type("Holder", (), {"__array__": lambda self, dtype=None, copy=None: a})()


LAYOUTS = [
    in_fortran_order, with_gaps, backwards, read_only, unaligned, a_subclass, a_list,
    an_array_interface,
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_the_right_array_gives_the_same_result(shared, layout):
    x, y = layout(X), layout(Y)
    before = shared.state_dict()
    results = []
    for given in ((X, Y), (x, y)):
        for _, call in calls(shared):
            shared.load_state_dict(before)
            results.append((np.asarray(call(*given)).tolist(), shared.state.memory.tobytes()))
    shared.load_state_dict(before)
    assert results[:3] == results[3:]
    assert np.array_equal(np.asarray(x), X)
    assert np.array_equal(np.asarray(y), Y)


# --- labels ---


@pytest.mark.parametrize("label", [-1, CLASSES, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("place", [0, ROWS - 1])
def test_a_label_out_of_range_is_an_error_and_nothing_is_read_or_written(step, label, place):
    labels = Y.copy()
    labels[place] = label
    for way, call in calls(step):
        with pytest.raises(DataError, match=rf"`y\[{place}\]` is {label}, outside 0\.\.4") as found:
            call(X, labels)
        assert "nothing was computed" in str(found.value), way


def test_every_label_is_checked_not_only_a_sum(step):
    """Two wrong labels that cancel are two wrong labels."""
    with pytest.raises(DataError, match=r"`y\[0\]` is -1"):
        step(X, np.array([-1, 1, 2, 5], np.int32))


def test_a_label_that_no_step_reads_may_be_anything(shared):
    before = shared.state_dict()
    x, y = np.concatenate([X, X]), np.concatenate([Y, np.full(ROWS, 77, np.int32)])
    losses = shared.many((x, y), [[0, 1, 2, 3]])
    assert np.isfinite(losses).all()
    after = shared.state.memory.tobytes()
    with pytest.raises(DataError, match=r"`y\[5\]` is 77, outside 0\.\.4"):
        shared.many((x, y), [[0, 1, 2, 3], [0, 1, 2, 5]])
    assert shared.state.memory.tobytes() == after
    shared.load_state_dict(before)


def test_not_a_number_in_the_inputs_is_computed_with_like_any_number(shared):
    """Only labels are indices; a NaN among the pixels makes the loss NaN, as in NumPy."""
    x = X.copy()
    x[1, 1] = np.nan
    assert np.isnan(shared.evaluate(x, Y))


def test_labels_of_every_integer_dtype_are_checked():
    def chosen(w: Any, y: Any) -> Any:
        return nn.cross_entropy(w * np.ones((ROWS, CLASSES), np.float32), y)

    for dtype in (gd.i8, gd.i16, gd.i64, gd.u8, gd.u16, gd.u32, gd.u64):
        step = gd.train_step(chosen, np.float32(1), optim.SGD(), dtype[ROWS], target="portable")
        assert np.isfinite(step(Y.astype(dtype)))
        wrong = np.full(ROWS, CLASSES, dtype)
        with pytest.raises(DataError, match=r"`y\[0\]` is 5, outside 0\.\.4"):
            step(wrong)
        assert step.state["step"] == 1


def test_functions_without_a_scalar_result_check_labels_too():
    """There the C says so by its return value, not by NaN."""
    gradient = gd.grad(lambda z, y: nn.cross_entropy(z, y))
    f = gd.compile(gradient, gd.f32[ROWS, CLASSES], gd.i32[ROWS])
    z = np.zeros((ROWS, CLASSES), np.float32)
    np.testing.assert_allclose(f(z, Y), gradient(z, Y), atol=1e-6)
    with pytest.raises(DataError, match=r"`y\[2\]` is -3, outside 0\.\.4"):
        f(z, np.array([0, 1, -3, 9], np.int32))


def test_labels_that_are_computed_inside_cannot_be_checked():
    def computed(m: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(x @ m["w"], y + 1)

    model = {"w": np.ones((FEATURES, CLASSES), np.float32)}
    with pytest.raises(UnsupportedError, match="class labels must be an argument") as found:
        gd.train_step(computed, model, optim.SGD(), gd.f32[ROWS, FEATURES], gd.i32[ROWS])
    assert line_of(found.value) == computed.__code__.co_firstlineno + 1


# --- whole data sets and orders ---

DATA = np.concatenate([X, X]), np.concatenate([Y, Y])
ORDERS = [
    ("outside", [[0, 1, 2, 8]], DataError, r"`order` names sample 8, outside 0\.\.7"),
    ("far outside", [[0, 1, 2, 2**40]], DataError, rf"names sample {2**40}, outside"),
    ("negative", [[0, 1, 2, -1]], DataError, r"`order` names sample -1, outside 0\.\.7"),
    (
        "wrong batch",
        [[0, 1, 2]],
        ShapeError,
        r"`order` must be \[steps, 4\] indices, got i64\[1, 3\]",
    ),
    ("flat", [0, 1, 2, 3], ShapeError, r"`order` must be \[steps, 4\] indices, got i64\[4\]"),
    ("fractions", [[0.0, 1, 2, 3]], DTypeError, r"are integers, got f64\[1, 4\]"),
    ("a mask", [[True, False, True, True]], DTypeError, r"are integers, got bool\[1, 4\]"),
    ("ragged", [[0, 1], [2]], ShapeError, r"`order` is not an array"),
    ("nothing", None, DTypeError, r"got a `NoneType`"),
]


@pytest.mark.parametrize(
    ("order", "kind", "text"), [o[1:] for o in ORDERS], ids=[o[0] for o in ORDERS]
)
def test_an_order_that_does_not_fit_is_refused(step, order, kind, text):
    with pytest.raises(kind, match=text):
        step.many(DATA, order)


DATASETS = [
    ("lengths", (DATA[0], Y), DataError, r"same number of rows: `x` has 8, `y` has 4"),
    ("empty", (X[:0], Y[:0]), DataError, r"the data is empty"),
    ("one array", (X,), ShapeError, r"`data` takes 2 arguments \(x, y\), got 1"),
    ("bare", X, ShapeError, r"`data` takes 2 arguments \(x, y\), got 1"),
    ("three arrays", (X, Y, Y), ShapeError, r"`data` takes 2 arguments \(x, y\), got 3"),
    (
        "width",
        (X[:, :2], Y),
        ShapeError,
        r"each row of `x` must be f32\[3\], got f32\[4, 2\] in all",
    ),
    ("scalar", (3.0, Y), ShapeError, r"each row of `x` must be f32\[3\], got f64\[\]"),
    ("dtype", (X.astype(complex), Y), DTypeError, r"`x` must be .*, got complex128\[4, 3\]"),
    ("labels", (X, Y.astype(float)), DTypeError, r"`y` must be .*, got f64\[4\]"),
]


@pytest.mark.parametrize(
    ("data", "kind", "text"), [d[1:] for d in DATASETS], ids=[d[0] for d in DATASETS]
)
def test_data_that_does_not_fit_is_refused(step, data, kind, text):
    with pytest.raises(kind, match=text):
        step.many(data, [[0, 1, 2, 3]])


# --- what the user sees of an error ---


def line_of(error: GradcError) -> int:
    label = error.diagnostic.labels[0]
    assert label.span.file == __file__
    return label.span.line


@pytest.mark.parametrize("way", ["step", "evaluate", "many", "predict", "load", "function"])
def test_an_error_of_a_call_ends_at_the_users_line(step, way):
    """No frame of gradc stands between the user's line and the message."""
    function = gd.compile(lambda x: x * 2, gd.f32[3])
    attempt = {
        "step": lambda: step(X, Y[:2]),
        "evaluate": lambda: step.evaluate(X, Y[:2]),
        "many": lambda: step.many((X, Y), [[0, 1, 2, 9]]),
        "predict": lambda: step.predict(X[:1]),
        "load": lambda: step.load_state_dict({}),
        "function": lambda: function(X),
    }[way]
    with pytest.raises(GradcError) as found:
        attempt()
    frames = traceback.extract_tb(found.value.__traceback__)
    assert frames[-1].filename == __file__
    assert frames[-1].name == "<lambda>"
    assert "`" in str(found.value)
    message = found.value.diagnostic.message
    assert not message.endswith(".")
    assert message[0] in "`" or message[0].islower()


# --- while tracing: at the user's line ---

W = {"w": np.ones((FEATURES, CLASSES), np.float32)}


def wrong_shape(m: Any, x: Any, y: Any) -> Any:
    return ((x @ m["w"].T) ** 2).sum()


def wrong_dtype(m: Any, x: Any, y: Any) -> Any:
    return (x * y[:, None]).sum() + m["w"].sum()


def branch(m: Any, x: Any, y: Any) -> Any:
    if x.sum() > 0:
        return m["w"].sum()
    return -m["w"].sum()


def unsupported(m: Any, x: Any, y: Any) -> Any:
    return np.linalg.svd(m["w"])[1].sum()


def write(m: Any, x: Any, y: Any) -> Any:
    x[0] = 1
    return (x @ m["w"]).sum()


def no_scalar(m: Any, x: Any, y: Any) -> Any:
    return x @ m["w"]


def loop_over(m: Any, x: Any, y: Any) -> Any:
    for _ in range(y[0]):
        x = x * 2
    return (x @ m["w"]).sum()


TRACING = [
    (wrong_shape, ShapeError, "matmul"),
    (wrong_dtype, DTypeError, "no common dtype"),
    (branch, TraceError, "if"),
    (unsupported, UnsupportedError, "svd"),
    (write, UnsupportedError, "x"),
    (no_scalar, ShapeError, "the loss must be a scalar"),
    (loop_over, TraceError, "y"),
]


@pytest.mark.parametrize(("fn", "kind", "text"), TRACING, ids=[t[0].__name__ for t in TRACING])
def test_what_cannot_be_traced_fails_at_the_users_line(fn, kind, text):
    specs = gd.f32[ROWS, FEATURES], gd.i32[ROWS]
    with pytest.raises(kind, match=text) as found:
        gd.train_step(fn, W, optim.SGD(), *specs)
    assert line_of(found.value) == fn.__code__.co_firstlineno + 1
    frames = traceback.extract_tb(found.value.__traceback__)
    assert {frame.filename for frame in frames} == {__file__}


def test_a_parameter_that_no_gradient_reaches_is_named():
    def partial(m: Any, x: Any) -> Any:
        return (m["used"] * x).sum()

    model = {"used": np.float32(1), "idle": [np.float32(1)]}
    with pytest.raises(TraceError, match=r"no gradient reaches parameter `idle\.0`"):
        gd.train_step(partial, model, optim.SGD(), gd.f32[3])


def test_objects_are_refused_by_name_while_tracing():
    with pytest.raises(DTypeError, match=r"`x\.a` has dtype `object`"):
        gd.compile(lambda x: x["a"], {"a": np.array([None, 1])})
    with pytest.raises(DTypeError, match="`w` has dtype `float16`"):
        gd.train_step(lambda m: m["w"].sum(), {"w": np.ones(3, np.float16)}, optim.SGD())
