"""Diagnostics: every renderer, hard sources, and what a user sees of a traceback."""

from __future__ import annotations

import json
import linecache
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from gradc import diagnostics
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


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """`source(text)` writes model.py into the working directory and returns its full path."""
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "model.py")

    def write(text: str) -> str:
        Path(path).write_text(text, encoding="utf-8")
        linecache.checkcache(path)
        return path

    yield write
    linecache.cache.pop(path, None)


def place(path: str, line: int, col: int, width: int = 1) -> Place:
    return Place(path, line, col, line, col + width)


def rendered(*labels: Label, **fields: Any) -> str:
    return Diagnostic("error", "GC101", "message", labels, **fields).render()


def body(text: str) -> list[str]:
    """The lines of an excerpt that belong to the source: what stands after the bar."""
    return [line.partition("|")[2][1:] for line in text.splitlines() if "|" in line][1:]


def test_two_labels_on_one_line_are_drawn_as_the_rust_compiler_draws_them(
    source: Callable[[str], str],
) -> None:
    path = source("\n\n\n    return x @ w + b\n")
    diagnostic = Diagnostic(
        "error",
        "GC101",
        "`matmul` needs the inner axes to agree, got 64 and 32",
        (
            Label(place(path, 4, 15), "[32, 4]: first axis is 32"),
            Label(place(path, 4, 11), "[128, 64]: last axis is 64"),
        ),
        ("right operand is parameter `W2`",),
        ("give `W2` the shape [64, 4]",),
    )
    assert diagnostic.render("full").splitlines() == [
        "error[GC101]: `matmul` needs the inner axes to agree, got 64 and 32",
        " --> model.py:4:16",
        "  |",
        "4 |     return x @ w + b",
        "  |            -   ^ [32, 4]: first axis is 32",
        "  |            |",
        "  |            [128, 64]: last axis is 64",
        "  = note: right operand is parameter `W2`",
        "  = help: give `W2` the shape [64, 4]",
    ]


def test_texts_that_do_not_fit_beside_their_carets_hang_below(source: Callable[[str], str]) -> None:
    path = source("f(a, b, c)\n")
    labels = [Label(place(path, 1, c), t) for c, t in ((2, "first"), (5, "second"), (8, "third"))]
    assert body(rendered(*labels)) == [
        "f(a, b, c)",
        "  ^  -  - third",
        "  |  |",
        "  |  second",
        "  first",
    ]


def test_a_label_inside_another_one(source: Callable[[str], str]) -> None:
    path = source("x @ w\n")
    whole, left = Label(place(path, 1, 0, 5), "whole"), Label(place(path, 1, 0), "left")
    assert body(rendered(left, whole)) == ["x @ w", "^---- whole", "|", "left"]


def test_a_label_without_text_is_only_underlined(source: Callable[[str], str]) -> None:
    path = source("x @ w\n")
    assert body(rendered(Label(place(path, 1, 0, 5)))) == ["x @ w", "^^^^^"]


def test_an_expression_over_several_lines_is_underlined_on_each(
    source: Callable[[str], str],
) -> None:
    path = source("y = f(\n    a,\n    b)\n")
    text = rendered(Label(Place(path, 1, 4, 3, 6), "call"))
    assert body(text) == ["y = f(", "    ^^", "    a,", "    ^^", "    b)", "    ^^ call"]
    assert "model.py:1:5" in text


def test_of_a_long_expression_only_the_ends_are_shown(source: Callable[[str], str]) -> None:
    path = source("f(\n" + "  a,\n" * 20 + ")\n")
    lines = rendered(Label(Place(path, 1, 0, 22, 1), "call")).splitlines()
    assert [line for line in lines if line == "..."] == ["..."]
    assert lines[-1] == "   | ^ call"
    assert "22 | )" in lines


def test_lines_apart_are_separated_and_gutters_are_as_wide_as_the_longest_number(
    source: Callable[[str], str],
) -> None:
    path = source("\n".join(f"line{n}" for n in range(1, 13)))
    lines = rendered(
        Label(place(path, 12, 0, 6), "here"), Label(place(path, 2, 0, 5), "there"), notes=("n",)
    ).splitlines()
    assert lines[1:] == [
        "  --> model.py:12:1",
        "   |",
        " 2 | line2",
        "   | ----- there",
        "...",
        "12 | line12",
        "   | ^^^^^^ here",
        "   = note: n",
    ]


def test_labels_in_two_files(source: Callable[[str], str], tmp_path: Path) -> None:
    path = source("a + b\n")
    other = tmp_path / "other.py"
    other.write_text("c\n")
    text = rendered(Label(place(path, 1, 0)), Label(place(str(other), 1, 0), "defined here"))
    assert " --> model.py:1:1" in text
    assert " ::: other.py:1:1" in text
    assert "  | - defined here" in text


@pytest.mark.parametrize(
    ("line", "col", "width", "expected"),
    [
        ("\tx\t@ w", 3, 1, ["    x    @ w", "         ^"]),
        ("é = x", len("é = ".encode()), 1, ["é = x", "    ^"]),
        ("層 = x", len("層 = ".encode()), 1, ["層 = x", "     ^"]),
        ("層x", 0, 3, ["層x", "^^"]),
        ("e\u0301 = x", len("e\u0301 = ".encode()), 1, ["e\u0301 = x", "    ^"]),
        ("a\x1b[31m", 0, 1, ["a\ufffd[31m", "^"]),
        ("short", 50, 3, ["short", "     ^"]),
        ("empty", 2, 0, ["empty", "  ^"]),
    ],
    ids=["tabs", "accent", "wide", "wide-marked", "combining", "escape", "past-the-end", "empty"],
)
def test_carets_stand_under_what_they_mean(
    source: Callable[[str], str], line: str, col: int, width: int, expected: list[str]
) -> None:
    path = source(line + "\n")
    assert body(rendered(Label(place(path, 1, col, width)))) == expected


def test_missing_source_leaves_position_and_text() -> None:
    text = rendered(Label(place("<stdin>", 7, 3), "here"), helps=("do it",))
    assert text.splitlines() == [
        "error[GC101]: message",
        " --> <stdin>:7:4: here",
        "  = help: do it",
    ]


def test_at_most_three_notes_and_two_helps() -> None:
    text = rendered(notes=tuple("abcde"), helps=tuple("vwxyz"))
    assert [line.strip() for line in text.splitlines()[1:]] == [
        "= note: a",
        "= note: b",
        "= note: c",
        "= help: v",
        "= help: w",
    ]


def test_the_concise_form(source: Callable[[str], str]) -> None:
    path = source("é = x @ w\n")
    diagnostic = Diagnostic("error", "GC101", "message", (Label(place(path, 1, 5)),))
    assert diagnostic.render("concise") == "model.py:1:5: error[GC101]: message"
    assert Diagnostic("error", "GC1", "m").render("concise") == "error[GC1]: m"


def test_the_json_form_holds_every_part(source: Callable[[str], str]) -> None:
    path = source("é = x @ w\n")
    label = Label(Place(path, 1, 5, 1, 10), "here")
    diagnostic = Diagnostic("error", "GC101", "m", (label,), ("n",), ("h",))
    assert json.loads(diagnostic.render("json")) == {
        "level": "error",
        "code": "GC101",
        "message": "m",
        "labels": [
            {
                "file": path,
                "line": 1,
                "column": 5,
                "end_line": 1,
                "end_column": 10,
                "source": "é = x @ w",
                "text": "here",
            }
        ],
        "notes": ["n"],
        "helps": ["h"],
    }


def test_the_html_form_escapes_and_classes(source: Callable[[str], str]) -> None:
    path = source("x < w\n")
    diagnostic = Diagnostic("error", "GC1", "a < b & c", (Label(place(path, 1, 0), "<here>"),))
    text = diagnostic.render("html")
    assert text.startswith('<pre class="gradc-diagnostic"><b class="error">error[GC1]</b>')
    assert "a &lt; b &amp; c" in text
    assert '<b class="primary">^</b> <b class="primary">&lt;here&gt;</b>' in text
    assert "<here>" not in text
    nowhere = Diagnostic("error", "GC1", "m", (Label(place("<stdin>", 1, 0), "<here>"),))
    assert " --&gt; &lt;stdin&gt;:1:1: &lt;here&gt;" in nowhere.render("html")


def test_colour_only_when_asked(source: Callable[[str], str]) -> None:
    path = source("x\n")
    diagnostic = Diagnostic("error", "GC1", "m", (Label(place(path, 1, 0), "here"),))
    assert "\x1b" not in diagnostic.render("full")
    coloured = diagnostic.render("full", colour=True)
    assert coloured.startswith("\x1b[1;31merror[GC1]\x1b[0m: m")
    for code in ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == diagnostic.render("full")


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(ValueError, match='"concise"'):
        Diagnostic("error", "GC1", "m").render("fancy")


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


def test_other_exceptions_keep_every_frame(inside: dict[str, Any]) -> None:
    def users_function() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        inside["decorated"](users_function)
    assert "deep" in frames(caught.value)


def test_the_decorator_keeps_name_result_and_arguments() -> None:
    @user_errors
    def add(a: int, *, b: int = 1) -> int:
        """Adds."""
        return a + b

    assert (add(1), add(1, b=2), add.__name__, add.__doc__) == (2, 3, "add", "Adds.")
