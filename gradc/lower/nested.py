"""Values that are read once stand where they are read: expressions as a person writes them.

Enters: a kernel whose values are one operation each. Leaves: a kernel that computes the same, in
expressions of up to `MOST` operations. Always holds: an operation is evaluated as often as before,
in the same loop, on the same operands in the same order of rounding; a load is never moved over a
write to its buffer, nor into a branch that may not be taken; what has a name of the user's keeps
it.

    let difference = sub(x_at, row_max)
    let e = exp(difference)                   =>    row_sum += exp(sub(x[10*i + j], row_max))
    row_sum += e
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..dtypes import is_integer
from ..ops.table import OPS
from .nest import Accumulate, Apply, Assign, Expr, Kernel, Let, Load, Ref, Stmt, Store
from .traverse import Rewrite, blocks, changed, expressions, names_in, stores, walk

MOST = 3
"""Operations of one expression."""

Named = Callable[[int], bool]


def nested(kernel: Kernel, named: Named = lambda _: False) -> Kernel:
    """The kernel in larger expressions; `named` says whether a graph node has a user's name."""
    return replace(kernel, body=_Nested(named).body(kernel.body))


def operations(e: Expr) -> int:
    """How many ops an expression applies."""
    return 1 + sum(operations(a) for a in e.args) if isinstance(e, Apply) else 0


class _Nested(Rewrite):
    def __init__(self, named: Named) -> None:
        self.named = named

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return _Scope(super().body(body), self.named).joined()


@dataclass
class _Use:
    """Where a value is read: how often, last at which statement, and whether it may stand there."""

    times: int = 0
    last: int = 0
    fits: bool = True


class _Scope:
    """The statements of one scope, whose values are put into one another."""

    def __init__(self, body: tuple[Stmt, ...], named: Named) -> None:
        self.statements = body
        self.named = named
        self.uses: dict[str, _Use] = {}
        self.writes: dict[str, list[int]] = {}
        for position, s in enumerate(body):
            self._note(position, s)
        self.known: dict[str, tuple[Expr, int]] = {}
        self.gone: set[str] = set()

    def _note(self, position: int, s: Stmt) -> None:
        for e in expressions(s):
            for name, fits in _reads(e, _fits_whole(s)):
                self._used(name, position, fits)
        for block in blocks(s):
            for name, times in Counter(_names(block.body)).items():
                self._used(name, position, False, times)
        for inner in walk((s,)):
            for name in (*changed(inner), *(a.buffer for a in stores(inner))):
                self.writes.setdefault(name, []).append(position)

    def _used(self, name: str, position: int, fits: bool, times: int = 1) -> None:
        use = self.uses.setdefault(name, _Use())
        use.times += times
        use.last = position
        use.fits &= fits

    def joined(self) -> tuple[Stmt, ...]:
        found: list[Stmt] = []
        for position, s in enumerate(self.statements):
            s = self._filled(s, position)
            if isinstance(s, Let) and self._may_move(s, position):
                self.known[s.name] = (s.expr, position)
            found.append(s)
        return tuple([s for s in found if not (isinstance(s, Let) and s.name in self.gone)])

    def _may_move(self, s: Let, position: int) -> bool:
        use = self.uses.get(s.name)
        if use is None or not use.fits:
            return False
        short = isinstance(s.expr, Load) and not s.expr.index.terms
        if use.times > 1 and not (short and self._is_still(s.expr, position, use.last)):
            return False
        reader = self.statements[use.last]
        kept = any(self.named(i) for i in s.nodes) and not isinstance(s.expr, Load)
        return not kept or (isinstance(reader, Store) and isinstance(reader.expr, Ref))

    def _is_still(self, e: Expr, start: int, end: int) -> bool:
        """Whether an expression has the same value at both places."""
        for name in names_in(e):
            writes = self.writes.get(name, ())
            after = bisect_right(writes, start)
            if after < len(writes) and writes[after] < end:
                return False
        return True

    def _filled(self, s: Stmt, position: int) -> Stmt:
        match s:
            case Let() | Assign() | Store() | Accumulate() if _fits_whole(s):
                room = MOST - operations(s.expr)
                expr, _ = self._expression(s.expr, position, room)
                return s if expr is s.expr else replace(s, expr=expr)
            case _:
                return s

    def _expression(self, e: Expr, position: int, room: int) -> tuple[Expr, int]:
        """`e` with values put in, and for how many operations there is room then."""
        match e:
            case Ref() if e.name in self.known:
                value, start = self.known[e.name]
                cost = operations(value)
                if cost > room or not self._is_still(value, start, position):
                    return e, room
                self.gone.add(e.name)
                return value, room - cost
            case Apply():
                args = []
                for k, a in enumerate(e.args):
                    if _fits(e, k):
                        a, room = self._expression(a, position, room)
                    args.append(a)
                return replace(e, args=tuple(args)), room
            case _:
                return e, room


def _names(body: tuple[Stmt, ...]) -> Iterator[str]:
    for s in walk(body):
        for e in expressions(s):
            yield from names_in(e)


def _reads(e: Expr, fits: bool) -> Iterator[tuple[str, bool]]:
    """The values an expression reads, and whether one could stand there."""
    if isinstance(e, Ref):
        yield e.name, fits
    elif isinstance(e, Apply):
        for k, a in enumerate(e.args):
            yield from _reads(a, _fits(e, k))
    else:
        yield from ((name, False) for name in names_in(e))


def _fits_whole(s: Stmt) -> bool:
    """Whether C evaluates what the statement reads just once."""
    match s:
        case Let() | Assign() | Store():
            return True
        case Accumulate():
            return OPS[s.op].times(1, is_integer(s.dtype)) == 1
        case _:
            return False


def _fits(e: Apply, position: int) -> bool:
    """Whether C evaluates an operand just once: no more often, and always."""
    row = OPS[e.op]
    numbers = e.args[row.conditions :]
    integers = bool(numbers) and is_integer(numbers[0].dtype)
    return row.times(position, integers) == 1 and not row.skips(position)
