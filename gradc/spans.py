"""Places in the user's source, and what is written there.

Enters: a code object and the offset of an instruction, or a file and a line. Leaves: lines and
columns, source lines, the places of operands. Always holds: nothing is looked up before it is asked
for, and a source that is missing or has changed gives an empty text, never an error.
"""

from __future__ import annotations

import ast
import linecache
import sys
from dataclasses import dataclass
from types import CodeType


def source_line(file: str, line: int) -> str:
    """A line of a file, without its newline; empty if there is none."""
    return linecache.getline(file, line).rstrip("\r\n")


def character(file: str, line: int, byte: int) -> int:
    """Python counts columns in bytes of UTF-8; people and editors count characters."""
    return characters(source_line(file, line), byte)


def characters(text: str, byte: int) -> int:
    """How many characters the first `byte` bytes of a text are."""
    if text.isascii():
        return byte
    return len(text.encode("utf-8", "replace")[:byte].decode("utf-8", "replace"))


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
        return source_line(self.file, self.line)

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
        lines = [source_line(self.file, n).encode() for n in range(first, last + 1)]
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
