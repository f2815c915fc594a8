"""Which kernels are one function, whatever their values are called.

Enters: kernels. Leaves: the `signature` of each; a pass that is run once for kernels of one
signature. Always holds: kernels of one signature do the same with their parameters, in the same
order; names, titles, shapes and graph nodes are no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..index import Atom, Dyn, Index, Var
from .nest import Kernel, Stmt
from .traverse import Rewrite


@dataclass(frozen=True)
class Signature:
    """A form of a kernel that tells nothing of its names; its hash is computed once."""

    interface: tuple[Hashable, ...]
    body: tuple[Stmt, ...]

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        return {"interface": self.interface, "body": self.body}  # hashes differ among processes

    @cached_property
    def _hash(self) -> int:
        return hash((self.interface, self.body))


def once_each(apply: Callable[[Kernel], Kernel]) -> Callable[[Kernel], Kernel]:
    """A pass that looks at one of the kernels that are alike, and at the others only if that one
    is another kernel behind it.
    """
    changes: dict[Hashable, bool] = {}
    first: dict[Hashable, Hashable] = {}

    def applied(kernel: Kernel) -> Kernel:
        # All have one object for a signature, which is quickly compared with itself.
        key = kernel.memo["signature"] = first.setdefault(signature(kernel), signature(kernel))
        known = changes.get(key)
        if known is False:
            return kernel
        made = apply(kernel)
        if known is None:
            known = changes[key] = made.body != kernel.body
        return made if known else kernel

    return applied


def signature(kernel: Kernel) -> Hashable:
    """Equal for two kernels that can be one C function, whatever their values are called."""
    if "signature" not in kernel.memo:
        kernel.memo["signature"] = _signature(kernel)
    return kernel.memo["signature"]


def _signature(kernel: Kernel) -> Signature:
    numbered = _Numbered()
    params = (*kernel.params, *kernel.scratch)
    interface = tuple((numbered.name(p.name), p.dtype, p.size, p.written, p.scalar) for p in params)
    return Signature(interface, numbered.body(kernel.body))


class _Numbered(Rewrite):
    """Names replaced by numbers, in the order in which they first appear; graph nodes by none.

    A scope that has ended gives its names back, so one name may be several values; it is numbered
    once, and two kernels are alike only if they use their names over and again in the same way.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def name(self, name: str) -> str:
        return self.known.setdefault(name, str(len(self.known)))

    def nodes(self, nodes: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    def var(self, var: Var) -> Var:
        return Var(self.name(var.name), var.extent, var.step, var.first)

    def index(self, index: Index) -> Index:
        return Index(tuple([(self._atom(atom), k) for atom, k in index.terms]), index.const)

    def _atom(self, atom: Atom) -> Atom:
        if isinstance(atom, Var):
            return self.var(atom)
        if isinstance(atom, Dyn):
            over = frozenset([self.var(v) for v in atom.over])
            return Dyn(self.name(atom.name), atom.extent, over)
        return type(atom)(self.index(atom.index), atom.by)
