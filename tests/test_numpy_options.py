"""No option of NumPy's is ignored: each is honoured or refused, in every function that is traced.

The table has one call for each function; its further keywords are read from NumPy's signature and
given one after the other, with values that are not their defaults. What comes out is what NumPy
computes, or an error of gradc's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from traced import run

import gradc as gd
from gradc.errors import GradcError, ShapeError, UnsupportedError
from gradc.functions.dispatch import NUMPY_FUNCTIONS, NUMPY_UFUNCS

A = np.random.default_rng(0).uniform(0.5, 2, (3, 4))
M = A > 1
K = np.arange(12).reshape(3, 4)
CALLS: dict[Callable[..., Any], tuple[Any, ...]] = {
    np.reshape: (A, (4, 3)), np.transpose: (A,), np.matrix_transpose: (A,), np.ravel: (A,),
    np.swapaxes: (A, 0, 1), np.moveaxis: (A, 0, 1), np.expand_dims: (A, 1), np.copy: (A,),
    np.squeeze: (A[:1],), np.broadcast_to: (A, (2, 3, 4)), np.broadcast_arrays: (A, A[:1]),
    np.flip: (A,), np.roll: (A, 1), np.tril: (A,), np.triu: (A,), np.where: (M, A, A + 1),
    np.concatenate: ([A, A],), np.stack: ([A, A],), np.round: (A,), np.around: (A,),
    np.clip: (A, 0.7, 1.5), np.full_like: (A, 0.1), np.zeros_like: (A,), np.ones_like: (A,),
    np.sum: (A,), np.prod: (A,), np.max: (A,), np.min: (A,), np.amax: (A,), np.amin: (A,),
    np.all: (M,), np.any: (M,), np.argmax: (A,), np.argmin: (A,), np.mean: (A,), np.var: (A,),
    np.std: (A,), np.linalg.norm: (A,), np.dot: (A, A.T), np.inner: (A, A), np.outer: (A, A),
    np.tensordot: (A, A.T, 1), np.shape: (A,), np.ndim: (A,), np.size: (A,),
}  # fmt: skip
METHODS: dict[str, tuple[Any, ...]] = {
    "sum": (), "prod": (), "max": (), "min": (), "all": (), "any": (), "argmax": (), "argmin": (),
    "mean": (), "astype": ("float32",), "reshape": ((4, 3),), "transpose": (), "swapaxes": (0, 1),
    "squeeze": (), "ravel": (), "flatten": (), "clip": (0.7, 1.5), "copy": (), "dot": (A.T,),
}  # fmt: skip
OPTIONS: dict[str, list[Any]] = {
    "axis": [1, -1, (0, 1), 2, -3], "axes": [(1, 0), (-1, 0), (0, 2), (0,)], "dtype": [np.float32],
    "out": [np.empty((3, 4)), np.empty(())], "keepdims": [True], "initial": [3.0],
    "where": [M], "order": ["F", "A"], "casting": ["no", "unsafe"], "subok": [False],
    "ddof": [1], "correction": [1.5], "mean": [0.5], "mode": ["wrap", "clip"], "decimals": [1],
    "ord": [1, 2, -1, np.inf, -np.inf, 0, 3, "fro", "nuc"], "k": [1, -1], "copy": [False],
    "shape": [(2, 2), (4, 3), 12], "min": [0.9], "max": [1.2], "a_min": [0.9], "a_max": [1.2],
    "device": ["cpu"], "newshape": [(2, 6)], "signature": ["dd->d"],
}  # fmt: skip


def operand(ufunc: np.ufunc) -> Any:
    """What the ufunc works on."""
    if ufunc.__name__.startswith("logical"):
        return M
    return A if any("d" in types for types in ufunc.types) else K


FUNCTIONS = {**CALLS, **{u: (operand(u),) * u.nin for u in NUMPY_UFUNCS}, np.matmul: (A, A.T)}
UFUNC_OPTIONS = ("out", "where", "dtype", "casting", "order", "subok", "signature", "axis", "axes")


def keywords(function: Callable[..., Any], given: int) -> list[str]:
    """The parameters that a call with `given` positional arguments leaves at their defaults."""
    if isinstance(function, np.ufunc):
        return list(UFUNC_OPTIONS)
    parameters = list(inspect.signature(function).parameters.values())
    return [p.name for p in parameters[given:] if p.kind in (1, 3)]


def is_array(argument: Any) -> bool:
    """Whether it is traced: an array or a list of arrays, not a shape or an axis."""
    first = argument[0] if isinstance(argument, list) else argument
    return isinstance(first, np.ndarray)


def check(fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Traced it is what NumPy computes (True), or refused; what NumPy refuses is refused."""

    def traced(*arrays: Any) -> Any:
        given = iter(arrays)
        return fn(*(next(given) if is_array(a) else a for a in args), **options)

    try:
        found = np.asarray(run(traced, *(a for a in args if is_array(a))))
    except GradcError:
        return False
    except TypeError as error:
        if isinstance(fn, np.ufunc) and "unexpected keyword" in str(error):
            return False  # NumPy's own refusal
        raise
    with np.errstate(all="ignore"):
        expected = np.asarray(fn(*args, **options))  # raises if NumPy refuses it
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    return True


def wrong_options(
    fn: Callable[..., Any], args: tuple[Any, ...], names: list[str]
) -> dict[str, Exception]:
    """The options that are neither honoured nor refused, and what shows it."""
    assert check(fn, args, {}), "without options it can be traced"
    found: dict[str, Exception] = {}
    for key in names:
        for value in OPTIONS.get(key, [...]):
            try:
                check(fn, args, {key: value})
            except Exception as error:
                found[f"{key}={value!r}"] = error
    return found


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_an_option_of_a_function_is_honoured_or_refused(function):
    args = FUNCTIONS[function]
    assert wrong_options(function, args, keywords(function, len(args))) == {}


@pytest.mark.parametrize("name", METHODS)
def test_an_option_of_a_method_is_honoured_or_refused(name):
    def method(x: Any, *args: Any, **options: Any) -> Any:
        return getattr(x, name)(*args, **options)

    assert wrong_options(method, (A, *METHODS[name]), list(OPTIONS)) == {}


def test_every_function_of_numpy_that_is_traced_is_in_the_table():
    assert set(NUMPY_FUNCTIONS) <= set(CALLS)


OUT_OF_RANGE = {
    "sum": lambda x: x.sum(2),
    "argmax": lambda x: x.argmax(-3),
    "moveaxis": lambda x: np.moveaxis(x, 2, 0),
    "moveaxis to": lambda x: np.moveaxis(x, 0, -3),
    "moveaxis twice": lambda x: np.moveaxis(x, (0, 0), (0, 1)),
    "tensordot": lambda x: np.tensordot(x, x, ((2,), (0,))),
    "tensordot of too many": lambda x: np.tensordot(x, x, 3),
    "tensordot of a negative number": lambda x: np.tensordot(x, x, -1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 2),
    "transpose": lambda x: x.transpose(0, 2),
    "transpose of too few": lambda x: np.transpose(x, (0,)),
    "transpose of none": lambda x: np.transpose(x, ()),
    "expand_dims": lambda x: np.expand_dims(x, 4),
    "squeeze": lambda x: np.squeeze(x, 2),
    "squeeze of a wide axis": lambda x: np.squeeze(x, 0),
    "flip": lambda x: np.flip(x, 2),
    "roll": lambda x: np.roll(x, 1, 2),
    "concatenate": lambda x: np.concatenate([x, x], 2),
    "stack": lambda x: np.stack([x, x], 3),
    "vecdot": lambda x: gd.vecdot(x, x, axis=2),
    "softmax": lambda x: gd.softmax(x, 2),
    "norm": lambda x: np.linalg.norm(x, axis=2),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_an_axis_out_of_range_is_an_error(name):
    with pytest.raises(ShapeError):
        gd.trace(OUT_OF_RANGE[name], gd.f64[3, 4])


def test_axes_in_every_spelling_are_numpys():
    x = np.random.default_rng(0).uniform(size=(2, 3, 4))
    for fn in (
        lambda x: np.moveaxis(x, (0, -1), (-1, 0)),
        lambda x: np.transpose(x, (-1, 0, 1)),
        lambda x: np.roll(x, (1, -2), (0, 2)),
        lambda x: np.roll(x, 1, (0, 1)),
        lambda x: np.tensordot(x, x, ((0, -1), (0, -1))),
        lambda x: np.swapaxes(x, -1, 0),
    ):
        np.testing.assert_allclose(run(fn, x), fn(x), rtol=1e-12)


NORMS = [(None, None), (None, 1), (2, 0), (1, 1), (np.inf, 1), (None, (0, 1)), ("fro", (0, 1))]


@pytest.mark.parametrize(("order", "axis"), NORMS)
def test_norms_are_numpys(order, axis):
    for keepdims in (False, True):
        assert check(np.linalg.norm, (A - 1, order, axis, keepdims), {})


@pytest.mark.parametrize("order", [2, -2, "nuc", 1, -1, np.inf])
def test_the_norms_of_matrices_that_need_more_are_refused(order):
    with pytest.raises(UnsupportedError, match="of a matrix cannot be traced"):
        gd.trace(lambda x: np.linalg.norm(x, order, axis=(0, 1)), gd.f64[3, 4])
    with pytest.raises(UnsupportedError, match="of a matrix cannot be traced"):
        gd.trace(lambda x: np.linalg.norm(x, order), gd.f64[3, 4])
