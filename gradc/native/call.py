"""The function that a call from Python runs: the checks of one entry point, written out.

Enters: a `NativeEntry` and the form of its result. Leaves: a Python function made for exactly these
arguments. Always holds: C is only entered with arrays of the exact dtype and shape, contiguous and
aligned, and by one thread at a time for each state; what is wrong with an argument is said before
the call. What C writes overlaps nothing that it reads: an argument that lies in a state which the
call replaces is copied.

A small step takes less time in C than a loop over its arguments would take in Python, so the usual
case, right arrays all along, is a few tests in a row. For `step(x, y)` the text made here reads

    def step(x=_missing, y=_missing, *_more, lr=_default0):
        try:
            if not (x.__class__ is _ndarray and x.shape == _shape0 and ... and not _more):
                [x, y, lr] = _prepare((x, y, *_more,), (lr,))
            with _lock:
                _status = _function(_state, _cell0, _cell1, _buffer(_type0, x), ..., lr, _arena)
                _out0 = _cell0[0]
                _out1 = _cell1[0]
            if _status:
                _diagnose((x, y, lr))
            return _out0, {'accuracy': _out1}
        except _GradcError as _error:
            _error.__traceback__ = _users_traceback(_error.__traceback__)
            raise
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from types import MappingProxyType
from typing import Any

import numpy as np

from ..conversion import each
from ..dtypes import is_bool, is_float
from ..emit.entry import Argument
from ..errors import GradcError, users_traceback
from ..tree import Tree
from .arguments import convert, wrong_count
from .entry import NativeEntry

MISSING = object()
NO_DEFAULTS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Form:
    """How a call gives its outputs back: an expression of their names, and what it refers to.

    0-d outputs are Python floats if `floats`, else the NumPy scalars that NumPy would return.
    """

    expression: Callable[[Sequence[str]], str]
    scope: Mapping[str, Any] = field(default_factory=dict)
    floats: bool = False


LIST = Form(lambda outputs: f"[{', '.join(outputs)}]")


def nested(tree: Tree) -> Form:
    """The outputs in the nesting that the traced function returned."""
    if tree.kind == "leaf":
        return Form(lambda outputs: outputs[0])
    return Form(lambda outputs: f"_build([{', '.join(outputs)}])", {"_build": tree.unflatten})


def loss_and_metrics(metrics: Sequence[str]) -> Form:
    """The loss as a float, with the metrics in a dict if there are any."""

    def expression(outputs: Sequence[str]) -> str:
        loss, *rest = outputs
        pairs = (f"{name!r}: {value}" for name, value in zip(metrics, rest, strict=True))
        return f"{loss}, {{{', '.join(pairs)}}}" if metrics else loss

    return Form(expression, floats=True)


def compile_call(
    native: NativeEntry,
    form: Form = LIST,
    defaults: Mapping[str, float] = NO_DEFAULTS,
    hint: str = "",
) -> Callable[..., Any]:
    """A Python function that checks its arguments, runs the C and gives the result as `form` says.

    All names but those of the arguments begin with an underscore, so that none can be another.
    `defaults` are values of trailing scalar arguments, given by name or not at all. `hint` is what
    to do about a wrong number of rows.
    """
    e = native.entry
    data = e.args[: len(e.args) - len(defaults)]
    named = e.args[len(data) :]
    scope: dict[str, Any] = {
        "_ndarray": np.ndarray, "_buffer": native.ffi.from_buffer, "_function": native.function,
        "_lock": native.lock, "_arena": native.arena_pointer, "_state": native.state_pointer,
        "_empty": np.empty, "_diagnose": native.diagnose, "_missing": MISSING,
        "_prepare": _preparation(native, data, named, defaults, hint),
        "_GradcError": GradcError, "_users_traceback": users_traceback, "_float": float,
        **form.scope,
    }  # fmt: skip
    values = [*_parameters(data, defaults), *defaults]
    positional, by_name = values[: len(data)], values[len(data) :]
    params = [*(f"{v}=_missing" for v in positional), "*_more"]
    for k, name in enumerate(by_name):
        scope[f"_default{k}"] = float(defaults[name])
        params.append(f"{name}=_default{k}")
    given, tests = _inputs(native, values, scope)
    before, outs, after, results = _outputs(native, form, scope)
    call = ["_state", *outs] if native.state_pointer is not None else outs
    call += [g for a, g in zip(e.args, given, strict=True) if a.shape]
    call += [g for a, g in zip(e.args, given, strict=True) if not a.shape]
    call += ["_arena"] if native.arena_pointer is not None else []
    prepared = f"_prepare(({_listed(positional)}*_more,), ({_listed(by_name)}))"
    body = [
        f"if not ({' and '.join([*tests, 'not _more'])}):",
        f"    [{', '.join(values)}] = {prepared}",
        *before,
        "with _lock:",
        f"    {'_result' if e.returns_value else '_status'} = _function({', '.join(call)})",
        *(f"    {line}" for line in after),
    ]
    if e.checks or e.guards:
        body += ["if _status:", f"    _diagnose(({_listed(values)}))"]
    body.append(f"return {form.expression(results)}")
    text = "\n".join([
        f"def call({', '.join(params)}):",
        "    try:",
        *(f"        {line}" for line in body),
        "    except _GradcError as _error:",
        "        _error.__traceback__ = _users_traceback(_error.__traceback__)",
        "        raise",
    ])  # fmt: skip
    # Named after this file: frames of gradc's own files are cut from what the user sees.
    exec(compile(text, f"{__file__}: {native.name}", "exec"), scope)
    function: Callable[..., Any] = scope["call"]
    function.__name__ = function.__qualname__ = e.name or native.name
    return function


def _listed(names: Sequence[str]) -> str:
    return "".join(f"{name}, " for name in names)


def _parameters(data: Sequence[Argument], defaults: Mapping[str, float]) -> list[str]:
    """What the arguments are called in Python: as the user calls them, if that can be."""
    names: list[str] = []
    for k, a in enumerate(data):
        usable = a.name.isidentifier() and not a.name.startswith("_") and not iskeyword(a.name)
        names.append(a.name if usable and a.name not in {*names, *defaults} else f"_{k}")
    return names


def _preparation(
    native: NativeEntry,
    data: Sequence[Argument],
    named: Sequence[Argument],
    defaults: Mapping[str, float],
    hint: str,
) -> Callable[[Sequence[Any], Sequence[Any]], list[Any]]:
    """What a call does when an argument is not at once what the C wants."""
    by_name = f"give {' and '.join(f'`{a.name}=...`' for a in named)} by name" if named else ""

    def prepare(positional: Sequence[Any], by_keyword: Sequence[Any]) -> list[Any]:
        given = [value for value in positional if value is not MISSING]
        if len(given) != len(data):
            name = native.entry.name or native.name
            raise wrong_count(name, [a.name for a in data], len(given), by_name)
        items = [(a, value, hint) for a, value in zip(data, given, strict=True)]
        for a, value in zip(named, by_keyword, strict=True):
            items.append((a, defaults[a.name] if value is None else value, ""))
        return [native.apart(value) for value in each(convert, items)]

    return prepare


def _inputs(
    native: NativeEntry, values: Sequence[str], scope: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """The arguments as C gets them, and the tests that they can be passed on as they are."""
    given, tests = [], []
    for k, (a, v) in enumerate(zip(native.entry.args, values, strict=True)):
        if not a.shape:
            given.append(v)
            if is_float(a.dtype):
                scope[f"_most{k}"] = float(np.finfo(a.dtype).max)
                tests.append(f"{v}.__class__ is _float and -_most{k} <= {v} <= _most{k}")
            else:
                tests.append("False")
            continue
        if is_bool(a.dtype):
            tests.append("False")  # its bytes have to be looked at
        scope |= {f"_dtype{k}": a.dtype, f"_shape{k}": a.shape, f"_type{k}": native.c_array(a)}
        tests.append(f"{v}.__class__ is _ndarray and {v}.shape == _shape{k}")
        tests.append(f"({v}.dtype is _dtype{k} or {v}.dtype == _dtype{k})")
        tests.append(f"{v}.flags.carray")  # contiguous, aligned (and writable)
        if native.written is not None:
            # Its memory is its own, or that of an array which is not the state's. What else there
            # may be below a view is looked at where the usual case ends.
            scope["_written"] = native.written.base
            owned = f"{v}.base.__class__ is _ndarray and {v}.base.base is None"
            tests.append(f"({v}.base is None or {owned} and {v}.base is not _written)")
        given.append(f"_buffer(_type{k}, {v})")
    return given, tests


def _outputs(
    native: NativeEntry, form: Form, scope: dict[str, Any]
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Lines before the call and after it, what C gets to write to, and what each output then is.

    A 0-d output is written to a cell that all calls share, and read while the lock is held.
    """
    e = native.entry
    before, outs, after, results = [], [], [], []
    if e.returns_value:
        results.append(_number(e.outputs[0], "_result", form, scope))
    for k, a in enumerate(e.pointers):
        if a.shape:
            scope |= {f"_out_dtype{k}": a.dtype, f"_out_shape{k}": a.shape}
            scope[f"_out_type{k}"] = native.c_array(a)
            before.append(f"_out{k} = _empty(_out_shape{k}, _out_dtype{k})")
            outs.append(f"_buffer(_out_type{k}, _out{k}, True)")
            results.append(f"_out{k}")
        else:
            scope[f"_cell{k}"] = native.ffi.new(native.c_array(a), 1)
            outs.append(f"_cell{k}")
            after.append(f"_out{k} = _cell{k}[0]")
            results.append(_number(a, f"_out{k}", form, scope))
    return before, outs, after, results


def _number(a: Argument, value: str, form: Form, scope: dict[str, Any]) -> str:
    """A 0-d output: `value` is the Python number that cffi made of it."""
    if form.floats:
        return value if is_float(a.dtype) else f"_float({value})"
    scope[f"_as_{a.dtype.name}"] = a.dtype.type
    return f"_as_{a.dtype.name}({value})"
