"""Diagnostics: every renderer, and sources that are hard to draw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_source
import pytest

from gradc.errors import Diagnostic, Label, Place

source = model_source.source  # a fixture


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
