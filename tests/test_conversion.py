"""Arrays of other dtypes: converted by NumPy's `same_kind` rule, with every loss noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.conversion import each, in_dtype
from gradc.errors import DataError, DTypeError, ShapeError

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64"
OURS = [d for d in DTYPES.split() if d not in ("float16", "complex64")]


@pytest.mark.parametrize("given", DTYPES.split())
def test_what_is_converted_is_what_numpy_calls_same_kind(given):
    ones = np.ones(3, given)
    for wanted in map(np.dtype, OURS):
        if np.can_cast(ones.dtype, wanted, "same_kind"):
            converted = in_dtype(ones, wanted, "x", "")
            assert converted.dtype == wanted
            assert (converted == 1).all()
        else:
            with pytest.raises(DTypeError, match="`x` must be"):
                in_dtype(ones, wanted, "x", "something else")


def test_the_right_dtype_is_the_array_itself():
    x = np.ones(3, np.float32)
    assert in_dtype(x, x.dtype, "x", "") is x


LOST = [
    (np.array([0, 2**31]), "int32", r"`x\[1\]` is 2147483648, which does not fit `i32`"),
    (np.array([[0, 0], [-(2**40), 0]]), "int32", r"`x\[1, 0\]` is -1099511627776"),
    (np.array([255], np.uint8), "int8", r"`x\[0\]` is 255, which does not fit `i8`"),
    (np.array([2**63], np.uint64), "int64", r"`x\[0\]` is 9223372036854775808"),
    (np.array([1.0, 1e39]), "float32", r"`x\[1\]` is 1e\+39, which does not fit `f32`"),
    (np.array(-1e39), "float32", r"`x` is -1e\+39, which does not fit `f32`"),
]


@pytest.mark.parametrize(("array", "dtype", "text"), LOST)
def test_a_number_that_does_not_fit_is_named(array, dtype, text):
    with pytest.raises(DataError, match=text):
        in_dtype(array, np.dtype(dtype), "x", "")


def test_infinity_nan_and_rounding_are_no_loss():
    x = np.array([np.inf, -np.inf, np.nan, 0.1, 1e-300])
    np.testing.assert_array_equal(in_dtype(x, np.dtype("float32"), "x", ""), x.astype(np.float32))


def test_python_integers_become_any_integers_that_hold_them():
    u8 = np.dtype("uint8")
    assert in_dtype(np.asarray([0, 255]), u8, "x", "", weak=True).tolist() == [0, 255]
    with pytest.raises(DataError, match=r"`x\[0\]` is -1, which does not fit `u8`"):
        in_dtype(np.asarray([-1]), u8, "x", "", weak=True)
    with pytest.raises(DTypeError):
        in_dtype(np.asarray([1.0]), u8, "x", "", weak=True)
    assert in_dtype(np.asarray([]), u8, "x", "", weak=True).size == 0


def test_one_error_names_all_that_is_wrong():
    def check(name: str, kind: type[Any] | None) -> str:
        if kind is not None:
            raise kind(f"`{name}` is wrong")
        return name

    assert each(check, [("x", None), ("y", None)]) == ["x", "y"]
    with pytest.raises(ShapeError, match="`x` is wrong; `z` is wrong"):
        each(check, [("x", ShapeError), ("y", None), ("z", DTypeError)])


# Through every door ----------------------------------------------------------------------------

ROWS = 4
X = np.random.default_rng(0).normal(size=(3 * ROWS, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 5, 3 * ROWS).astype(np.int32)
OTHERS = {
    "wider": (X.astype(np.float64), Y.astype(np.int64)),
    "narrower": (X.astype(np.float16).astype(np.float64), Y.astype(np.uint8)),
    "byte order": (X.astype(">f4"), Y.astype(">i8")),
    "layout": (np.asfortranarray(X.astype(np.float64)), np.repeat(Y.astype(np.int64), 2)[::2]),
    "lists": (X.tolist(), Y.tolist()),
}


@pytest.fixture(scope="module")
def step():
    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(model(x), y)

    return gd.train_step(
        loss, nn.Linear(3, 5, rng=0), optim.SGD(lr=0.1), gd.f32[ROWS, 3], gd.i32[ROWS],
        predict=nn.Linear.__call__, cflags=["-O0"],
    )  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_every_way_to_hand_data_over_converts_it(step, other):
    x, y = OTHERS[other]
    exact = np.asarray(x).astype(np.float32), np.asarray(y).astype(np.int32)
    order = np.arange(3 * ROWS).reshape(3, ROWS)
    start = step.state_dict()

    def results(x: Any, y: Any) -> list[Any]:
        step.load_state_dict(start)
        trainer = gd.Trainer(step)
        return [
            step(x[:ROWS], y[:ROWS]),
            step.evaluate(x[:ROWS], y[:ROWS]),
            step.predict(x[:ROWS]),
            step.many((x, y), order),
            trainer.evaluate((x, y)),
            trainer.predict(x),
            trainer.fit((x, y), epochs=2, progress=False, validation=(x, y)).records[-1]["loss"],
            trainer.fit([(x[:ROWS], y[:ROWS])], progress=False).records[-1]["loss"],
            step.params["weight"].copy(),
        ]

    for got, expected in zip(results(x, y), results(*exact), strict=True):
        np.testing.assert_equal(got, expected)


def test_a_compiled_function_and_a_program_convert_their_arguments():
    f = gd.compile(lambda a, n: a["x"] * n, {"x": gd.f32[2]}, gd.f32[()], cflags=["-O0"])
    assert f({"x": np.array([1, 2])}, np.float64(3)).tolist() == [3, 6]
    with pytest.raises(DTypeError, match=r"`a.x` must be f32\[2\], .*; `n` must be a number"):
        f({"x": np.array([1j, 2])}, 3j)
    with pytest.raises(DataError, match="`n` is 1e\\+300, which does not fit `f32`"):
        f({"x": np.array([1, 2])}, 1e300)
    p = gd.program(
        "total", {"sum": np.zeros(2)}, cflags=["-O0"],
        add=gd.update(lambda s, x: ({"sum": s["sum"] + x}, None), gd.f64[2]),
    )  # fmt: skip
    p.add(np.array([1, 2], np.int16))
    assert p.state["sum"].tolist() == [1, 2]
