"""What a traced value is asked to be and cannot: true, a number, another library's array.

Enters: the user's current line. Leaves: exceptions that name what was written there (`while`,
`and`, `math.exp`, `.view`, ...) and the spelling that can be traced. Always holds: nothing here
decides anything but the words.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Spec, is_bool
from ..errors import NoAttributeError, TraceError, UnsupportedError
from ..namespace import nearest
from ..ops import OPS
from .context import error, user_span
from .source import around, called, instruction, receiver, text_of

Shape = tuple[int, ...]
WHERE = "choose between two values with `gd.where(condition, a, b)`"


def no_truth(spec: Spec) -> TraceError:
    """The error of asking whether a traced value is true."""
    what, advice = _truth_asked(is_bool(spec.dtype))
    return error(
        TraceError,
        "GC210",
        f"{what} on a traced value: the truth of {spec!r} is not known while tracing",
        helps=(advice,),
    )


def _truth_asked(is_mask: bool) -> tuple[str, str]:
    """What asks for the truth of a value (a mask, or a number), and what to write instead."""
    span = user_span()
    nodes = around(span)
    if span is None or not nodes:
        return "`if`", WHERE
    function, args = called(span)
    if function:
        return f"`{function}`", _instead_of_builtin(function, args)
    if "CALL" in instruction(span):
        nodes = nodes[1:]
    asked = (_truth_of_node(node, is_mask) for node in nodes)
    return next((found for found in asked if found is not None), ("`if`", WHERE))


def _instead_of_builtin(function: str, args: list[str]) -> str:
    listed = ", ".join(args)
    match function:
        case "max" | "min" if len(args) == 2:
            return f"use `gd.{function}imum({listed})`"
        case "max" | "min" | "any" | "all":
            return f"use `gd.{function}({listed})`"
        case "sorted":
            return "sort the data before the call"
        case "bool":
            return "keep it an array, and use it in `gd.where(condition, a, b)`"
    return WHERE


def _truth_of_node(node: ast.AST, is_mask: bool) -> tuple[str, str] | None:
    match node:
        case ast.Compare(ops=[ast.In() | ast.NotIn()], left=left):
            return "`in`", f"compare and reduce: `gd.any({text_of(left, 'a')} == b)`"
        case ast.Compare(ops=[_, _, *_]):
            return "a chained comparison", f"write `{_unchained(node)}`"
        case ast.BoolOp(op=operator, values=values):
            word, sign = ("and", "&") if isinstance(operator, ast.And) else ("or", "|")
            compared = [isinstance(v, ast.Compare) or is_mask for v in values]
            texts = [
                text_of(v, "...") + ("" if c else " != 0")
                for v, c in zip(values, compared, strict=True)
            ]
            parts = f" {sign} ".join(f"({text})" for text in texts)
            return f"`{word}`", f"combine masks with `{sign}`: `{parts}`"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            text = text_of(operand, "x")
            return "`not`", f"write `gd.logical_not({text})`" if is_mask else f"write `{text} == 0`"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            parts = ", ".join(text_of(p, "...") for p in (test, body, orelse))
            return "`if`", f"choose with `gd.where({parts})`"
        case ast.While():
            return "`while`", (
                "repeat a fixed number of times, `for _ in range(10)`, and choose with `gd.where` "
                "what each round changes"
            )
        case ast.Assert():
            return "`assert`", (
                "leave it out, or return the value and check it after the call; shapes and dtypes "
                "can be asserted"
            )
        case ast.If(test=test):
            condition = text_of(test, "condition")
            return "`if`", f"choose between two values with `gd.where({condition}, a, b)`"
    return None


def _unchained(node: ast.Compare) -> str:
    """`(0 < x) & (x < 1)` for `0 < x < 1`."""
    parts = [node.left, *node.comparators]
    pairs = [
        ast.Compare(left=a, ops=[op], comparators=[b])
        for a, op, b in zip(parts, node.ops, parts[1:], strict=False)
    ]
    return " & ".join(f"({ast.unparse(pair)})" for pair in pairs)


def no_number(kind: str) -> TraceError:
    """The error of turning a traced value into a Python number of `kind`."""
    span = user_span()
    function, args = called(span)
    what, advice = kind, "return the value from the traced function and read it there"
    module, _, name = function.rpartition(".")
    if module in ("math", "cmath") and _is_public(name):
        what, advice = function, f"use `gd.{name}({', '.join(args)})`"
    elif function == "round":
        what, advice = function, f"use `gd.round({', '.join(args[:1])})`"
    elif function in ("int", "float"):
        dtype = "int32" if function == "int" else "float32"
        what, advice = function, f"convert it with `.astype(gd.{dtype})`: it stays an array"
    elif function == "range":
        what = function
        advice = "use a Python integer, such as `x.shape[0]`: the number of rounds is compiled in"
    elif function and kind != "item":
        what = function
        if kind == "index":
            advice = "use a Python integer: sizes are compiled in"
    elif span is not None and instruction(span) == "BINARY_OP":
        what = "%"
    return error(
        TraceError,
        "GC211",
        f"`{what}` of a traced value: its elements are not known while tracing",
        helps=(advice,),
    )


def _is_public(name: str) -> bool:
    """Whether `gd.<name>` is a function of arrays."""
    return name in OPS


def no_text(spec: Spec) -> TraceError:
    """The error of an f-string or `format` with a number's format."""
    return error(
        TraceError,
        "GC211",
        f"a traced {spec!r} cannot be formatted as a number: it is not known while tracing",
        helps=("return the value from the traced function and format it there",),
    )


def foreign(function: str, library: str) -> UnsupportedError:
    """The error of a function of another array library."""
    name = function.rpartition(".")[2]
    advice = f"use `gd.{name}`" if _is_public(name) else "use the functions of `gradc` or of NumPy"
    return error(
        UnsupportedError,
        "GC219",
        f"`{function}` cannot be traced: it is a function of {library}",
        helps=(advice,),
    )


# What other libraries call an attribute of arrays, and what to do instead; {x} is the array.
SPELLINGS = {
    "view": "write `{x}.reshape(...)`",
    "resize": "write `{x}.reshape(...)`",
    "unsqueeze": "write `{x}.expand_dims(...)`, or `{x}[:, None]`",
    "permute": "write `{x}.transpose(...)`",
    "t": "write `{x}.T`",
    "contiguous": "leave it out: every array is contiguous",
    "float": "write `{x}.astype(gd.float32)`",
    "double": "write `{x}.astype(gd.float64)`",
    "half": "write `{x}.astype(gd.float32)`: there is no float16",
    "int": "write `{x}.astype(gd.int32)`",
    "long": "write `{x}.astype(gd.int64)`",
    "bool": "write `{x}.astype(gd.bool)`",
    "to": "write `{x}.astype(...)` for another dtype; leave devices out",
    "type": "write `{x}.astype(...)`",
    "detach": "write `gd.stop_gradient({x})`",
    "cpu": "leave it out: a compiled function takes and gives NumPy arrays",
    "cuda": "leave it out: a compiled function runs on the processor",
    "device": "leave it out: a compiled function runs on the processor",
    "numpy": "return the value from the traced function: a call gives NumPy arrays",
    "data": "leave it out, or write `gd.stop_gradient({x})`",
    "backward": "make the gradient a function: `gd.grad(loss)`, or `gd.train_step`",
    "grad": "make the gradient a function: `gd.grad(loss)`, or `gd.train_step`",
    "requires_grad": "leave it out: `gd.grad` says by `argnums` what is differentiated",
    "requires_grad_": "leave it out: `gd.grad` says by `argnums` what is differentiated",
    "mm": "write `{x} @ y`",
    "bmm": "write `{x} @ y`",
    "mul": "write `{x} * y`",
    "norm": "write `np.linalg.norm({x})`",
    "at": "write `gd.where(mask, new, {x})`",
    "set": "write `gd.where(mask, new, {x})`",
    "expand": "write `gd.broadcast_to({x}, shape)`",
    "repeat": "write `gd.concat([{x}, {x}])`",
    "tile": "write `gd.concat([{x}, {x}])`",
    "cat": "write `gd.concat([{x}, y])`",
    "append": "write `gd.concat([{x}, y])`",
    "fill": "write `gd.full_like({x}, value)`",
    "add_": "write `{x} += y`",
    "sub_": "write `{x} -= y`",
    "mul_": "write `{x} *= y`",
    "sort": "sort the data before the call",
    "numel": "write `{x}.size`",
    "dim": "write `{x}.ndim`",
    "block_until_ready": "leave it out: a call returns when its results are there",
    "iloc": "write `{x}[...]` with integers and slices",
    "values": "leave it out: it is an array already",
}


def no_attribute(name: str, known: Iterable[str]) -> NoAttributeError:
    """The error of an attribute that arrays do not have; they have the `known` ones."""
    advice = SPELLINGS.get(name, "").replace("{x}", receiver(user_span()))
    if not advice:
        near = nearest(name, [n for n in known if n[:1] != "_"])
        advice = f"write `.{near[0]}`" if near else "use a function of `gradc` or of NumPy"
    return error(
        NoAttributeError,
        "GC219",
        f"a traced value has no attribute `{name}`",
        helps=(advice,),
    )


def no_array(spec: Spec) -> TraceError:
    """The error of `np.array(x)` and of whatever else needs the elements."""
    function, args = called(user_span())
    if function.rpartition(".")[2] in ("array", "asarray", "stack"):
        listed = ", ".join(args[:1])
        is_list = listed[:1] == "["
        advice = f"use `gd.stack({listed})`" if is_list else "leave it out: it is an array already"
    elif function.startswith(("np.", "numpy.")) and hasattr(np, function.rpartition(".")[2]):
        advice = "convert it with `.astype(...)`, which stays traced"
    else:
        advice = "use the function of the same name in `gradc`"
    return error(
        TraceError,
        "GC212",
        f"a traced {spec!r} cannot become a NumPy array here: its elements are not known",
        notes=("NumPy functions that can be traced are called without converting it",),
        helps=(advice,),
    )


def no_item_assignment(what: str) -> UnsupportedError:
    return error(
        UnsupportedError,
        "GC213",
        f"{what} a traced value by index is not supported",
        helps=(
            "make the new value with `gd.where(mask, new, old)`",
            "put it together from parts with `gd.concat`",
        ),
    )


def index_advice(shape: Shape, item: Any) -> str:
    """What to write instead of an index by an array, a list, a float, ..."""
    span = user_span()
    nodes = around(span)
    subscript = next((n for n in nodes if isinstance(n, ast.Subscript)), None)
    table = text_of(subscript.value, "x") if subscript else "x"
    index = text_of(subscript.slice, "index") if subscript else "index"
    kind = getattr(getattr(item, "dtype", None), "kind", "")
    if isinstance(item, list) and item:
        kind = "b" if isinstance(item[0], bool) else "i" if isinstance(item[0], int) else ""
    if kind == "b":
        return f"keep the shape and choose with `gd.where({index}, {table}, 0)`"
    if kind in ("i", "u"):
        return f"write {_picking(shape, subscript, table, index, isinstance(item, list))}"
    if isinstance(item, float):
        return "convert it to an integer: `int(...)` of a Python number"
    return "use integers, slices, `None` and `...`"


def _picking(
    shape: Shape, subscript: ast.Subscript | None, table: str, index: str, is_list: bool
) -> str:
    """Products with `one_hot` that pick what an index by integers would."""
    rows, columns, *_ = (*shape, "n", "n")
    match subscript.slice if subscript is not None else None:
        case ast.Tuple(elts=[ast.Slice(), chosen]) if len(shape) == 2:
            picked = f"gd.one_hot({text_of(chosen, 'index')}, {columns})"
            return f"`{table} @ {picked}.T`, which picks columns"
        case ast.Tuple(elts=[_, chosen]) if len(shape) == 2:
            picked = f"gd.one_hot({text_of(chosen, 'index')}, {columns})"
            return f"`gd.sum({picked} * {table}, 1)`, which picks one of each row"
        case ast.Tuple():
            return "it as a product with `gd.one_hot(index, n)`, which picks elements"
    picked = f"gd.one_hot({f'np.array({index})' if is_list else index}, {rows})"
    if len(shape) > 2:
        return f"`gd.tensordot({picked}, {table}, 1)`, which picks rows"
    return f"`{picked} @ {table}`, which picks rows"
