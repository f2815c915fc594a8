"""Renaming buffers of a kernel: an output laid over an input becomes one parameter.

Enters: a kernel and two of its buffers. Leaves: the kernel with one parameter for both. Always
holds: nothing but names changes.
"""

from __future__ import annotations

from dataclasses import replace

from .nest import Expr, For, If, Kernel, Let, Load, Stmt, Store, Tile, Transpose


def merge_buffers(kernel: Kernel, kept: int, dropped: int) -> Kernel:
    """Make the parameter of buffer `kept` stand for `dropped` too, and be written."""
    keep, drop = kernel.buffers.index(kept), kernel.buffers.index(dropped)
    old, new = kernel.params[keep].name, kernel.params[drop].name
    params = [
        replace(p, written=True, name=new) if k == keep else p for k, p in enumerate(kernel.params)
    ]
    buffers = list(kernel.buffers)
    del params[drop], buffers[drop]
    return replace(
        kernel, params=tuple(params), buffers=tuple(buffers), body=_renamed(kernel.body, old, new)
    )


def _renamed(body: tuple[Stmt, ...], old: str, new: str) -> tuple[Stmt, ...]:
    return tuple(_statement(s, old, new) for s in body)


def _statement(s: Stmt, old: str, new: str) -> Stmt:
    match s:
        case Let():
            return replace(s, expr=_expr(s.expr, old, new))
        case Store():
            return replace(s, buffer=new) if s.buffer == old else s
        case For() | If():
            return replace(s, body=_renamed(s.body, old, new))
        case Transpose():
            target = new if s.target == old else s.target
            return replace(s, target=target, source=_load(s.source, old, new))
        case Tile():
            a, b = (_load(e, old, new) for e in (s.a, s.b))
            return replace(s, a=a, b=b, epilogue=_renamed(s.epilogue, old, new))
    return s


def _expr(e: Expr, old: str, new: str) -> Expr:
    return _load(e, old, new) if isinstance(e, Load) else e


def _load(e: Load, old: str, new: str) -> Load:
    return replace(e, buffer=new) if e.buffer == old else e
