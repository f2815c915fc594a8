"""Statements without those that nothing needs.

Enters: the statements of a kernel. Leaves: the same without values, variables and arrays that are
not read, and without the loops and tests that have become empty. Always holds: every store stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from .nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Declare,
    Expr,
    For,
    If,
    Let,
    Load,
    Ref,
    Select,
    Stmt,
    Store,
    Tile,
    Transpose,
    walk,
)


def without_unused(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements that are needed."""
    return _needed(body, set())


def _needed(body: tuple[Stmt, ...], used: set[str]) -> tuple[Stmt, ...]:
    """From the last to the first; `used` are the names read by what comes after."""
    kept: list[Stmt] = []
    for s in reversed(body):
        match s:
            case Let() | Declare() | Array() if s.name not in used:
                continue
            case Let() | Declare() | Array():
                used.discard(s.name)
                _read(s.expr if isinstance(s, Let) else s.start, used)
            case Assign() if s.name not in used:
                continue
            case For() | If():
                if isinstance(s, For):  # what an iteration leaves behind, the next may read
                    used |= _read_from_outside(s.body)
                s = replace(s, body=_needed(s.body, used))
                if not s.body:
                    continue
            case Tile():
                s = replace(s, epilogue=_needed(s.epilogue, used))
                used |= {s.a.buffer, s.b.buffer}
            case Transpose():
                used |= {s.target, s.source.buffer}
            case Assign():
                _read(s.expr, used)
            case Store():
                used.add(s.buffer)
                _read(s.expr, used)
            case Accumulate():
                used.add(s.target)
                _read(s.expr, used)
            case Select():
                used |= {s.value, s.position}
                _read(s.expr, used)
            case _:
                assert_never(s)
        kept.append(s)
    return tuple(reversed(kept))


def _read_from_outside(body: tuple[Stmt, ...]) -> set[str]:
    """The variables that a loop reads and does not declare."""
    read: set[str] = set()
    declared: set[str] = set()
    for s in walk(body):
        match s:
            case Let() | Assign() | Store() | Accumulate() | Select():
                _read(s.expr, read)
            case Declare() | Array():
                _read(s.start, read)
        if isinstance(s, (Let, Declare, Array)):
            declared.add(s.name)
    return read - declared


def _read(e: Expr | None, used: set[str]) -> None:
    match e:
        case Load():
            used.add(e.buffer)
        case Ref():
            used.add(e.name)
        case Apply():
            used.update(a.name for a in e.args if isinstance(a, Ref))
