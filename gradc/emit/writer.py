"""The structured writer: nobody else types indentation, braces or loop headers.

Enters: lines, blocks, comments, each with the graph nodes it comes from. Leaves: text, and for
every line of it those node ids; and the headers that the lines need. Always holds: braces balance;
no line has trailing space.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

WIDTH = 100


def _folded(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_long_words=False)


class Writer:
    """Collects lines of C."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.nodes: list[tuple[int, ...]] = []
        self.needs: set[str] = set()
        self.loops: list[tuple[int, int]] = []  # first and last line, from 0
        self._depth = 0

    def need(self, *headers: str) -> None:
        """Note that what is written here needs these headers."""
        self.needs.update(headers)

    def line(self, text: str = "", nodes: Iterable[int] = ()) -> None:
        """One line at the present indentation; an empty text is an empty line."""
        self.lines.append(("    " * self._depth + text).rstrip())
        self.nodes.append(tuple(nodes))

    def statement(self, text: str, nodes: Iterable[int] = ()) -> None:
        """A statement of the form `target = expression;`, folded where it is too long: behind the
        equals sign, and between the words of what is still too long then.
        """
        room = WIDTH - 4 * self._depth
        if len(text) <= room:
            self.line(text, nodes)
            return
        target, equals, value = text.partition(" = ")
        parts = [f"{target} =", *_folded(value, room - 4)] if equals else _folded(text, room - 4)
        head, *rest = (*_folded(parts[0], room), *parts[1:])
        self.line(head, nodes)
        for part in rest:
            self.line(f"    {part}", nodes)

    @contextmanager
    def block(self, head: str, nodes: Iterable[int] = (), end: str = "}") -> Iterator[None]:
        """`head {`, the lines written inside, and the closing brace."""
        self.line(f"{head} {{".strip(), nodes)
        self._depth += 1
        yield
        self._depth -= 1
        self.line(end)

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """The other side of the `if` whose block has just ended."""
        self.lines[-1] += " else {"
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def loop(
        self,
        name: str,
        extent: int | str,
        nodes: Iterable[int] = (),
        step: int = 1,
        first: int | str = 0,
    ) -> Iterator[None]:
        """A loop over first <= name < extent; both are numbers, or expressions of outer names."""
        advance = f"++{name}" if step == 1 else f"{name} += {step}"
        head = len(self.lines)
        with self.block(f"for (size_t {name} = {first}; {name} < {extent}; {advance})", nodes):
            yield
        self.loops.append((head, len(self.lines) - 1))

    def comment(self, text: str, nodes: Iterable[int] = ()) -> None:
        """A comment, folded to the line width; what would end it or mislead is not shown."""
        text = text.replace("*/", "* /").replace("/*", "/ *")
        text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
        room = WIDTH - 4 * self._depth - 6
        parts = [p for line in text.split("\n") for p in (textwrap.wrap(line, room) or [""])]
        if len(parts) == 1:
            self.line(f"/* {parts[0]} */", nodes)
            return
        for k, part in enumerate(parts):
            end = " */" if k == len(parts) - 1 else ""
            self.line(f"{'/*' if k == 0 else ' *'} {part}{end}".rstrip(), nodes)

    def call(self, head: str, args: Iterable[str], end: str, nodes: Iterable[int] = ()) -> None:
        """`head(arg, arg, ...)end` on one line, or folded with the arguments indented."""
        args = list(args)
        text = f"{head}({', '.join(args)}){end}"
        if 4 * self._depth + len(text) <= WIDTH:
            self.line(text, nodes)
            return
        self.line(f"{head}(", nodes)
        room = WIDTH - 4 * self._depth - 4 - len(end)
        rows = [""]
        for arg in args:
            joined = f"{rows[-1]} {arg},".lstrip()
            if len(joined) > room and rows[-1]:
                rows.append(f"{arg},")
            else:
                rows[-1] = joined
        rows[-1] = rows[-1].rstrip(",") + ")" + end
        for row in rows:
            self.line(f"    {row}", nodes)

    def listed(self, items: Iterable[str]) -> None:
        """Items of an enumeration, one a line."""
        items = list(items)
        for k, item in enumerate(items):
            self.line(f"{item}{',' if k < len(items) - 1 else ''}")

    def parameters(
        self, head: str, rows: Sequence[tuple[str, str]], nodes: Iterable[int] = ()
    ) -> None:
        """`head(` and a line for each parameter, with its comment."""
        self.line(f"{head}(", nodes)
        ends = [*[","] * (len(rows) - 1), ")"]
        texts = zip(rows, ends, strict=True)
        self.table([(f"    {text}{end}", comment) for (text, comment), end in texts], nodes)

    def table(self, rows: Sequence[tuple[str, str]], nodes: Iterable[int] = ()) -> None:
        """A line for each text, with its comment behind it; the comments below one another if they
        fit, each above its line if it does not.
        """
        room = WIDTH - 4 * self._depth
        said = [(text, f" /* {comment} */" if comment else "") for text, comment in rows]
        width = max((len(text) for text, comment in said if comment), default=0)
        if any(width + len(comment) > room for _, comment in said):
            width = 0
        for text, comment in said:
            if len(text.ljust(width) + comment) > room:
                indent = " " * (len(text) - len(text.lstrip()))
                self.line(f"{indent}{comment.lstrip()}", nodes)
                comment = ""
            self.line(text.ljust(width) + comment, nodes)

    def folded(self, text: str, prefix: str, end: str) -> None:
        """A paragraph of a comment that is open already, each line after `prefix`, then `end`."""
        room = WIDTH - 4 * self._depth - len(prefix) - len(end)
        parts = textwrap.wrap(text, room)
        for k, part in enumerate(parts):
            self.line(f"{prefix}{part}{end if k == len(parts) - 1 else ''}")

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def extend(self, other: Writer) -> None:
        """Append what another writer holds."""
        shift = len(self.lines)
        self.loops += [(a + shift, b + shift) for a, b in other.loops]
        self.lines += other.lines
        self.nodes += other.nodes
        self.needs |= other.needs
