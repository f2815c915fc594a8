"""From `file.py:name` to what it names, with the user's mistakes shown at the user's line.

Enters: a file and a name. Leaves: a training step, program or function. Always holds: the file is
run once, as a module beside which it may import; an exception of its own becomes a diagnostic.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ..errors import PACKAGE, GradcError, Label, Place, Span, UnsupportedError, fail
from ..program import Function, Program, TrainStep

Compiled = Function | Program | TrainStep


def load(path: str, name: str, **options: Any) -> tuple[ModuleType, Compiled]:
    """The module and the compiled object that `name` in it is, or that it returns when called.

    A function is called with those of `options` that it takes and that are not None.
    """
    module = _run(path)
    if not hasattr(module, name):
        others = [n for n, v in vars(module).items() if n[:1] != "_" and callable(v)]
        raise fail(
            GradcError,
            "GC912",
            f"`{path}` has no `{name}`",
            notes=(f"it has {', '.join(f'`{n}`' for n in others)}",) if others else (),
            helps=("name another: `gradc ... file.py:name`",),
        )
    value = getattr(module, name)
    if inspect.isfunction(value) and not hasattr(value, "specialisations"):
        value = call(value, path, **options)
    if not isinstance(value, Compiled):
        raise fail(
            GradcError,
            "GC913",
            f"`{name}` of `{path}` gives a `{type(value).__name__}`, which is not compiled",
            helps=(
                "let it be, or return, what `gd.train_step`, `gd.program` or `gd.compile` gives",
            ),
        )
    return module, value


def training_step(path: str, name: str, **options: Any) -> tuple[ModuleType, TrainStep]:
    """`load` for commands that need a training step."""
    module, value = load(path, name, **options)
    if not isinstance(value, TrainStep):
        raise fail(
            UnsupportedError,
            "GC914",
            f"`{name}` of `{path}` is a `{type(value).__name__}`: not a training step",
            helps=("name one that `gd.train_step` made",),
        )
    return module, value


def call(function: Callable[..., Any], path: str, **options: Any) -> Any:
    """Call a function of the user's file with those options it takes."""
    parameters = inspect.signature(function).parameters
    given = {k: v for k, v in options.items() if v is not None and k in parameters}
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in given
    ]  # fmt: skip
    if missing:
        raise fail(
            GradcError,
            "GC915",
            f"`{function.__name__}` of `{path}` needs {', '.join(f'`{n}`' for n in missing)}",
            labels=(Label(Place(path, function.__code__.co_firstlineno, 0, 0, 0)),),
            helps=("give its arguments defaults",),
        )
    try:
        return function(**given)
    except GradcError:
        raise
    except Exception as error:
        raise _users_mistake(error, path) from error


def _run(path: str) -> ModuleType:
    """Run the file as a module, with its folder on the path, as `python file.py` has it."""
    file = Path(path).resolve()
    if not file.is_file():
        raise fail(GradcError, "GC911", f"there is no file `{path}`")
    name = f"_gradc_{file.stem}"  # a file called random.py must not take the place of Python's
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except GradcError:
        raise
    except Exception as error:
        raise _users_mistake(error, str(file)) from error
    return module


def _users_mistake(error: Exception, path: str) -> GradcError:
    """An exception of the user's own code as a diagnostic at the line that raised it."""
    labels = [Label(s) for s in _spans(error.__traceback__, os.path.realpath(path))[-1:]]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        col = max((error.offset or 1) - 1, 0)
        end = max((error.end_offset or 0) - 1, col + 1)
        labels = [Label(Place(error.filename, error.lineno, col, error.lineno, end))]
    notes = []
    inner = _innermost(error.__traceback__)
    if inner is not None and inner.file.startswith(PACKAGE):
        notes = [
            f"raised inside gradc, at {inner.short}: if the call is right, this is gradc's bug"
        ]
    elif inner is not None and labels and inner.file != labels[0].span.file:
        notes = [f"raised at {inner.short}"]
    return fail(
        GradcError,
        "GC916",
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        labels=labels,
        notes=notes,
        helps=("`GRADC_TRACEBACK=full` shows the whole traceback",),
    )


def _spans(trace: TracebackType | None, file: str) -> list[Span]:
    """The places in `file` that a traceback goes through, outermost first."""
    found = []
    while trace is not None:
        if os.path.realpath(trace.tb_frame.f_code.co_filename) == file:
            found.append(Span(trace.tb_frame.f_code, trace.tb_lasti))
        trace = trace.tb_next
    return found


def _innermost(trace: TracebackType | None) -> Span | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else Span(trace.tb_frame.f_code, trace.tb_lasti)
