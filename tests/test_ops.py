"""Over the op table: shapes, dtypes, gradients to second order, names; and how a row is added."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import gradc as gd
from gradc.dtypes import Spec
from gradc.errors import DTypeError, GradcError, ShapeError, UnsupportedError
from gradc.ops import OPS, Kind, Sample, infer
from gradc.trace import Value, lift

SAMPLES = [
    pytest.param(row, sample, id=f"{row.name}-{i}")
    for row in OPS.values()
    for i, sample in enumerate(row.samples())
]
SMOOTH = [p for p in SAMPLES if p.values[1].order]
ELEMENTWISE = [row for row in OPS.values() if row.kind is Kind.ELEMENTWISE]


def apply_row(name: str, values: list[Value], attrs) -> Value:
    owner = values[0].owner
    return Value(owner, owner.add(name, [v.node_id for v in values], attrs))


@pytest.mark.parametrize("row", OPS.values(), ids=lambda row: row.name)
def test_every_row_has_samples_and_a_c_form(row):
    assert list(row.samples()) or row.kind is Kind.ITEM  # which has no arrays for arguments
    assert row.kind is not Kind.ELEMENTWISE or row.c, "an elementwise row needs a C expression"
    if row.kind is Kind.REDUCTION and not row.name.startswith("arg"):
        assert row.c
        assert row.start


@pytest.mark.parametrize(("row", "sample"), SAMPLES)
def test_the_reference_has_the_inferred_shape_and_dtype(row, sample: Sample):
    spec = infer(row.name, [Spec(a.shape, a.dtype) for a in sample.args], sample.attrs)
    with np.errstate(all="ignore"):
        result = np.asarray(row.reference(*sample.args, **sample.attrs))
    assert (result.shape, result.dtype) == (spec.shape, spec.dtype)


@pytest.mark.parametrize(("row", "sample"), SMOOTH)
def test_gradients_agree_with_finite_differences(row, sample: Sample):
    """Of the op weighted at random and summed; then of the gradient, weighted at random again."""
    rng = np.random.default_rng(1)
    spec = infer(row.name, [Spec(a.shape, a.dtype) for a in sample.args], sample.attrs)
    real = [i for i, a in enumerate(sample.args) if a.dtype.kind == "f"]
    weights = rng.uniform(0.5, 1.5, spec.shape)
    weights_of_gradient = [rng.uniform(0.5, 1.5, sample.args[i].shape) for i in real]

    def loss(*arrays: Value) -> Value:
        operands = list(sample.args)
        for i, a in zip(real, arrays, strict=True):
            operands[i] = a
        lifted = [lift(arrays[0].owner, a) for a in operands]
        return (apply_row(row.name, lifted, sample.attrs) * weights).sum()

    def gradient(*arrays: Value) -> Value:
        parts = gd.grad(loss, range(len(real)))(*arrays)
        return sum(
            ((g * w).sum() for g, w in zip(parts, weights_of_gradient, strict=True)), start=0.0
        )

    arguments = [sample.args[i] for i in real]
    count = sum(min(a.size, 64) for a in arguments)
    assert gd.check_grad(loss, *arguments).checked == count
    if sample.order >= 2:
        assert gd.check_grad(gradient, *arguments).checked == count


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_an_elementwise_row_is_a_method_a_function_and_a_ufunc(row):
    sample = next(iter(row.samples()))
    specs = [Spec(a.shape, a.dtype) for a in sample.args]
    forms = [
        lambda *xs: getattr(xs[0], row.name)(*xs[1:], **sample.attrs),
        lambda *xs: getattr(gd, row.name)(*xs, **sample.attrs),
    ]
    if isinstance(row.reference, np.ufunc):
        forms.append(lambda *xs: row.reference(*xs))
    for form in forms:
        graph = gd.trace(form, *specs)
        assert [node.op for node in graph][-1] == row.name
    at_once = getattr(gd, row.name)(*sample.args, **sample.attrs)
    np.testing.assert_array_equal(at_once, row.reference(*sample.args, **sample.attrs))


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_elementwise_rows_refuse_unequal_shapes_and_foreign_dtypes(row):
    sample = next(iter(row.samples()))
    specs = [Spec(a.shape, a.dtype) for a in sample.args]
    if len(specs) > 1:
        with pytest.raises(ShapeError, match="needs equal shapes"):
            infer(row.name, [*specs[:-1], Spec((7, 7, 7), specs[-1].dtype)], sample.attrs)
        other = np.dtype("float32" if specs[-1].dtype != np.float32 else "float64")
        with pytest.raises(DTypeError):
            infer(row.name, [*specs[:-1], Spec(specs[-1].shape, other)], sample.attrs)
    kinds = {s.dtype.kind for sample in row.samples() for s in sample.args}
    for kind, dtype in (("f", "float32"), ("i", "int32"), ("b", "bool")):
        if kind not in kinds and row.name not in ("stop_gradient", "identity", "cast"):
            with pytest.raises(DTypeError):
                infer(row.name, [Spec((3,), np.dtype(dtype))] * len(specs), sample.attrs)


F32 = np.dtype("float32")
BAD = [
    ("reshape", [(2, 3)], {"shape": (4,)}),
    ("transpose", [(2, 3)], {"perm": (0, 0)}),
    ("broadcast", [(1,)], {"shape": (3,), "axes": (0,)}),
    ("broadcast", [(2, 3)], {"shape": (3, 2), "axes": (1, 0)}),
    ("slice", [(4,)], {"start": (2,), "step": (1,), "shape": (3,)}),
    ("slice", [(4,)], {"start": (0,), "step": (0,), "shape": (1,)}),
    ("flip", [(4,)], {"axes": (1,)}),
    ("pad", [(4,)], {"low": (1,), "step": (1,), "shape": (4,), "value": 0.0}),
    ("concat", [(2, 3), (2, 4)], {"axis": 0}),
    ("concat", [(2, 3), (2, 3)], {"axis": 2}),
    ("sum", [(2, 3)], {"axes": (2,)}),
    ("sum", [(2, 3)], {"axes": (1, 0)}),
    ("max", [(0, 3)], {"axes": (0,)}),
    ("argmax", [(2, 3)], {"axes": (0, 1)}),
    ("dot", [(2, 3), (4, 5)], {"contract": ((1,), (0,)), "batch": ((), ())}),
    ("dot", [(2, 3), (4, 3)], {"contract": ((1,), (1,)), "batch": ((0,), (0,))}),
    ("dot", [(2, 3), (3, 2)], {"contract": ((1,), (0,)), "batch": ((1,), (1,))}),
]


@pytest.mark.parametrize(("name", "shapes", "attrs"), BAD)
def test_bad_shapes_are_named(name, shapes, attrs):
    with pytest.raises(ShapeError) as caught:
        infer(name, [Spec(shape, F32) for shape in shapes], attrs)
    message = caught.value.diagnostic.message
    assert message[0].islower() or message[0] == "`"
    assert not message.endswith(".")


def test_bounded_names_the_element_out_of_range():
    with pytest.raises(GradcError, match=r"element \[1\] is 10, not in the range 0 to 9"):
        gd.bounded(np.array([3, 10]), lower=0, upper=10)


def test_an_op_without_a_gradient_says_so():
    def loss(x):
        return (x.expm1() + x.hypot(x)).sum()

    row = OPS["hypot"]
    without = {f: getattr(row, f) for f in row.__dataclass_fields__} | {"vjp": None}
    OPS["hypot"] = type(row)(**without)
    try:
        with pytest.raises(UnsupportedError, match="`hypot` has no gradient") as caught:
            gd.grad(loss)(np.ones(3))
    finally:
        OPS["hypot"] = row
    assert "x.hypot(x)" in caught.value.diagnostic.labels[0].span.text


def test_a_newcomers_row_is_all_there_is_to_an_op():
    """`softplus` is added by one row; method, function, tracing and gradient follow."""
    program = """
        import numpy as np
        from gradc.ops.rules import floats, unary
        from gradc.ops.table import op

        op("softplus", unary(), reference=lambda x: np.logaddexp(x, 0),
           vjp=lambda g, y, a: (g * a.sigmoid(),),
           c="log1p{f}(gradc_exp{f}({0}))", headers=("gradc_math.h",), samples=floats(-2, 2))

        import gradc as gd
        assert gd.check_grad(lambda x: gd.softplus(x).sum(), np.linspace(-2, 2, 5)).checked == 5
        assert gd.check_grad(lambda x: x.softplus().mean(), np.linspace(-2, 2, 5)).checked == 5
        np.testing.assert_allclose(gd.softplus(np.zeros(2)), np.log([2.0, 2.0]))
        print("done")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
