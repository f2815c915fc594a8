"""Specs, dtype names and promotion by the Array API's table."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import gradc as gd
from gradc import dtypes
from gradc.dtypes import (
    ALL,
    bits_of,
    is_bool,
    is_float,
    is_integer,
    is_numeric,
    is_signed,
    is_unsigned,
    item_bytes,
    kind_of,
    limits,
)
from gradc.errors import DTypeError


def test_specs_are_made_by_indexing():
    assert gd.f32[64, 784] == gd.Spec((64, 784), np.dtype("float32"))
    assert gd.f32[5] == gd.spec(5) == gd.spec((5,), "float32")
    assert gd.i32[()].shape == ()
    assert gd.f32[3, 4].size == 12
    assert repr(gd.f32[64, 784]) == "f32[64, 784]"
    assert gd.bool == gd.bool_


@pytest.mark.parametrize("shape", [(-1,), (2.5,), (True,), ("n",)])
def test_extents_are_non_negative_integers(shape):
    with pytest.raises(DTypeError, match="non-negative integers"):
        gd.f32[shape]


@pytest.mark.parametrize("scalar", dtypes.ALL, ids=repr)
def test_every_dtype_has_its_names(scalar):
    assert dtypes.as_dtype(scalar) == dtypes.as_dtype(scalar.dtype.name) == scalar.dtype
    assert np.zeros(2, scalar).dtype == scalar.dtype  # NumPy takes it for a dtype
    assert dtypes.c_name(scalar.dtype) in (
        "float double int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t".split()
    )


@pytest.mark.parametrize("name", ["float16", "complex64", "U3", "object"])
def test_other_dtypes_are_refused(name):
    with pytest.raises(DTypeError, match="is not supported"):
        dtypes.as_dtype(name)


def test_byte_order_is_normalised():
    assert dtypes.as_dtype(">f4") == np.dtype("float32")


def test_a_dtype_is_numpys_own_object_whatever_named_it():
    swapped = np.dtype("float32").newbyteorder("=")
    for named in ("float32", np.float32, swapped, np.dtype(">f4"), dtypes.f32):
        assert dtypes.as_dtype(named) is dtypes.F32


PAIRS = list(itertools.product([t.dtype for t in dtypes.ALL], repeat=2))


def is_defined(a: np.dtype, b: np.dtype) -> bool:
    """Whether the Array API defines the promotion: within floats, within integers, equal dtypes."""
    if a == b or (a.kind == b.kind == "f"):
        return True
    signed_with_uint64 = {a.kind, b.kind} == {"i", "u"} and np.dtype("uint64") in (a, b)
    return a.kind in "iu" and b.kind in "iu" and not signed_with_uint64


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda d: d.name)
def test_promotion_is_numpys_where_the_standard_defines_it(a, b):
    if is_defined(a, b):
        assert dtypes.promote(a, b) == np.promote_types(a, b)
    else:
        with pytest.raises(DTypeError, match="no common dtype") as caught:
            dtypes.promote(a, b)
        assert "astype" in caught.value.diagnostic.helps[0]


def test_python_scalars_are_weak():
    assert dtypes.weak(2, dtypes.F32) == dtypes.F32
    assert dtypes.weak(2.5, dtypes.F64) == dtypes.F64
    assert dtypes.weak(True, dtypes.I32) == dtypes.I32
    for scalar, dtype in ((2.5, dtypes.I32), (2, dtypes.BOOL), (1.0, dtypes.BOOL)):
        with pytest.raises(DTypeError, match="does not fit"):
            dtypes.weak(scalar, dtype)


def test_default_dtypes():
    assert dtypes.default_dtype(1.5) == dtypes.F32
    assert dtypes.default_dtype(1) == dtypes.I32
    assert dtypes.default_dtype(True) == dtypes.BOOL


@pytest.mark.parametrize("scalar", ALL, ids=repr)
def test_what_a_dtype_is(scalar):
    dtype = scalar.dtype
    told = [is_float(dtype), is_signed(dtype), is_unsigned(dtype), is_bool(dtype)]
    assert told == [kind_of(dtype) == kind for kind in "fiub"]
    assert is_integer(dtype) == (is_signed(dtype) or is_unsigned(dtype))
    assert is_numeric(dtype)
    assert item_bytes(dtype) == np.ones(1, dtype).nbytes
    bits = bits_of(np.ones((2, 3), dtype).T)
    assert (bits.shape, bits.nbytes) == ((6,), 6 * item_bytes(dtype))
    if is_integer(dtype):
        assert limits(dtype) == (np.iinfo(dtype).min, np.iinfo(dtype).max)


def test_what_is_no_number_is_not_numeric():
    assert not any(is_numeric(np.dtype(name)) for name in ("complex64", "U3", "object", "M8[s]"))
    assert limits(np.dtype(bool)) == (0, 1)
