"""Renaming in a kernel: a value, or an output laid over an input, which become one parameter.

Enters: statements and a name, or a kernel and two of its buffers. Leaves: the same with another
name, or with one parameter for both. Always
holds: nothing but names changes; a copy between the two is gone.
"""

from __future__ import annotations

from dataclasses import replace

from .nest import Copy, Kernel, Stmt
from .traverse import Rewrite


def merge_buffers(kernel: Kernel, kept: int, dropped: int) -> Kernel:
    """Make the parameter of buffer `kept` stand for `dropped` too, and be written."""
    keep, drop = kernel.buffers.index(kept), kernel.buffers.index(dropped)
    old, new = kernel.params[keep].name, kernel.params[drop].name
    params = [
        replace(p, written=True, name=new) if k == keep else p for k, p in enumerate(kernel.params)
    ]
    buffers = list(kernel.buffers)
    del params[drop], buffers[drop]
    body = renamed(kernel.body, old, new)
    return replace(kernel, params=tuple(params), buffers=tuple(buffers), body=body)


def renamed(body: tuple[Stmt, ...], old: str, new: str) -> tuple[Stmt, ...]:
    """The statements with another name in place of one, wherever that occurs."""
    return body if old == new else _Renamed(old, new).body(body)


class _Renamed(Rewrite):
    def __init__(self, old: str, new: str) -> None:
        self.old = old
        self.new = new

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Without a copy of one buffer to the other."""
        return tuple(s for s in super().body(body) if not _is_idle(s))

    def name(self, name: str) -> str:
        return self.new if name == self.old else name


def _is_idle(s: Stmt) -> bool:
    return isinstance(s, Copy) and s.source == s.target
