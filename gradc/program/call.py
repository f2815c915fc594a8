"""The function that a call from Python runs: the checks of one entry point, written out.

Enters: a `NativeEntry` and the form of its result. Leaves: a Python function made for exactly these
arguments. Always holds: C is only entered with arrays of the exact dtype and shape, contiguous, and
by one thread at a time for each state; what is wrong with an argument is said before the call.

A small step takes less time in C than a loop over its arguments would take in Python, so the usual
case, right arrays all along, is a few tests in a row. For `step(x, y)` the text made here reads

    def step(a0=missing, a1=missing, *more, lr=default2):
        try:
            if not (a0.__class__ is ndarray and a0.shape == shape0 and ... and not more):
                [a0, a1, lr] = prepare((a0, a1, *more,), (lr, ))
            with lock:
                result = function(state, buffer(type0, a0), buffer(type1, a1), lr, cell0, arena)
                out0 = cell0[0]
            if result != result:
                diagnose(result, (a0, a1, lr))
            return result, {'accuracy': out0}
        except GradcError as error:
            error.__traceback__ = users_traceback(error.__traceback__)
            raise
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..emit.entry import Argument
from ..errors import GradcError, users_traceback
from ..tree import Tree
from .arguments import convert, wrong_count

if TYPE_CHECKING:
    from .native import NativeEntry

MISSING = object()


class Quick:
    """Base of what is called through a function of its own.

    Python looks `__call__` up on the class and there finds the slot, which gives the function that
    the instance holds: no layer of Python lies between `step(x, y)` and the generated function.
    """

    __slots__ = ("__call__",)
    if TYPE_CHECKING:

        def __call__(self, *args: Any, **options: Any) -> Any: ...

    def _called_through(self, function: Callable[..., Any]) -> None:
        self.__call__ = function  # type: ignore[method-assign]


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
    return Form(lambda outputs: f"build([{', '.join(outputs)}])", {"build": tree.unflatten})


def loss_and_metrics(metrics: Sequence[str]) -> Form:
    """The loss as a float, with the metrics in a dict if there are any."""

    def expression(outputs: Sequence[str]) -> str:
        loss, *rest = outputs
        pairs = (f"{name!r}: {value}" for name, value in zip(metrics, rest, strict=True))
        return f"{loss}, {{{', '.join(pairs)}}}" if metrics else loss

    return Form(expression, floats=True)


def compile_call(
    native: NativeEntry, form: Form, defaults: Mapping[str, float], hint: str = ""
) -> Callable[..., Any]:
    """A Python function that checks its arguments, runs the C and gives the result as `form` says.

    `defaults` are values of trailing scalar arguments, given by name or not at all. `hint` is what
    to do about a wrong number of rows.
    """
    e = native.entry
    data = e.args[: len(e.args) - len(defaults)]
    named = e.args[len(data) :]
    scope: dict[str, Any] = {
        "ndarray": np.ndarray, "buffer": native.ffi.from_buffer, "function": native.function,
        "lock": native.lock, "arena": native.arena_pointer, "state": native.state_pointer,
        "empty": np.empty, "diagnose": native.diagnose, "missing": MISSING,
        "prepare": _preparation(e.name or native.name, data, named, defaults, hint), "float": float,
        "GradcError": GradcError, "users_traceback": users_traceback, **form.scope,
    }  # fmt: skip
    values = [*(f"a{k}" for k in range(len(data))), *defaults]
    params = [f"a{k}=missing" for k in range(len(data))] + ["*more"]
    for k, name in enumerate(defaults, len(data)):
        scope[f"default{k}"] = float(defaults[name])
        params.append(f"{name}=default{k}")
    given, tests = _inputs(native, values, scope)
    before, outs, after, results = _outputs(native, form, scope)
    call = ", ".join([*(["state"] if native.state_pointer else []), *given, *outs, "arena"])
    everything = f"({''.join(f'{v}, ' for v in values)})"
    prepared = f"prepare(({''.join(f'a{k}, ' for k in range(len(data)))}*more,), "
    body = [
        f"if not ({' and '.join([*tests, 'not more'])}):",
        f"    [{', '.join(values)}] = {prepared}({''.join(f'{n}, ' for n in defaults)}))",
        *before,
        "with lock:",
        f"    result = function({call})",
        *(f"    {line}" for line in after),
    ]
    if e.checks:
        failed = "result != result" if e.returns_value else "result"
        body += [f"if {failed}:", f"    diagnose({everything})"]
    body.append(f"return {form.expression(results)}")
    text = "\n".join([
        f"def call({', '.join(params)}):",
        "    try:",
        *(f"        {line}" for line in body),
        "    except GradcError as error:",
        "        error.__traceback__ = users_traceback(error.__traceback__)",
        "        raise",
    ])  # fmt: skip
    # Named after this file: frames of gradc's own files are cut from what the user sees.
    exec(compile(text, f"{__file__}: {native.name}", "exec"), scope)
    function: Callable[..., Any] = scope["call"]
    function.__name__ = function.__qualname__ = e.name or native.name
    return function


def _preparation(
    name: str,
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
            raise wrong_count(name, [a.name for a in data], len(given), by_name)
        values = [convert(a, value, hint) for a, value in zip(data, given, strict=True)]
        for a, value in zip(named, by_keyword, strict=True):
            values.append(defaults[a.name] if value is None else convert(a, value))
        return values

    return prepare


def _inputs(
    native: NativeEntry, values: Sequence[str], scope: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """The arguments as C gets them, and the tests that they can be passed on as they are."""
    given, tests = [], []
    for k, (a, v) in enumerate(zip(native.entry.args, values, strict=True)):
        if not a.shape:
            tests.append(f"{v}.__class__ is float" if a.dtype.kind == "f" else "False")
            given.append(v)
            continue
        scope |= {f"dtype{k}": a.dtype, f"shape{k}": a.shape, f"type{k}": native.c_array(a)}
        tests.append(f"{v}.__class__ is ndarray and {v}.shape == shape{k}")
        tests.append(f"({v}.dtype is dtype{k} or {v}.dtype == dtype{k})")
        tests.append(f"{v}.flags.c_contiguous")
        given.append(f"buffer(type{k}, {v})")
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
        results.append(_number(e.outputs[0], "result", form, scope))
    for k, a in enumerate(e.pointers):
        if a.shape:
            scope |= {f"out_dtype{k}": a.dtype, f"out_shape{k}": a.shape}
            scope[f"out_type{k}"] = native.c_array(a)
            before.append(f"out{k} = empty(out_shape{k}, out_dtype{k})")
            outs.append(f"buffer(out_type{k}, out{k}, True)")
            results.append(f"out{k}")
        else:
            scope[f"cell{k}"] = native.ffi.new(native.c_array(a), 1)
            outs.append(f"cell{k}")
            after.append(f"out{k} = cell{k}[0]")
            results.append(_number(a, f"out{k}", form, scope))
    return before, outs, after, results


def _number(a: Argument, value: str, form: Form, scope: dict[str, Any]) -> str:
    """A 0-d output: `value` is the Python number that cffi made of it."""
    if form.floats:
        return value if a.dtype.kind == "f" else f"float({value})"
    scope[f"as_{a.dtype.name}"] = a.dtype.type
    return f"as_{a.dtype.name}({value})"
