"""Indices, literals and elementwise ops as C expressions.

Enters: parts of the loop-nest IR. Leaves: C text. Always holds: literals round-trip exactly;
integer arithmetic has no undefined behaviour (signed overflow is computed unsigned); every
conversion is written out, so that `-Wconversion` has nothing to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import numpy as np

from ..dtypes import (
    I32,
    I64,
    DType,
    c_name,
    c_suffix,
    is_bool,
    is_float,
    is_integer,
    is_signed,
    is_unsigned,
    item_bytes,
    limits,
)
from ..index import Atom, Dyn, Index, Quot, Var
from ..lower.nest import Apply, Expr, FromIndex, Joined, Literal, Load, Ref
from ..ops.notation import Level, Term, loosest
from ..ops.table import OPS, Op


def literal(value: float | int | bool, dtype: DType) -> str:
    """The shortest C literal that reads back as exactly `value` in `dtype`."""
    if is_bool(dtype):
        return "1" if value else "0"
    if is_float(dtype):
        suffix = c_suffix(dtype)
        if math.isnan(value):
            return "NAN" if suffix else "(double)NAN"
        if math.isinf(value):
            word = "INFINITY" if suffix else "(double)INFINITY"
            return word if value > 0 else f"-{word}"
        text = str(dtype.type(value))
        if "e" in text:
            return text.replace("e+", "e") + suffix
        return (text if "." in text else f"{text}.0") + suffix
    value = int(value)
    if item_bytes(dtype) == 8:
        if value == limits(I64)[0]:
            return "INT64_MIN"
        return f"UINT64_C({value})" if is_unsigned(dtype) else f"INT64_C({value})"
    if dtype == I32 and value == limits(I32)[0]:
        return "INT32_MIN"
    return f"{value}u" if is_unsigned(dtype) and item_bytes(dtype) == 4 else str(value)


def literals(values: np.ndarray[Any, Any], dtype: DType) -> list[str]:
    """The literal of each element, row by row: for many numbers, faster than one by one."""
    flat = values.astype(dtype, copy=False).ravel()
    if not is_float(dtype) or not np.isfinite(flat).all():
        return [literal(value, dtype) for value in flat.tolist()]
    suffix = c_suffix(dtype)
    return [text.replace("e+", "e") + suffix for text in map(str, flat)]


def literal_headers(value: float | int | bool) -> tuple[str, ...]:
    """The headers that the literal of a value needs."""
    return () if math.isfinite(value) else ("math.h",)


def index_text(index: Index, spelt: Callable[[int], str] = str) -> str:
    """An index as a `size_t` expression; positive terms first, so that nothing wraps on the way.

    `spelt` writes a factor.
    """
    factors: dict[int, list[str]] = {}
    for atom, k in index.terms:
        factors.setdefault(k, []).append(_atom_text(atom, bare=abs(k) == 1))
    positive: list[str] = []
    negative: list[str] = []
    for k, texts in factors.items():
        text = " + ".join(texts)
        if len(texts) > 1 and k != 1:
            text = f"({text})"
        (positive if k > 0 else negative).append(
            text if abs(k) == 1 else f"{text} * {spelt(abs(k))}"
        )
    if index.const > 0 or not positive:
        positive.append(str(max(index.const, 0)))
    if index.const < 0:
        negative.append(str(-index.const))
    return " - ".join([" + ".join(positive), *negative])


def _atom_text(atom: Atom, *, bare: bool) -> str:
    if isinstance(atom, (Var, Dyn)):
        return atom.name
    inner = index_text(atom.index)
    inner = inner if re.fullmatch(r"\w+", inner) else f"({inner})"
    text = f"{inner} {'/' if isinstance(atom, Quot) else '%'} {atom.by}"
    return text if bare else f"({text})"


def apply_term(op: str, args: Sequence[Term], operand: DType, result: DType) -> Term:
    """An elementwise op on operands of dtype `operand`, as an expression of dtype `result`."""
    row = OPS[op]
    if row.marker:
        return args[0]
    template, level = row.c, row.level
    if is_integer(operand) and row.c_int:
        template, level = row.c_int, Level.CHOICE
        if is_unsigned(operand) and row.c_uint:
            template = row.c_uint
    assert template is not None, f"op `{op}` has no C expression"
    narrow = is_signed(operand) or item_bytes(operand) < 4
    if row.wraps and is_integer(operand) and narrow:
        unsigned = "uint64_t" if item_bytes(operand) == 8 else "uint32_t"
        texts = [f"({unsigned}){a.operand}" for a in args]
    elif level is Level.WHOLE:
        texts = [a.whole for a in args]
    else:
        texts = [a.within(loosest(level, k), first=k == 0) for k, a in enumerate(args)]
    suffix = c_suffix(operand) if is_float(operand) else ""
    text = template
    for key, value in (("{f}", suffix), ("{t}", c_name(result)), ("{n}", result.name)):
        text = text.replace(key, value)
    for position, arg in enumerate(texts):
        text = text.replace(f"{{{position}}}", arg)
    exact = row.converts or (row.wraps and operand == result and not narrow)
    if is_integer(result) and not exact:
        return Term(f"({c_name(result)})({text})", Level.SIGN)
    return Term(text, level)


def op_headers(row: Op, operand: DType) -> tuple[str, ...]:
    """The headers that an op's expression needs; those on integers need none."""
    return () if is_integer(operand) and row.c_int else row.headers


def operand_dtype(expr: Apply) -> DType:
    """The dtype an op works in: that of its numbers, which a condition in front is not."""
    args = expr.args[OPS[expr.op].conditions :]
    return args[0].dtype if args else expr.dtype


def expression(expr: Expr, element_of: Callable[[Load], str]) -> Term:
    """Any expression of the IR; `element_of` spells an element of memory."""
    match expr:
        case Ref():
            return Term(expr.name)
        case Literal():
            text = literal(expr.value, expr.dtype)
            return Term(text, Level.SIGN if text.startswith("-") else Level.WHOLE)
        case Load():
            return Term(element_of(expr))
        case FromIndex():
            return Term(f"({c_name(expr.dtype)}){_index_operand(expr.index)}", Level.SIGN)
        case Apply():
            return _apply(expr, [expression(a, element_of) for a in expr.args])
        case Joined():
            return Term(f"{OPS[expr.op].joined}{c_suffix(expr.dtype)}({expr.array})")
        case _:
            assert_never(expr)


def _index_operand(index: Index) -> str:
    text = index_text(index)
    return text if text.isidentifier() else f"({text})"


def _apply(expr: Apply, args: Sequence[Term]) -> Term:
    if OPS[expr.op].converts:
        if expr.args[0].dtype == expr.dtype:
            return args[0]
        if is_bool(expr.dtype):
            return Term(f"{args[0].within(Level.SUM, first=True)} != 0", Level.EQUALITY)
    return apply_term(expr.op, args, operand_dtype(expr), expr.dtype)
