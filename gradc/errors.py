"""The exception classes, and the tracebacks that users see of them.

Enters: what went wrong, where (a `Span` of the user's source), and what to do about it.
Leaves: exceptions whose text is the rendered diagnostic. Always holds: every exception gradc
raises on purpose is a `GradcError` that carries its `Diagnostic`; messages are lower case, have no
final period, and name things in backticks. How a diagnostic looks is `diagnostics`' matter.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from . import calls
from .diagnostics import Diagnostic as Diagnostic
from .diagnostics import Label as Label
from .diagnostics import exception_text
from .spans import Place as Place
from .spans import Span as Span


class GradcError(Exception):
    """Whatever gradc raises on purpose; `diagnostic` holds its parts."""

    diagnostic: Diagnostic

    def __init__(self, diagnostic: Diagnostic | str) -> None:
        if isinstance(diagnostic, str):
            diagnostic = Diagnostic("error", "GC000", diagnostic)
        self.diagnostic = diagnostic
        labels = diagnostic.labels
        running = bool(labels) and isinstance(labels[0].span, Span) and labels[0].span.is_running()
        super().__init__(exception_text(diagnostic, with_source=not running))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.diagnostic,), self.__dict__


class TraceError(GradcError):
    """The function cannot be traced, or its gradient cannot be derived."""


class ShapeError(GradcError, ValueError):
    """Shapes do not fit each other, or do not fit the spec."""


class DTypeError(GradcError, TypeError):
    """Dtypes do not fit each other, or do not fit the spec."""


class UnsupportedError(GradcError, NotImplementedError):
    """A NumPy or Python feature that gradc cannot compile."""


class ArgumentError(GradcError, ValueError, TypeError):
    """An argument of one of gradc's own functions is wrong, in kind or in value."""


class UnknownNameError(GradcError, KeyError):
    """A name that is not among those of a state or of a model's parameters."""

    __str__ = Exception.__str__  # a KeyError shows the quoted `repr` of its text


class NoAttributeError(UnsupportedError, AttributeError):
    """An attribute that a traced value does not have."""


class DataError(GradcError, ValueError):
    """Data handed to a compiled program is wrong: empty, of unequal lengths, out of range."""


class CheckpointError(GradcError, ValueError):
    """A checkpoint is truncated, foreign, or of another program."""


class BuildError(GradcError):
    """No C compiler, or the compiler refused the generated C."""


class NonFiniteError(GradcError, FloatingPointError):
    """A value that must be finite is NaN or infinite."""


E = TypeVar("E", bound=GradcError)


def fail(
    kind: type[E],
    code: str,
    message: str,
    *,
    span: Span | None = None,
    labels: Sequence[Label] = (),
    notes: Sequence[str] = (),
    helps: Sequence[str] = (),
) -> E:
    """Make (do not raise) an exception of `kind` that carries a `Diagnostic`."""
    if span is not None and not labels:
        labels = (Label(span),)
    return kind(Diagnostic("error", code, message, tuple(labels), tuple(notes), tuple(helps)))


P = ParamSpec("P")
R = TypeVar("R")
PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def users_traceback(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of gradc itself: it then ends at the user's own line.

    The environment variable `GRADC_TRACEBACK=full` keeps them.
    """
    if os.environ.get("GRADC_TRACEBACK") == "full":
        return trace
    kept = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            kept.append(trace)
        trace = trace.tb_next
    for here, following in zip(kept, [*kept[1:], None], strict=False):
        here.tb_next = following
    return kept[0] if kept else None


class _UserErrors:
    """Decorator and context manager for public entry points: see `user_errors`."""

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def entry(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                wrong = None
                if isinstance(error, TypeError) and not isinstance(error, GradcError):
                    wrong = calls.misfit(function, args, kwargs)
                if wrong is None:
                    show_to_user(error)
                    # A bare `raise` adds no frame of its own, so this one does not show either.
                    raise
            try:
                raise fail(ArgumentError, "GC440", wrong[0], helps=wrong[1])
            except ArgumentError as error:
                error.__traceback__ = None
                raise

        return entry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            show_to_user(error)


def show_to_user(error: BaseException) -> None:
    """Cut gradc's own frames from an exception and from those it came of.

    An exception that gradc raised without meaning to is gradc's bug: it keeps them all.
    """
    if not isinstance(error, GradcError) and _ends_inside(error.__traceback__):
        return
    while error is not None:
        error.__traceback__ = users_traceback(error.__traceback__)
        hidden = error.__cause__ is None and error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)  # type: ignore[assignment]


def _ends_inside(trace: TracebackType | None) -> bool:
    """Whether the innermost frame is one of gradc's own."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename.startswith(PACKAGE)


user_errors = _UserErrors()
"""Cuts gradc's own frames from the traceback of what leaves a public function.

    @user_errors
    def trace(fn, *args): ...

A call that does not fit the function's signature becomes an `ArgumentError`; an exception of the
user's own code stays what it is.
"""
