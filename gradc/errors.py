"""Diagnostics and the exception classes.

Enters: what went wrong, where (a `Span` of the user's source), and what to do about it.
Leaves: exceptions whose text is the rendered diagnostic. Always holds: every exception gradc
raises on purpose is a `GradcError` that carries its `Diagnostic`; messages are lower case, have no
final period, and name things in backticks. How a diagnostic looks is `diagnostics`' matter.
"""

from __future__ import annotations

import ast
import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any, ParamSpec, TypeVar

from . import calls, diagnostics


@dataclass(frozen=True)
class Place:
    """A place in a file, given outright; stands wherever a `Span` does.

    Lines count from 1; columns from 0 and in bytes of UTF-8, as Python counts them.
    """

    file: str
    line: int
    col: int
    end_line: int
    end_col: int

    @property
    def text(self) -> str:
        """The source line, without its newline."""
        return diagnostics.source_line(self.file, self.line)

    @property
    def short(self) -> str:
        """`model.py:12`: the file's last name and the line."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"


class Span:
    """A place in the user's source: file, lines and columns, resolved only when asked for.

    Recording one costs a tuple (code object, instruction offset); the columns come from
    `co_positions()` the first time a property is read. Lines count from 1; columns from 0 and in
    bytes of UTF-8, as Python counts them.
    """

    __slots__ = ("_positions", "code", "lasti")

    def __init__(self, code: CodeType, lasti: int) -> None:
        self.code = code
        self.lasti = lasti
        self._positions: tuple[int, int, int, int] | None = None

    def _resolve(self) -> tuple[int, int, int, int]:
        if self._positions is None:
            found = list(self.code.co_positions())[self.lasti // 2]
            line = found[0] or self.code.co_firstlineno
            self._positions = (line, found[1] or line, found[2] or 0, found[3] or 0)
        return self._positions

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def function(self) -> str:
        return self.code.co_qualname

    @property
    def line(self) -> int:
        return self._resolve()[0]

    @property
    def end_line(self) -> int:
        return self._resolve()[1]

    @property
    def col(self) -> int:
        return self._resolve()[2]

    @property
    def end_col(self) -> int:
        return self._resolve()[3]

    @property
    def text(self) -> str:
        """The source line, without its newline."""
        return self.place.text

    @property
    def short(self) -> str:
        """`model.py:12`: the file's last name and the line."""
        return self.place.short

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.col, self.end_line, self.end_col)

    def operands(self) -> tuple[Place, ...]:
        """The operands of the operator, or the arguments of the call, that this span covers.

        Empty when the source is missing or is something else, so that a message can always fall
        back on the span itself.
        """
        first, last = self.line, self.end_line
        lines = [diagnostics.source_line(self.file, n).encode() for n in range(first, last + 1)]
        lines[-1] = lines[-1][: self.end_col]
        lines[0] = lines[0][self.col :]
        try:
            # The parentheses let an expression run over several lines.
            found = ast.parse(b"(" + b"\n".join(lines) + b")", mode="eval").body
        except (SyntaxError, ValueError):
            return ()
        parts = _operands(found)
        # Columns of the first line were shifted by what was cut off and by the parenthesis.
        shift = self.col - 1
        return tuple(
            Place(
                self.file,
                first + part.lineno - 1,
                part.col_offset + (shift if part.lineno == 1 else 0),
                first + (part.end_lineno or 1) - 1,
                (part.end_col_offset or 0) + (shift if part.end_lineno == 1 else 0),
            )
            for part in parts
        )

    def is_running(self) -> bool:
        """Whether a frame of the current stack is at this very instruction."""
        frame = sys._getframe(1)
        while True:
            if frame.f_code is self.code and frame.f_lasti == self.lasti:
                return True
            if frame.f_back is None:
                return False
            frame = frame.f_back

    def __reduce__(self) -> tuple[type[Place], tuple[str, int, int, int, int]]:
        # A code object cannot be pickled: what travels to another process is the place.
        return Place, (self.file, self.line, self.col, self.end_line, self.end_col)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.code, self.lasti) == (other.code, other.lasti)

    def __hash__(self) -> int:
        return hash((self.code, self.lasti))

    def __repr__(self) -> str:
        return f"{self.short}:{self.col + 1}"


def _operands(expression: ast.expr) -> list[ast.expr]:
    match expression:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.Compare(left=left, comparators=[right]):
            return [left, right]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.Subscript(value=value, slice=index):
            return [value, index]
        case ast.Call(args=args, keywords=[]) if not any(isinstance(a, ast.Starred) for a in args):
            return args
    return []


@dataclass(frozen=True)
class Label:
    """One place a diagnostic points at, and what stands there."""

    span: Span | Place
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One message to the user: what, where, why, and what to do.

    The first label is the primary one. At most three notes and two helps are shown.
    """

    level: str
    code: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def render(self, style: str = "full", *, colour: bool = False) -> str:
        """The diagnostic as text; `style` is "full", "concise", "json" or "html"."""
        match style:
            case "full":
                paint = diagnostics.ansi_paint if colour else diagnostics.plain_paint
                return diagnostics.full(self, paint)
            case "concise":
                return diagnostics.concise(self)
            case "json":
                return diagnostics.as_json(self)
            case "html":
                return diagnostics.as_html(self)
        raise ValueError(f'`style` is "full", "concise", "json" or "html", not {style!r}')

    def as_dict(self) -> dict[str, Any]:
        """The parts as JSON knows them."""
        return diagnostics.as_dict(self)


class GradcError(Exception):
    """Whatever gradc raises on purpose; `diagnostic` holds its parts."""

    diagnostic: Diagnostic

    def __init__(self, diagnostic: Diagnostic | str) -> None:
        if isinstance(diagnostic, str):
            diagnostic = Diagnostic("error", "GC000", diagnostic)
        self.diagnostic = diagnostic
        labels = diagnostic.labels
        running = bool(labels) and isinstance(labels[0].span, Span) and labels[0].span.is_running()
        super().__init__(diagnostics.exception_text(diagnostic, with_source=not running))

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
