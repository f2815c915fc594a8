"""Diagnostics and the exception classes.

Enters: what went wrong, where (a `Span` of the user's source), and what to do about it.
Leaves: exceptions whose text is the rendered diagnostic. Always holds: every exception gradc
raises on purpose is a `GradcError` that carries its `Diagnostic`; messages are lower case, have no
final period, and name things in backticks.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeVar


class Span:
    """A place in the user's source: file, lines and columns, resolved only when asked for.

    Recording one costs a tuple (code object, instruction offset); the columns come from
    `co_positions()` the first time a property is read. Lines count from 1, columns from 0.
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
        return linecache.getline(self.file, self.line).rstrip("\n")

    @property
    def short(self) -> str:
        """`model.py:12`: the file's last name and the line."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.code, self.lasti) == (other.code, other.lasti)

    def __hash__(self) -> int:
        return hash((self.code, self.lasti))

    def __repr__(self) -> str:
        return f"{self.short}:{self.col + 1}"


@dataclass(frozen=True)
class Label:
    """One place a diagnostic points at, and what stands there."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One message to the user: what, where, why, and what to do."""

    level: str
    code: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def render(self, style: str = "full") -> str:
        """The diagnostic as text; `style` is "full", "concise", "json" or "html"."""
        head = f"{self.level}[{self.code}]: {self.message}"
        lines = [head]
        for label in self.labels:
            lines.append(f" --> {label.span.file}:{label.span.line}:{label.span.col + 1}")
        lines += [f"  = note: {n}" for n in self.notes] + [f"  = help: {h}" for h in self.helps]
        return "\n".join(lines)


class GradcError(Exception):
    """Whatever gradc raises on purpose; `diagnostic` holds its parts."""

    diagnostic: Diagnostic

    def __init__(self, diagnostic: Diagnostic | str) -> None:
        if isinstance(diagnostic, str):
            diagnostic = Diagnostic("error", "GC000", diagnostic)
        self.diagnostic = diagnostic
        super().__init__(diagnostic.render("full"))


class TraceError(GradcError):
    """The function cannot be traced, or its gradient cannot be derived."""


class ShapeError(GradcError, ValueError):
    """Shapes do not fit each other, or do not fit the spec."""


class DTypeError(GradcError, TypeError):
    """Dtypes do not fit each other, or do not fit the spec."""


class UnsupportedError(GradcError, NotImplementedError):
    """A NumPy or Python feature that gradc cannot compile."""


class DataError(GradcError, ValueError):
    """Data handed to a compiled program is wrong: empty, of unequal lengths, out of range."""


class CheckpointError(GradcError, ValueError):
    """A checkpoint is truncated, foreign, or of another program."""


class BuildError(GradcError):
    """No C compiler, or the compiler refused the generated C."""


class NonFiniteError(GradcError, FloatingPointError):
    """A value that must be finite is NaN or infinite."""


E = TypeVar("E", bound=Exception)


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
    """Make (do not raise) an exception of `kind` that carries a `Diagnostic`.

    `kind` is one of the classes above, or a built-in exception where Python's own meaning is the
    exact one (`TypeError` for a wrong call).
    """
    if span is not None and not labels:
        labels = (Label(span),)
    diagnostic = Diagnostic("error", code, message, tuple(labels), tuple(notes), tuple(helps))
    if issubclass(kind, GradcError):
        return kind(diagnostic)
    error: Any = kind(diagnostic.render("full"))
    error.diagnostic = diagnostic
    return error  # type: ignore[no-any-return]
