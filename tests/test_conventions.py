"""At the edges, values and derivatives are PyTorch's, in C too, and the documentation shows them.

`docs/conventions.md` is written from what is computed here, by `pytest --renew-golden`; so the
table and the tests cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import call, compile_graphs
from conventions import ARRAYS, BINARY, EDGES, OWN, PAIRS, UNARY, Array, spelt, torch_functions

import gradc as gd
from gradc.interpret import interpret
from gradc.ops import OPS, Kind

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
TOLERANCE = {"float64": 1e-14, "float32": 2e-6}
Case = tuple[str, Callable[..., Any], tuple[Array, ...]]


def cases() -> Iterator[Case]:
    """Each function with arrays of all its edges."""
    for name, fn in UNARY.items():
        yield name, fn, (np.array(EDGES),)
    for name, binary in BINARY.items():
        yield name, binary, tuple(np.array(PAIRS, np.float64).T)
    for name, (fn, arrays) in ARRAYS.items():
        for x in arrays:
            yield name, fn, (x,)


CASES = list(cases())


def weights(shape: tuple[int, ...]) -> Array:
    """What the results are weighted by before they are summed: all alike but for softmax rows."""
    return np.ones(shape) if shape != (2,) else np.array([1.0, 2.0])


def with_gradients(fn: Callable[..., Any], count: int) -> Callable[..., Any]:
    def loss(*xs: Any) -> Any:
        y = fn(*xs)
        return (y * weights(y.shape).astype(y.dtype)).sum(), y

    def both(*xs: Any) -> Any:
        (_, y), gradients = gd.value_and_grad(loss, range(count), has_aux=True)(*xs)
        return y, *gradients

    return both


def computed(fn: Callable[..., Any], args: tuple[Array, ...]) -> list[Array]:
    """The value, and the gradient with respect to each argument."""
    return interpret(gd.trace(with_gradients(fn, len(args)), *args), args)


def points(args: tuple[Array, ...], results: list[Array]) -> Iterator[tuple[Any, list[Any]]]:
    """Single edges and what comes out there; an array of a reduction is one edge."""
    if len(args[0]) in (len(EDGES), len(PAIRS)):
        for k in range(len(args[0])):
            yield [a[k] for a in args], [r[k] for r in results]
    else:
        yield args[0], list(results)


@pytest.mark.peers
def test_the_edges_are_pytorchs():
    torch = pytest.importorskip("torch")
    functions = torch_functions()
    differing, compared = set(), 0
    for name, fn, args in CASES:
        tensors = [torch.tensor(a, requires_grad=True) for a in args]
        y = functions[name](*tensors)
        (y * torch.tensor(weights(tuple(y.shape)))).sum().backward()
        theirs = [y.detach().numpy()]
        theirs += [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in tensors]
        pairs = zip(points(args, computed(fn, args)), points(args, theirs), strict=True)
        for (at, own), (_, other) in pairs:
            compared += 1
            if not all(
                np.allclose(a, b, 1e-12, equal_nan=True) for a, b in zip(own, other, strict=True)
            ):
                differing.add((name, spelt(at)))
    assert differing == set(OWN)
    assert compared >= 500


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_edges_in_c_are_those_of_the_reference(dtype):
    graphs, inputs, expected = {}, {}, {}
    for k, (_, fn, args) in enumerate(CASES):
        arrays = [a.astype(dtype) for a in args]
        graphs[f"case_{k}"] = graph = gd.trace(with_gradients(fn, len(args)), *arrays)
        inputs[f"case_{k}"], expected[f"case_{k}"] = arrays, interpret(graph, arrays)
    program = compile_graphs(graphs, f"conventions_{dtype}", cflags=("-O1",))
    for (name, _, args), label in zip(CASES, graphs, strict=True):
        for found, wanted in zip(call(program, label, inputs[label]), expected[label], strict=True):
            message = f"{name} of {spelt(args)}"
            np.testing.assert_allclose(found, wanted, TOLERANCE[dtype], 1e-30, err_msg=message)


# The document

INTRODUCTION = """# Conventions: values and derivatives at the edges

Where mathematics leaves a value or a derivative open (kinks, ties, ends of a domain, infinities,
NaN), gradc follows PyTorch, in the generated C as in `gd.grad`. In words:

* A derivative at a kink is that of the side that the definition takes: `relu` and `abs` have 0 at
  0, `leaky_relu` and `elu` that of their left branch, `clip` has 1 at its bounds.
* Ties share: `maximum` and `minimum` give half to each side, `max` and `min` equal parts to all
  that are the extremum.
* Where no direction is the gradient's it is 0: `norm` and `std` at 0, `atan2` at the origin.
* NaN stays visible in values: no function takes it for the smaller, or for a number.
* A real number becomes an integer by dropping its fraction; out of range it becomes the nearest
  integer that is in it, and NaN becomes 0, on every target.
* A number of Python's own takes the dtype of what it meets; a scalar of NumPy's has its own, so
  `x * np.float64(2)` is float64 for a float32 `x`, as in NumPy 2.

The tables are written by the tests that compare every entry with PyTorch (`pytest
tests/test_conventions.py --renew-golden`). A star marks what differs from PyTorch; why is said
below. All values are in float64.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown(values: Any) -> str:
    """A result; of which sign a 0 is differs between builds of NumPy."""
    return spelt(np.asarray(values) + 0.0)


def document() -> str:
    unary, binary, arrays = [], [], []
    for name, fn, args in CASES:
        found = [
            (f"`{name}`" + ("*" if (name, spelt(at)) in OWN else ""), at, results)
            for at, results in points(args, computed(fn, args))
        ]
        if name in UNARY:
            cells = [
                f"{shown(y)}; {shown(dy)}" + ("*" if label.endswith("*") else "")
                for label, _, (y, dy) in found
            ]
            unary.append([f"`{name}`", *cells])
        elif name in BINARY:
            binary += [[label, spelt(at), *map(shown, results)] for label, at, results in found]
        else:
            arrays += [[label, spelt(at), *map(shown, results)] for label, at, results in found]
    reasons = [f"* `{name}` at {at}: {why}" for (name, at), why in OWN.items()]
    return "\n".join([
        INTRODUCTION,
        "## Functions of one number: value; derivative\n",
        table(["", *(f"at {spelt(x)}" for x in EDGES)], unary),
        "## Functions of two numbers\n",
        table(["", "at", "value", "by the first", "by the second"], binary),
        "## Functions of arrays\n\nA result of two elements is weighted by 1 and 2.\n",
        table(["", "at", "value", "gradient"], arrays),
        "## Where gradc differs from PyTorch\n",
        *reasons,
        "",
    ])  # fmt: skip


def test_the_documentation_shows_what_is_computed(request):
    text = document()
    if request.config.getoption("--renew-golden"):
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text, encoding="utf-8")
    assert text == DOCUMENT.read_text(encoding="utf-8"), (
        "docs/conventions.md is not what is computed: run pytest with --renew-golden"
    )


def test_every_row_of_real_numbers_is_looked_at():
    """Those without an edge, and those that move or choose elements, are named here."""
    without = "neg add sub mul where cast stop_gradient identity to_integer clip relu".split()
    without += [name for name in OPS if name.startswith("is")]
    for name, row in OPS.items():
        real = any(a.dtype.kind == "f" for sample in row.samples() for a in sample.args)
        if row.kind is Kind.ELEMENTWISE and row.vjp is not None and real and name not in without:
            assert name in {**UNARY, **BINARY, "floor_divide": None}, name
