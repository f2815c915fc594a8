"""Spans, exceptions, and what a user sees of a traceback."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import model_source
import pytest

from gradc import diagnostics
from gradc.calls import usage
from gradc.errors import (
    ArgumentError,
    BuildError,
    CheckpointError,
    DataError,
    Diagnostic,
    DTypeError,
    GradcError,
    Label,
    NonFiniteError,
    Place,
    ShapeError,
    Span,
    TraceError,
    UnsupportedError,
    fail,
    user_errors,
)

source = model_source.source  # a fixture


# Spans ----------------------------------------------------------------------------------------


def spans_of(text: str, path: str, opcode_line: int = 1) -> list[Span]:
    """A span of every instruction of `text` that lies on a line, widest first."""
    code = compile(text, path, "exec")
    found = [
        Span(code, 2 * i)
        for i, (line, _, col, end) in enumerate(code.co_positions())
        if line == opcode_line and col is not None and end is not None
    ]
    return sorted(found, key=lambda s: (s.end_line, s.end_col - s.col), reverse=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x @ w\n", ["x", "w"]),
        ("é @ (w + 1)\n", ["é", "w + 1"]),
        ("f(x, w)\n", ["x", "w"]),
        ("-x\n", ["x"]),
        ("x < w\n", ["x", "w"]),
        ("x[w]\n", ["x", "w"]),
        ("f(x, axis=w)\n", []),
        ("f(*x)\n", []),
    ],
)
def test_the_operands_of_a_span(
    source: Callable[[str], str], text: str, expected: list[str]
) -> None:
    path = source(text)
    span = spans_of(text, path)[0]
    raw = text.encode()
    assert [raw[p.col : p.end_col].decode() for p in span.operands()] == expected


def test_operands_over_several_lines(source: Callable[[str], str]) -> None:
    text = "(xx @\n   ww)\n"
    path = source(text)
    assert spans_of(text, path)[0].operands() == (Place(path, 1, 1, 1, 3), Place(path, 2, 3, 2, 5))


def test_operands_without_source_are_none() -> None:
    assert spans_of("x @ w", "<nowhere>")[0].operands() == ()


def test_a_span_knows_its_place(source: Callable[[str], str]) -> None:
    text = "def f(x, w):\n    return x @ w\n"
    path = source(text)
    code = next(c for c in compile(text, path, "exec").co_consts if isinstance(c, CodeType))
    span = next(s for i in range(len(code.co_code) // 2) if (s := Span(code, 2 * i)).col == 11)
    assert (span.file, span.function, span.line, span.short) == (path, "f", 2, "model.py:2")
    assert span.text == "    return x @ w"
    assert pickle.loads(pickle.dumps(span)) == span.place


# Exceptions -----------------------------------------------------------------------------------

BUILTINS = {
    ShapeError: ValueError,
    DTypeError: TypeError,
    UnsupportedError: NotImplementedError,
    DataError: ValueError,
    ArgumentError: ValueError,
    CheckpointError: ValueError,
    NonFiniteError: FloatingPointError,
    TraceError: Exception,
    BuildError: Exception,
}


@pytest.mark.parametrize("kind", BUILTINS, ids=lambda k: k.__name__)
def test_every_class_is_a_gradc_error_and_what_python_calls_it(kind: type[GradcError]) -> None:
    error = fail(kind, "GC1", "it went wrong", notes=("n",), helps=("h",))
    assert isinstance(error, GradcError)
    assert isinstance(error, BUILTINS[kind])
    assert error.diagnostic == Diagnostic("error", "GC1", "it went wrong", (), ("n",), ("h",))
    assert str(error).splitlines() == ["it went wrong [GC1]", "  = note: n", "  = help: h"]


def test_a_plain_message_becomes_a_diagnostic() -> None:
    assert GradcError("oh").diagnostic == Diagnostic("error", "GC000", "oh")


def test_an_exception_can_be_pickled(source: Callable[[str], str]) -> None:
    path = source("x @ w\n")
    span = spans_of("x @ w\n", path)[0]
    error = fail(ShapeError, "GC1", "m", span=span)
    error.add_note("while training")
    copy = pickle.loads(pickle.dumps(error))
    assert copy.diagnostic.labels == (Label(span.place),)
    assert (str(copy), copy.__notes__) == (str(error), ["while training"])


def test_the_text_shows_the_source_unless_python_does(source: Callable[[str], str]) -> None:
    text = "def f(check):\n    return check()\n"
    path = source(text)
    scope: dict[str, Any] = {}
    exec(compile(text, path, "exec"), scope)

    def check() -> str:
        frame = sys._getframe(1)
        return str(fail(ShapeError, "GC1", "m", span=Span(frame.f_code, frame.f_lasti)))

    assert scope["f"](check).splitlines() == ["m [GC1]", " --> model.py:2:12"]
    late = fail(ShapeError, "GC1", "m", span=Span(scope["f"].__code__, 0))
    assert "1 | def f(check):" in str(late)


# Tracebacks: a module that pretends to lie in gradc's folder -----------------------------------

INSIDE = """
from gradc.errors import ShapeError, fail, user_errors

def deep(function):
    if function is None:
        raise fail(ShapeError, "GC1", "too deep")
    return function()

@user_errors
def decorated(function):
    return deep(function)

def managed(function):
    with user_errors:
        return deep(function)

@user_errors
def outer(function):
    return decorated(function)
"""


@pytest.fixture
def inside() -> dict[str, Any]:
    path = str(Path(diagnostics.__file__).parent / "pretended.py")
    scope: dict[str, Any] = {}
    exec(compile(INSIDE, path, "exec"), scope)
    return scope


def frames(error: BaseException) -> list[str]:
    return [f.name for f in traceback.extract_tb(error.__traceback__)]


ENTRIES = ["decorated", "managed", "outer"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_gradcs_own_frames_are_cut(inside: dict[str, Any], entry: str) -> None:
    def users_function() -> None:
        inside["deep"](None)

    with pytest.raises(ShapeError, match="too deep") as caught:
        inside[entry](users_function)
    own = "test_gradcs_own_frames_are_cut"
    assert frames(caught.value) == [own, "users_function"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_environment_keeps_them(
    inside: dict[str, Any], entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADC_TRACEBACK", "full")
    with pytest.raises(ShapeError, match="too deep") as caught:
        inside[entry](None)
    assert frames(caught.value)[-1] == "deep"


def test_an_error_without_frames_of_the_user_ends_at_the_call(inside: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="too deep") as caught:
        inside["decorated"](None)
    assert frames(caught.value) == ["test_an_error_without_frames_of_the_user_ends_at_the_call"]


def test_an_exception_of_the_users_own_shows_the_users_frames(inside: dict[str, Any]) -> None:
    def users_function() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        inside["decorated"](users_function)
    assert frames(caught.value)[-1] == "users_function"
    assert "deep" not in frames(caught.value)


def test_an_exception_that_gradc_did_not_mean_to_raise_keeps_every_frame(
    inside: dict[str, Any],
) -> None:
    with pytest.raises(TypeError) as caught:
        inside["decorated"](0)  # which cannot be called
    assert "deep" in frames(caught.value)


def test_a_call_that_does_not_fit_says_what_the_function_takes() -> None:
    @user_errors
    @usage("give the data as one tuple")
    def fit(data: int, epochs: int = 1, *, lr: float = 0.1) -> int:
        return data

    def said(*args: Any, **options: Any) -> str:
        with pytest.raises(ArgumentError) as caught:
            fit(*args, **options)
        assert frames(caught.value) == ["said"]
        return "; ".join([caught.value.diagnostic.message, *caught.value.diagnostic.helps])

    form = "give the data as one tuple; call it as `fit(data, epochs=..., *, lr=...)`"
    assert said() == f"`fit` needs `data`; {form}"
    assert said(1, 2, 3) == f"`fit` takes 2 arguments in order (data, epochs), got 3; {form}"
    assert said(1, 2, epochs=3) == (
        f"`fit` is given `epochs` twice, in its place and by name; {form}"
    )
    assert said(1, epoch=3) == "`fit` has no argument `epoch`; write `epochs=` instead of `epoch=`"
    assert said(1, learning_rate=3) == (
        "`fit` has no argument `learning_rate`; write `lr=` instead of `learning_rate=`"
    )
    assert said(1, verbose=3) == f"`fit` has no argument `verbose`; {form}"


def test_the_decorator_keeps_name_result_and_arguments() -> None:
    @user_errors
    def add(a: int, *, b: int = 1) -> int:
        """Adds."""
        return a + b

    assert (add(1), add(1, b=2), add.__name__, add.__doc__) == (2, 3, "add", "Adds.")
