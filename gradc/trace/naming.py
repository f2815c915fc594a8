"""The names that the user gave to intermediate values: `h` in `h = tanh(x @ w)`.

Enters: spans of the user's source. Leaves: the name on the left of the assignment whose right-hand
side is exactly that span. Always holds: missing or odd source gives no name, never an error.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from functools import lru_cache

from ..errors import Span
from ..graph import Builder

Region = tuple[int, int, int, int]


def name_by_assignment(builder: Builder, live: set[int]) -> None:
    """Name live nodes by the assignments they stand in: of each place the last, in each turn of
    a loop.
    """
    for span, node_id in _results(builder, live):
        if builder.nodes[node_id].kind.is_given:
            continue
        names = _assignments(span.file, "".join(linecache.getlines(span.file)))
        name = names.get((span.line, span.end_line, span.col, span.end_col))
        if name:
            builder.rename(node_id, name)


def _results(builder: Builder, live: set[int]) -> list[tuple[Span, int]]:
    """The last node of each place, as often as the place was run: in each turn of a loop."""
    found: list[tuple[Span, int]] = []
    for node_id, node in builder.nodes.items():
        if node_id not in live or node.span is None or node.of is not None:
            continue
        if found and found[-1][0] == node.span:
            found[-1] = (node.span, node_id)
        else:
            found.append((node.span, node_id))
    return found


@lru_cache(maxsize=64)
def _assignments(file: str, source: str) -> Mapping[Region, str]:
    """The assigned name for the place of each right-hand side in a source file."""
    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError):
        return {}
    return dict(_targets(tree))


def _targets(tree: ast.AST) -> Iterator[tuple[Region, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield _region(value), name
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield _region(value), name
            case ast.AugAssign(target=ast.Name(id=name)):
                yield _region(node), name


def _region(node: ast.expr | ast.stmt) -> Region:
    return (node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)
