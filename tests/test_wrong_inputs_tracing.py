"""Wrong inputs inside a traced function: what Python can do with numbers only."""

from __future__ import annotations

import pytest
from wrong_input import Wrong, check, check_plain, in_function

from gradc.errors import DTypeError, ShapeError, TraceError, UnsupportedError

PYTHON = (
    in_function(
        "f'{x.mean():.3f}'",
        TraceError,
        "a traced f32[] cannot be formatted as a number",
        "return the value from the traced function and format it there",
    ),
    in_function(
        "'{:5.1f}'.format(x.mean())",
        TraceError,
        "a traced f32[] cannot be formatted as a number",
        "return the value from the traced function and format it there",
    ),
    in_function(
        "'%d' % n",
        TraceError,
        "`%` of a traced value",
        "return the value from the traced function and read it there",
    ),
    in_function(
        "math.exp(x.mean())", TraceError, "`math.exp` of a traced value", "use `gd.exp(x.mean())`"
    ),
    in_function("math.sqrt(x)", TraceError, "`math.sqrt` of a traced value", "use `gd.sqrt(x)`"),
    in_function(
        "if x.sum() > 0: return x",
        TraceError,
        "`if` on a traced value",
        "choose between two values with `gd.where(x.sum() > 0, a, b)`",
    ),
    in_function(
        "while x.sum() > 0: x = x - 1",
        TraceError,
        "`while` on a traced value",
        "repeat a fixed number of times, `for _ in range(10)`, and choose",
    ),
    in_function(
        "x = x if x.sum() > 0 else -x",
        TraceError,
        "`if` on a traced value",
        "choose with `gd.where(x.sum() > 0, x, -x)`",
    ),
    in_function(
        "assert x.sum() > 0",
        TraceError,
        "`assert` on a traced value",
        "leave it out, or return the value and check it after the call",
    ),
    in_function(
        "x[0, 0] > 0 and x[0, 1] > 0",
        TraceError,
        "`and` on a traced value",
        "combine masks with `&`: `(x[0, 0] > 0) & (x[0, 1] > 0)`",
    ),
    in_function(
        "x > 0 or x < -1",
        TraceError,
        "`or` on a traced value",
        "combine masks with `|`: `(x > 0) | (x < -1)`",
    ),
    in_function("not x[0, 0]", TraceError, "`not` on a traced value", "write `x[0, 0] == 0`"),
    in_function(
        "0 < x < 1",
        TraceError,
        "a chained comparison on a traced value",
        "write `(0 < x) & (x < 1)`",
    ),
    in_function(
        "max(x[0, 0], 0.0)", TraceError, "`max` on a traced value", "use `gd.maximum(x[0, 0], 0.0)`"
    ),
    in_function(
        "sorted(x[0])", TraceError, "`sorted` on a traced value", "sort the data before the call"
    ),
    in_function(
        "n in [1, 2]", TraceError, "`in` on a traced value", "compare and reduce: `gd.any(n == b)`"
    ),
    in_function(
        "[k for k in i if k > 0]",
        TraceError,
        "`if` on a traced value",
        "choose between two values with `gd.where(condition, a, b)`",
    ),
    in_function(
        "range(n)",
        TraceError,
        "`range` of a traced value",
        "use a Python integer, such as `x.shape[0]`: the number of rounds",
    ),
    in_function(
        "[0.0] * n",
        DTypeError,
        "the Python float 0.0 does not fit `i32`",
        "cast the array first: `.astype(gd.float32)`",
    ),
    in_function(
        "np.zeros(n)",
        TraceError,
        "`np.zeros` of a traced value",
        "use a Python integer: sizes are compiled in",
    ),
    in_function(
        "x[:n]",
        UnsupportedError,
        "the bounds of a slice are Python integers, not traced values",
        "keep the shape and choose with `gd.where(mask, x, 0)`",
    ),
    in_function(
        "int(n)",
        TraceError,
        "`int` of a traced value",
        "convert it with `.astype(gd.int32)`: it stays an array",
    ),
    in_function(
        "float(x.mean())",
        TraceError,
        "`float` of a traced value",
        "convert it with `.astype(gd.float32)`: it stays an array",
    ),
    in_function(
        "bool(n)",
        TraceError,
        "`bool` on a traced value",
        "keep it an array, and use it in `gd.where(condition, a, b)`",
    ),
    in_function(
        "round(x.mean())", TraceError, "`round` of a traced value", "use `gd.round(x.mean())`"
    ),
    in_function(
        "complex(x.mean())",
        TraceError,
        "`complex` of a traced value",
        "return the value from the traced function and read it there",
    ),
    in_function(
        "len(n)",
        ShapeError,
        "a scalar has no length and no elements",
        "use it as it is, or make an array of one: `x[None]`",
    ),
    in_function(
        "for _ in n: pass",
        ShapeError,
        "a scalar has no length and no elements",
        "use it as it is, or make an array of one: `x[None]`",
    ),
    in_function(
        "x.mean().item()",
        TraceError,
        "`item` of a traced value",
        "return the value from the traced function and read it there",
    ),
    in_function(
        "del x[0]",
        UnsupportedError,
        "deleting from a traced value by index is not supported",
        "make the new value with `gd.where(mask, new, old)`",
    ),
    in_function(
        "x + None",
        UnsupportedError,
        "a `NoneType` cannot be used as an array",
        "use a number or an array",
    ),
    in_function(
        "x + 'a'",
        UnsupportedError,
        "a `str` cannot be used as an array",
        "use a number or an array",
    ),
)
# Python's own errors, which the user's line and the name of the class make clear.
PLAIN = (
    in_function("x()", TypeError, "'traced array' object is not callable"),
    in_function("x.size(0)", TypeError, "'int' object is not callable"),
    in_function("x.shape = (3, 4)", AttributeError, "of 'traced array' object has no setter"),
    in_function("round_to(x)", NameError, "round_to"),
)


@pytest.mark.parametrize("case", PYTHON, ids=lambda c: c.typed)
def test_the_error_of_a_wrong_input(case: Wrong, tmp_path):
    check(case, tmp_path)


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c.typed)
def test_an_error_of_the_users_own_code_shows_the_users_frames_alone(case: Wrong, tmp_path):
    check_plain(case, tmp_path)
