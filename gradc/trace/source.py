"""What the user's code is doing at a place: which expression, inside of which statement.

Enters: a `Span` of the frame that runs, or a function. Leaves: syntax trees, pieces of source text,
places. Always holds: everything here is for messages; where the source is missing or says something
else, the answer is empty and the message is a plainer one.
"""

from __future__ import annotations

import ast
import dis
import functools
import linecache
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import PACKAGE, Place, Span

LONGEST = 60  # characters of source that a message repeats


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _tree(file: str) -> ast.Module | None:
    return _parsed("".join(linecache.getlines(file)))


def around(span: Span | None) -> list[ast.AST]:
    """The expressions and statements around a span, innermost first."""
    tree = None if span is None else _tree(span.file)
    if span is None or tree is None:
        return []
    start, end = (span.line, span.col), (span.end_line, span.end_col)
    found: list[ast.AST] = []
    node: ast.AST | None = tree
    while node is not None:
        node = next((child for child in _positioned(node) if _covers(child, start, end)), None)
        if node is not None:
            found.insert(0, node)
    return found


def _positioned(node: ast.AST) -> list[ast.AST]:
    """The children that have a position; a comprehension's clause and a call's keyword do not."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found += [child] if hasattr(child, "lineno") else _positioned(child)
    return found


def _covers(node: Any, start: tuple[int, int], end: tuple[int, int]) -> bool:
    first, last = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return bool(first <= start and end <= last)


def instruction(span: Span) -> str:
    """The name of the instruction that is being run: `CALL`, `BINARY_OP`, ..."""
    return dis.opname[span.code.co_code[span.lasti]]


def text_of(node: ast.AST, otherwise: str = "") -> str:
    """The source of an expression, if it is short."""
    text = ast.unparse(node)
    return text if len(text) <= LONGEST and "\n" not in text else otherwise


def called(span: Span | None) -> tuple[str, list[str]]:
    """The function that is being called and its arguments, as written: `("math.exp", ["x"])`."""
    nodes = around(span)
    if span is None or not nodes or "CALL" not in instruction(span):
        return "", []
    if not isinstance(nodes[0], ast.Call):
        return "", []
    return text_of(nodes[0].func), [text_of(a, "...") for a in nodes[0].args]


def receiver(span: Span | None) -> str:
    """What stands before the dot of the attribute that is being read."""
    nodes = around(span)
    inner = next((n for n in nodes if isinstance(n, ast.Attribute)), None)
    return text_of(inner.value, "x") if inner is not None else "x"


def place_of_result(fn: Callable[..., Any]) -> Place | None:
    """Where a function of the user's returns, if it does so once; else its first line."""
    fn = getattr(fn, "__func__", fn)
    code = getattr(fn, "__code__", None) or getattr(type(fn).__call__, "__code__", None)
    if code is None or code.co_filename.startswith(PACKAGE):
        return None
    tree = _tree(code.co_filename)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, (ast.FunctionDef, ast.Lambda)) and _first_line(node) == (
            code.co_firstlineno
        ):
            return _result(node, code.co_filename)
    return Place(code.co_filename, code.co_firstlineno, 0, code.co_firstlineno, 0)


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min([node.lineno, *(d.lineno for d in decorators)])


def _result(node: ast.FunctionDef | ast.Lambda, file: str) -> Place:
    if isinstance(node, ast.Lambda):
        shown: ast.AST = node.body
    else:
        inner = {id(n) for d in ast.walk(node) if d is not node and isinstance(d, ast.FunctionDef)
                 for n in ast.walk(d)}  # fmt: skip
        returns = [n for n in ast.walk(node) if isinstance(n, ast.Return) and id(n) not in inner]
        if len(returns) != 1:
            end = node.col_offset + len(f"def {node.name}")
            return Place(file, node.lineno, node.col_offset, node.lineno, end)
        shown = returns[0]
    return Place(file, shown.lineno, shown.col_offset, shown.end_lineno, shown.end_col_offset)  # type: ignore[attr-defined]
