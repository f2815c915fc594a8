"""The trace that is running: where nodes are added, and whose line of code they come from.

Enters: op names, argument ids, attributes. Leaves: node ids in the trace's builder. Always holds:
every node carries the span of the innermost frame that is not gradc's own (a gradient node that of
the forward node it derives), and so does every error raised on the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from ..dtypes import DType, default_float
from ..errors import GradcError, Label, Span, TraceError, fail
from ..graph import NO_ATTRS, Builder, Node

E = TypeVar("E", bound=GradcError)
LARGEST_CONSTANT = 1 << 20
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


# Libraries whose functions call back into gradc: their frames are not the user's.
LIBRARIES = ("jax", "jaxlib", "numpy", "scipy", "torch")


def _is_users(file: str, module: str) -> bool:
    return not file.startswith(PACKAGE) and module.partition(".")[0] not in LIBRARIES


def user_span() -> Span | None:
    """The place in the user's source that is being executed: the innermost frame not of gradc."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_users(frame.f_code.co_filename, frame.f_globals.get("__name__", "")):
            return Span(frame.f_code, frame.f_lasti)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def error(kind: type[E], code: str, message: str, **parts: Any) -> E:
    """An exception (made, not raised) that points at the user's current line."""
    return fail(kind, code, message, span=user_span(), **parts)


def located(found: E, span: Span | None, labels: Sequence[Label] = ()) -> E:
    """The same exception pointing at `span`, unless it points somewhere already."""
    if found.diagnostic.labels or (span is None and not labels):
        return found
    marks = tuple(labels) or (Label(span),) if span else tuple(labels)
    return type(found)(replace(found.diagnostic, labels=marks))


def located_by_traceback(found: E, trace: TracebackType | None) -> E:
    """The same exception pointing at the innermost user frame it came through."""
    span = None
    while trace is not None:
        frame = trace.tb_frame
        if _is_users(frame.f_code.co_filename, frame.f_globals.get("__name__", "")):
            span = Span(frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return located(found, span)


class Trace:
    """One function being traced.

    `cotangents` remembers which node is the gradient of which, to name it `d_<name>` at the end. An
    array of more than `largest_constant` elements has to be an argument (None: there is no limit).
    """

    def __init__(self, largest_constant: int | None = LARGEST_CONSTANT) -> None:
        self.largest_constant = largest_constant
        self.builder = Builder()
        self.is_open = True
        self.cotangents: dict[int, int] = {}
        self._forward: Node | None = None

    def add(
        self,
        op: str,
        args: Sequence[int],
        attrs: Mapping[str, Any] = NO_ATTRS,
        *,
        unique: bool = False,
    ) -> int:
        """The id of the node `op(*args, **attrs)`, at the current span."""
        if not self.is_open:
            raise error(
                TraceError,
                "GC201",
                "a traced value is used after the function that made it has ended",
                helps=("return the value from the function instead of keeping it elsewhere",),
            )
        forward = self._forward
        span, of = (forward.span, forward.id) if forward else (user_span(), None)
        try:
            return self.builder.add(op, args, attrs, span=span, of=of, unique=unique)
        except GradcError as found:
            raise located(found, span) from None

    @property
    def default_float(self) -> DType:
        """The dtype of a real Python scalar that meets no array in this trace."""
        return default_float([self.builder.nodes[i].dtype for i in self.builder.inputs])

    @contextmanager
    def deriving(self, forward: Node) -> Iterator[None]:
        """Nodes added meanwhile belong to the gradient of `forward`."""
        before = self._forward
        self._forward = forward
        try:
            yield
        finally:
            self._forward = before

    @contextmanager
    def running(self) -> Iterator[None]:
        """This is the current trace meanwhile; afterwards its values cannot be used any more."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self.is_open = False


_current: ContextVar[Trace | None] = ContextVar("gradc_trace", default=None)


def current_trace() -> Trace | None:
    """The innermost trace that is running, if any."""
    return _current.get()
