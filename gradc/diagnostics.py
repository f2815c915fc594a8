"""A message to the user, and how it looks: full with carets, concise, JSON, HTML.

Enters: what is wrong, where, and what to do about it. Leaves: a `Diagnostic`, and its text. Always
holds: rendering never fails, whatever became of the source since (missing, changed, tabs, wide or
unprintable characters), and never writes an escape sequence that was not asked for.

The full form is that of the Rust compiler: the first label is the primary one and is underlined
with `^`, the others with `-`; what a label says stands after its underline, or below it on a line
of its own when something else stands to the right.
"""

from __future__ import annotations

import html
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .spans import Place, Span, character, characters, source_line

MAX_NOTES, MAX_HELPS = 3, 2
# A label over more lines than this shows its first and last only.
MAX_LINES = 4
TAB = "    "

# A painter turns a piece of text and what it is (one of the keys below) into output.
Painter = Callable[[str, str], str]
ANSI = {
    "error": "\x1b[1;31m", "warning": "\x1b[1;33m", "primary": "\x1b[1;31m",
    "secondary": "\x1b[1;34m", "gutter": "\x1b[1;34m", "text": "",
}  # fmt: skip


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
                paint = ansi_paint if colour else plain_paint
                return full(self, paint)
            case "concise":
                return concise(self)
            case "json":
                return as_json(self)
            case "html":
                return as_html(self)
        raise ValueError(f'`style` is "full", "concise", "json" or "html", not {style!r}')

    def as_dict(self) -> dict[str, Any]:
        """The parts as JSON knows them."""
        return as_dict(self)


def plain_paint(text: str, role: str) -> str:
    return text


def ansi_paint(text: str, role: str) -> str:
    start = ANSI.get(role, "")
    return f"{start}{text}\x1b[0m" if start and text.strip() else text


def html_paint(text: str, role: str) -> str:
    escaped = html.escape(text)
    return escaped if role == "text" or not text.strip() else f'<b class="{role}">{escaped}</b>'


def full(diagnostic: Diagnostic, paint: Painter = plain_paint) -> str:
    """The message, the source with carets, notes and helps."""
    head = paint(f"{diagnostic.level}[{diagnostic.code}]", diagnostic.level)
    message = paint(f": {diagnostic.message}", "text")
    return "\n".join([head + message, *excerpt(diagnostic, paint), *footer(diagnostic, paint)])


def concise(diagnostic: Diagnostic) -> str:
    """One line as an editor wants it: `file:line:col: error[GC101]: message`."""
    text = f"{diagnostic.level}[{diagnostic.code}]: {diagnostic.message}"
    return f"{position(diagnostic.labels[0].span)}: {text}" if diagnostic.labels else text


def as_html(diagnostic: Diagnostic) -> str:
    """A `<pre>` whose parts carry classes: error, warning, primary, secondary, gutter."""
    return f'<pre class="gradc-diagnostic">{full(diagnostic, html_paint)}</pre>'


def as_json(diagnostic: Diagnostic) -> str:
    return json.dumps(as_dict(diagnostic), ensure_ascii=False)


def as_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    """The parts as JSON knows them; lines and columns count from 1, columns in characters."""
    labels = []
    for label in diagnostic.labels:
        span = label.span
        labels.append(
            {
                "file": span.file,
                "line": span.line,
                "column": character(span.file, span.line, span.col) + 1,
                "end_line": span.end_line,
                "end_column": character(span.file, span.end_line, span.end_col) + 1,
                "source": source_line(span.file, span.line),
                "text": label.text,
            }
        )
    return {
        "level": diagnostic.level,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "labels": labels,
        "notes": list(diagnostic.notes),
        "helps": list(diagnostic.helps),
    }


def exception_text(diagnostic: Diagnostic, *, with_source: bool) -> str:
    """The text of an exception.

    Python draws the source and its carets itself while the user's line is still running; then the
    position is enough (`with_source=False`).
    """
    head = f"{diagnostic.message} [{diagnostic.code}]"
    places = excerpt(diagnostic, plain_paint) if with_source else positions(diagnostic.labels)
    return "\n".join([head, *places, *footer(diagnostic, plain_paint)])


def footer(diagnostic: Diagnostic, paint: Painter) -> list[str]:
    """The notes, then the helps."""
    indent = " " * len(_widest(diagnostic.labels))
    shown = [("note", note) for note in diagnostic.notes[:MAX_NOTES]]
    shown += [("help", text) for text in diagnostic.helps[:MAX_HELPS]]
    return [
        paint(f"{indent} = ", "gutter") + paint(f"{kind}: {text}", "text") for kind, text in shown
    ]


def positions(labels: Sequence[Label]) -> list[str]:
    """One line for each label, without source."""
    return [
        f" --> {position(label.span)}" + (f": {label.text}" if label.text else "")
        for label in labels
    ]


def position(span: Span | Place) -> str:
    """`model.py:4:16`; a path below the working directory is shown relative to it."""
    column = character(span.file, span.line, span.col) + 1
    return f"{shown_path(span.file)}:{span.line}:{column}"


def shown_path(file: str) -> str:
    if os.path.isabs(file):
        below = os.path.join(os.getcwd(), "")
        if file.startswith(below):
            return file[len(below) :]
    return file


@dataclass(frozen=True)
class Mark:
    """One underlined stretch of one line, in columns of the terminal; `text` may be empty."""

    start: int
    end: int
    text: str
    role: str  # "primary" or "secondary"


def _display(text: str) -> tuple[str, list[int]]:
    """A line as shown, and the terminal's column of each of its characters (and of its end)."""
    shown, columns, width = [], [], 0
    for char in text:
        columns.append(width)
        if char == "\t":
            char = TAB
        elif not char.isprintable():
            char = "\N{REPLACEMENT CHARACTER}"
        shown.append(char)
        if unicodedata.combining(char[0]) == 0:
            wide = unicodedata.east_asian_width(char[0]) in "WF"
            width += 2 if wide else len(char)
    columns.append(width)
    return "".join(shown), columns


def excerpt(diagnostic: Diagnostic, paint: Painter) -> Iterator[str]:
    """The source lines the labels point at, file by file, with the labels drawn under them."""
    width = len(_widest(diagnostic.labels))
    files = dict.fromkeys(label.span.file for label in diagnostic.labels)
    for i, file in enumerate(files):
        labels = [label for label in diagnostic.labels if label.span.file == file]
        drawn = [label for label in labels if source_line(file, label.span.line)]
        for label in labels:
            if label not in drawn:
                yield paint(" " * width + positions([label])[0][1:], "text")
        if drawn:
            arrow = "-->" if i == 0 else ":::"
            yield paint(" " * width + f"{arrow} ", "gutter") + paint(
                position(drawn[0].span), "text"
            )
            primary = diagnostic.labels[0]
            yield from _file_lines(file, drawn, primary, width, paint)


def _widest(labels: Sequence[Label]) -> str:
    """The longest line number; all gutters are as wide."""
    return str(max((label.span.end_line for label in labels), default=0))


def _file_lines(
    file: str, labels: Sequence[Label], primary: Label, width: int, paint: Painter
) -> Iterator[str]:
    marks: dict[int, list[Mark]] = {}
    for label in labels:
        role = "primary" if label is primary else "secondary"
        for line, mark in _marks(label, role):
            marks.setdefault(line, []).append(mark)
    bar = paint(f"{'':{width}} |", "gutter")
    yield bar
    last = min(marks)
    for line in sorted(marks):
        if line > last + 1:
            yield paint("...", "gutter")
        last = line
        shown, _ = _display(source_line(file, line))
        yield f"{paint(f'{line:{width}} |', 'gutter')} {paint(shown, 'text')}"
        for row in _mark_rows(marks[line]):
            yield f"{bar} {_paint_row(row, paint)}"


def _marks(label: Label, role: str) -> Iterator[tuple[int, Mark]]:
    """The label's stretch of each of its lines; its text belongs to the last."""
    span = label.span
    lines = list(range(span.line, max(span.line, span.end_line) + 1))
    if len(lines) > MAX_LINES:
        lines = [lines[0], lines[-1]]
    for line in lines:
        text = source_line(span.file, line)
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        if line == span.line:
            start = characters(text, span.col)
        if line == span.end_line:
            end = characters(text, span.end_col)
        _, columns = _display(text)
        # A file that changed since may be shorter than the span says.
        start, end = min(start, len(columns) - 1), min(end, len(columns) - 1)
        first = columns[start]
        said = label.text if line == lines[-1] else ""
        yield line, Mark(first, max(columns[max(start, end)], first + 1), said, role)


# A row of cells: each a character and what it is.
Row = list[tuple[str, str]]


def _mark_rows(marks: Sequence[Mark]) -> Iterator[Row]:
    """The underlines of one line, and below them what does not fit beside them."""
    underline: Row = []
    for mark in sorted(marks, key=lambda m: m.role == "primary"):  # the primary one is on top
        sign = "^" if mark.role == "primary" else "-"
        _write(underline, mark.start, sign * (mark.end - mark.start), mark.role)
    said = sorted((m for m in marks if m.text), key=lambda m: m.start)
    if said and said[-1].end == len(underline):
        mark = said.pop()
        _write(underline, len(underline) + 1, mark.text, mark.role)
    yield underline
    if said:
        yield _bars(said)
    while said:
        mark = said.pop()
        row = _bars([m for m in said if m.start < mark.start])
        _write(row, mark.start, mark.text, mark.role)
        yield row


def _bars(marks: Sequence[Mark]) -> Row:
    """A `|` under the start of each mark, leading down to its text."""
    row: Row = []
    for mark in marks:
        _write(row, mark.start, "|", mark.role)
    return row


def _write(row: Row, column: int, text: str, role: str) -> None:
    row.extend([(" ", "text")] * (column + len(text) - len(row)))
    row[column : column + len(text)] = [(char, role) for char in text]


def _paint_row(row: Row, paint: Painter) -> str:
    """Paint runs of equal role as one piece."""
    pieces: list[tuple[str, str]] = []
    for char, role in row:
        if pieces and pieces[-1][1] == role:
            pieces[-1] = (pieces[-1][0] + char, role)
        else:
            pieces.append((char, role))
    return "".join(paint(text, role) for text, role in pieces).rstrip()
