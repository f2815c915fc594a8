"""Corners that the C back end must turn: each a function, computed by NumPy and by its C.

All functions are entry points of two programs, one fused and one with a kernel for each node; the
C compiler's warnings are errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled import Update, call, compile_graphs, compile_updates

import gradc as gd
from gradc.dtypes import Spec
from gradc.graph import Builder
from gradc.inspect.describe import plans
from gradc.interpret import interpret
from gradc.ops import OPS
from gradc.trace import Value

STRICT = ("-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
RNG = np.random.default_rng(0)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
Case = tuple[Callable[..., Any], tuple[Any, ...]]


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """Small whole numbers, so that every sum is exact."""
    low = 0 if dtype.startswith("u") else -4
    return np.asarray(RNG.integers(low, 5, shape), dtype)


def apply(op: str, *args: Any, **attrs: Any) -> Any:
    """The op on traced values, or its reference on arrays."""
    if isinstance(args[0], Value):
        owner = args[0].owner
        return Value(owner, owner.add(op, [a.node_id for a in args], attrs))
    return OPS[op].reference(*args, **attrs)


def dot(a: Any, b: Any, contract: Any, batch: Any = ((), ())) -> Any:
    return apply("dot", a, b, contract=contract, batch=batch)


def full(x: Any, shape: tuple[int, ...]) -> Any:
    """A single number spread over a shape."""
    return apply("broadcast", x, shape=shape, axes=())


def pad(x: Any, low: int, after: int, value: float, step: int = 1) -> Any:
    """The first axis, padded."""
    n = low + step * (x.shape[0] - 1) + 1 + after
    rest = (0,) * (x.ndim - 1)
    ones = (1,) * (x.ndim - 1)
    shape = (n, *x.shape[1:])
    return apply("pad", x, low=(low, *rest), step=(step, *ones), shape=shape, value=value)


def limits(x: Any) -> Any:
    """Comparisons that no integer can pass, or fail; and what an operand does with itself."""
    info = np.iinfo(np.dtype(str(x.dtype)))
    least, most = int(info.min), int(info.max)
    return (
        x < least, x >= least, x > most, x <= most, x > least, x < most, x == x, x != x, x < x,
        x <= x, np.maximum(x, least), np.minimum(x, least), np.maximum(x, most),
        np.minimum(x, most),
        x - x, x ^ x, x | x, x // x, x % x, x // 0, x % 0, np.maximum(x, x), abs(x), -x, np.sign(x),
        x * 0, x + 0, 0 - x, x // (x * 0), (x * 0) % (x - x), 0 // x, 0 % x, x & 0, x | 0, x ^ 0,
    )  # fmt: skip


def shifts(x: Any) -> Any:
    width = 8 * np.dtype(str(x.dtype)).itemsize
    return tuple(f(x, n) for n in (0, 1, width - 1, width) for f in (np.left_shift, np.right_shift))


def nothing(x: Any, empty: Any) -> Any:
    """Sums and products of no numbers, and arrays without elements."""
    parts = gd.concat((empty, x, empty))
    filled = apply("pad", empty, low=(2, 0), step=(1, 1), shape=(5, 3), value=1.5)
    return (
        parts, filled, empty.sum(), empty.sum(0), empty.prod(0), empty.sum(1), empty.max(1),
        dot(empty, empty, ((0,), (0,))), dot(empty, empty, ((1,), (1,))), empty * 2 + 1,
        empty.reshape((3, 0)), empty.T, x[2:2], empty, (empty == 0).all(), (empty == 0).any(),
        full(empty.sum(), (2, 2)) @ np.ones((2, 3), np.float32),
    )  # fmt: skip


def neighbours(x: Any) -> Any:
    """Differences of shifted copies, mirrored and padded: guards inside guards."""
    inner = pad(pad(x, 2, 1, 7.0), 0, 3, -1.0, step=2)
    both = gd.concat((inner, gd.flip(inner, axis=0), x[::2]))
    return inner, both, both[1:] - both[:-1], pad(both.sum(1), 1, 1, 0.0), both.T.reshape(-1)


def rows(x: Any) -> Any:
    """Reductions of rows read through reshapes and joins whose axes have extent 1."""
    least, most, total = x.argmin(axis=0), x.argmax(axis=0), x.sum(axis=0)
    sums = gd.concat((total, total * 2), axis=1)
    return (
        gd.concat((most, most, most), axis=1), least, sums, sums.reshape(-1),
        x - total.reshape((1, *total.shape)),
    )  # fmt: skip


BOOLS = tuple(numbers(3, 17, dtype="bool") for _ in range(3))
CASES: dict[str, Case] = {
    "scalars": (
        lambda a, b, c, d: (a * 2, b + 1, ~c, d * d, a, b, c, a.astype(gd.f64) + d, a > d),
        (np.float32(1.5), np.int32(-3), np.bool_(True), np.float64(0.1)),
    ),
    "inputs_and_twins": (
        lambda x, y: (x, x, y, x * 2, x * 2, x.T, y.sum(), y.sum()),
        (numbers(3, 4), numbers(2)),
    ),
    "unused": (lambda x, y, z: y, (numbers(3), numbers(2, 3), np.float32(2))),
    "constants": (
        lambda x: (
            np.arange(300, dtype=np.float32),
            np.float32(3),
            x + np.arange(5000, dtype=np.float32)[:3],
            np.array([[1.5]], np.float32) * x,
            np.array([np.nan, np.inf, -0.0], np.float32) + x,
        ),
        (numbers(3),),
    ),
    "no_axes": (
        lambda b, x: (apply("all", b, axes=()), apply("any", b, axes=()), apply("sum", x, axes=())),
        (numbers(3, dtype="bool"), numbers(2, 2)),
    ),
    "nothing": (nothing, (numbers(4, 3), np.zeros((0, 3), np.float32))),
    "spread_operands": (
        lambda x, w: (
            dot(full(np.sign(x), (17, 40)), w, ((1,), (1,))),
            full(x * 2, (3, 33)) @ w.T[:33],
        ),
        (np.float32(-3), numbers(12, 40)),
    ),
    "turned_products": (
        lambda a, b, c: (
            np.minimum(dot(a, b, ((0,), (0,)), ((2,), (1,))), 8).T * c,
            dot(b, a, ((0,), (0,)), ((1,), (2,))).T + c,
            dot(c, dot(c, c, ((1,), (1,))), ((0,), (0,))).T * 2,
        ),
        (numbers(9, 8, 16), numbers(9, 16), numbers(8, 16)),
    ),
    "both_axes_of_one_operand": (
        lambda x, w: gd.concat((dot(x, w, ((0,), (2,))).T, dot(x, w, ((0,), (2,))).T * 2)),
        (numbers(40, dtype="int32"), numbers(2, 3, 40, dtype="int32")),
    ),
    "one_column": (
        lambda x, w: (np.maximum(x @ w, 0) - 1, (x @ w).T * 3, (x[:1] @ w) + 1),
        (numbers(40, 64), numbers(64, 1)),
    ),
    "many_free_axes": (
        lambda a, b: (
            dot(a, b, ((3,), (1,)), ((1,), (0,))),
            dot(a, a, ((0, 3), (0, 3)), ((2,), (2,))),
        ),
        (numbers(3, 2, 5, 17, dtype="float64"), numbers(2, 17, 3, 9, dtype="float64")),
    ),
    "short_integers": (
        lambda a, b: (a @ b, a.astype(gd.i8) @ b.astype(gd.i8) * 50, (a @ b).astype(gd.u8)),
        (numbers(33, 17, dtype="int32") + 4, numbers(17, 20, dtype="int32") + 4),
    ),
    "neighbours": (neighbours, (numbers(7, 5),)),
    "rows": (rows, (numbers(8, 40, 1),)),
    "copies": (
        lambda x, c: (
            *(full(x, (3, 4)).max(1), (c * 0).max(1), (c + x).min(0)),
            *(apply("broadcast", c[0], shape=(3, 2, 4), axes=(1,)).max(axis) for axis in range(3)),
        ),
        (np.uint8(7), numbers(5, 2, dtype="uint8")),
    ),
    "choices": (
        lambda c, a, b: (
            *(np.where(c, a, b), np.where(a, c, b), a & b | ~c ^ a, a < b, a == c),
            (a & c).any(1),
        ),
        BOOLS,
    ),
    "folds_of_expressions": (
        lambda c, a, b, k: (
            *(np.where(c, a, b).any(), np.where(a, c, b).any(1), np.where(b, c, a).all(0)),
            *((k - 2).prod(), (k & 3).sum(), np.where(k > 1, k, 2).prod(1)),
        ),
        (*BOOLS, numbers(4, 5, dtype="int32")),
    ),
    **{f"limits_{d}": (limits, (numbers(9, dtype=d),)) for d in INTEGERS},
    **{f"shifts_{d}": (shifts, (numbers(9, dtype=d),)) for d in INTEGERS},
}


def outputs_of(fn: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    with np.errstate(all="ignore"):
        found = fn(*args)
    return [np.asarray(y) for y in (found if isinstance(found, tuple) else (found,))]


@pytest.fixture(scope="module", params=["fused", "plain"])
def program(request: pytest.FixtureRequest):
    graphs = {name: gd.trace(fn, *args) for name, (fn, args) in CASES.items()}
    unfused = graphs if request.param == "plain" else ()
    return compile_graphs(graphs, "corners", unfused=unfused, cflags=STRICT)


@pytest.mark.parametrize("name", CASES)
def test_the_c_computes_what_numpy_does(name: str, program):
    fn, args = CASES[name]
    wanted = outputs_of(fn, args)
    meant = interpret(gd.trace(fn, *args), args)
    got = call(program, name, args)
    for k, (y, m, want) in enumerate(zip(got, meant, wanted, strict=True)):
        assert (y.shape, y.dtype) == (m.shape, m.dtype) == (want.shape, m.dtype), (name, k)
        np.testing.assert_array_equal(m, want, f"{name}: interpreter, output {k}")
        np.testing.assert_array_equal(y, want, f"{name}: C, output {k}")


def test_numbered_names_are_not_taken_for_each_other():
    """Of `h`, `h` and `h_2` the second is numbered, and is then not the third."""
    builder = Builder()
    x = builder.input(Spec((5, 3), np.dtype("float32")), "x")
    names = ("h", "h", "h_2", "h")
    values = [x]
    for name in names:
        values.append(builder.add("square", [values[-1]], name=name))
    total = builder.add("add", [values[1], values[3]])
    total = builder.add("sub", [total, builder.add("add", [values[2], values[4]])])
    graph = builder.finish([total])
    core = compile_graphs({"f": graph}, "numbered", unfused=["f"], cflags=STRICT)
    assert len({b.name for b in plans(core.compiled)["f"].buffers}) == 6
    data = numbers(5, 3)
    np.testing.assert_array_equal(call(core, "f", [data])[0], interpret(graph, [data])[0])


def late_read(a: Any, b: Any) -> Any:
    """The old value is read again when the new one of the same row is already known."""
    new = a * 2
    return new, b, a + new.sum(axis=1, keepdims=True), (new @ b).sum()


def rows_of_others(a: Any, b: Any) -> Any:
    """A row of the new value needs what another row of the old one comes to."""
    sums, totals = a.sum(axis=1), a.sum(axis=0)
    return a - gd.flip(sums)[:, None], b + totals[None, :], a.max(axis=1)


UPDATES: dict[str, Case] = {
    "swap": (lambda a, b: (b, a), (numbers(7, 5), numbers(7, 5))),
    "rotate": (lambda a, b, c: (b, c, a, a + c), tuple(numbers(9) for _ in range(3))),
    "transpose": (lambda a, b: (a.T, b.T + a, a[0]), (numbers(8, 8), numbers(8, 8))),
    "reverse": (lambda a, b: (a[::-1], gd.concat((b[2:], b[:2]))), (numbers(5, 3), numbers(9))),
    "sum_and_difference": (lambda a, b: (a + b, a - b), (numbers(17), numbers(17))),
    "next_of_series": (lambda a, b: (b, a + b, (a * b).sum()), (numbers(6), numbers(6))),
    "twins": (lambda a, b: (a + b, a + b, a + b), (numbers(6), numbers(6))),
    "as_it_was": (lambda a, b: (a, b * a, a * 2), (numbers(6), numbers(6))),
    "after_the_update": (
        lambda a, b: (a + 1, b - a, ((a + 1) * b).sum(), a),
        (numbers(6), numbers(6)),
    ),
    "products": (lambda a, b: (a @ b, b - a.T @ a, b.T), (numbers(20, 20), numbers(20, 20))),
    "numbers": (lambda a, b: (a + b, a * 2, a), (np.float32(3), np.float32(4))),
    "empty": (lambda a, b: (a * 2, b + a.sum(), a), (numbers(0, 3), numbers(4))),
    "late_read": (late_read, (numbers(20, 8), numbers(8, 20))),
    "rows_of_others": (rows_of_others, (numbers(8, 6), numbers(4, 6))),
}


@pytest.mark.parametrize("form", ["fused", "plain"])
def test_a_new_state_takes_the_place_of_the_old(form: str):
    named = {
        name: Update(gd.trace(fn, *args), args, tuple(range(len(args))))
        for name, (fn, args) in UPDATES.items()
    }
    unfused = named if form == "plain" else ()
    core = compile_updates(named, "corners", unfused=unfused, cflags=STRICT)
    for name, (fn, args) in UPDATES.items():
        wanted = outputs_of(fn, args)
        results = call(core, name, [])
        new = [np.array(core.state[f"{name}.{k}"]) for k in range(len(args))]
        for k, (got, want) in enumerate(zip(new + results, wanted, strict=True)):
            np.testing.assert_array_equal(got, want, f"{name}, output {k}")
