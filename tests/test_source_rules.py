"""What gradc's own source may not do: facts stand in one place, and are asked for there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gradc"
FILES = {p.relative_to(PACKAGE).as_posix(): p for p in sorted(PACKAGE.rglob("*.py"))}
DTYPE_KINDS = frozenset("biufcmMOSUV")


def parsed(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def dtype_questions(tree: ast.AST) -> Iterator[str]:
    """Where the size of a dtype's elements, or the letter of its kind, is asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "itemsize":
            yield f"{node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Compare):
            continue
        sides = (node.left, *node.comparators)
        letters = [s for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)]
        if any(isinstance(s, ast.Attribute) and s.attr == "kind" for s in sides) and any(
            s.value and DTYPE_KINDS.issuperset(s.value) for s in letters
        ):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", [n for n in FILES if n != "dtypes.py"])
def test_only_dtypes_looks_into_a_dtype(name):
    assert list(dtype_questions(parsed(name))) == [], "ask a function of gradc/dtypes.py"


def test_such_questions_are_found():
    source = "a.dtype.kind == 'f' or x.itemsize > 4 or 'u' in (b.kind,) or b.kind in 'iu'"
    assert len(list(dtype_questions(ast.parse(source)))) == 3
