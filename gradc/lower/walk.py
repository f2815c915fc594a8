"""One recursive walk from a loop tree to statements of the loop-nest IR.

Enters: a tree, what it stores and the names of those buffers. Leaves: the statements of a kernel.
Always holds: what a loop needs is declared in front of it, what it leaves behind is read behind it;
an element is stored exactly once; loops that lie one after the other in memory are one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..graph import Graph
from ..index import Index, Indices, Var, at, flatten
from ..passes.homes import homes
from ..passes.statements import Role
from ..passes.tree import Item, Leaf, Loop, TileLoop, Tree
from .emit_contract import emit_contract
from .emit_fold import Folds
from .emit_value import emit_value
from .flat import Loops, merged_loops, offsets_read
from .folds import Fold, start_fold
from .nest import Param
from .places import Env, Places
from .pointwise import Body, Elements
from .sweep import additions, sweep
from .target import Target

LETTERS = "ijklmnpq"


class Walk:
    """Lowers one tree. `storage` names the buffers of the nodes it writes."""

    def __init__(
        self,
        elements: Elements,
        graph: Graph,
        tree: Tree,
        storage: Mapping[int, str],
        target: Target,
    ) -> None:
        self.elements, self.graph, self.tree, self.target = elements, graph, tree, target
        self.names = elements.names
        self.places = Places(elements, tree, homes(tree, frozenset(storage)), storage)
        self.folds = Folds(graph, tree, self.places, target)

    @property
    def scratch(self) -> list[Param]:
        return self.places.scratch

    def lower(self) -> Body:
        """The body of the kernel."""
        root = Body(names=self.names)
        self._items(self.tree.items, {}, 0, root)
        root.statements[:0] = self.places.arrays
        return root

    def _items(self, items: Sequence[Item], env: Env, depth: int, body: Body) -> None:
        """`depth` loops are open."""
        leaves: list[int] = []
        for item in items:
            if isinstance(item, Leaf):
                leaves.append(item.node)
                continue
            self._nest((), leaves, env, depth, body)
            leaves = []
            if isinstance(item, TileLoop):
                self._tile(item, env, depth, body)
            else:
                self._loop(item, env, depth, body)
        self._nest((), leaves, env, depth, body)

    def _loop(self, loop: Loop, env: Env, depth: int, body: Body) -> None:
        """A loop, with those inside it in one nest if there is nothing between them."""
        nest = self.folds.nest(loop)
        if nest is not None:
            self._nest(*nest, env, depth, body)
            return
        starting = self.folds.starting(loop)
        for n in starting:
            self.folds.start(n, body)
        with self._opened((self.tree.extent[loop.axis],), depth, body) as (counters, inner):
            inside = {**env, loop.axis: counters[0]}
            self._items(loop.body, inside, depth + 1, inner)
            self.folds.end_row((loop.axis,), inside, inner)
        for n in starting:
            self.folds.finish(n, env, self._letters(depth, len(self.tree.extent)), body)

    def _letters(self, depth: int, count: int) -> list[str]:
        """What `count` loops are called inside of `depth` others."""
        return [LETTERS[k % len(LETTERS)] for k in range(depth, depth + count)]

    @contextmanager
    def _opened(
        self, extents: Sequence[int], depth: int, body: Body
    ) -> Iterator[tuple[list[Index], Body]]:
        """Loops of some extents: their counters, and the scope inside."""
        variables = [
            Var(self.names.fresh(letter), n) if n != 1 else Var("", 1)
            for letter, n in zip(self._letters(depth, len(extents)), extents, strict=True)
        ]
        with body.loops(tuple(variables)) as inner:
            yield [at(v) for v in variables], inner

    # A nest: loops with nothing but statements in the innermost

    def _nest(
        self, chain: Sequence[Loop], leaves: Sequence[int], env: Env, depth: int, body: Body
    ) -> None:
        """`leaves` inside of the loops `chain`, merged to as few as there can be."""
        if not leaves:
            return
        axes = [loop.axis for loop in chain]
        extents = tuple(self.tree.extent[a] for a in axes)

        def touched(index: Indices) -> Iterator[Index]:
            inside = {**env, **dict(zip(axes, index, strict=True))}
            seen: set[tuple[int, Indices]] = set()
            for n in leaves:
                yield from self._touched(n, inside, body, seen)

        nest = _Nest(tuple(leaves), tuple(axes), merged_loops(extents, touched))
        folds = [n for n in leaves if self.tree.statements[n].role is Role.FOLD]
        cut = nest.before(self.folds.swept(axes, leaves))
        starting = self.folds.starting(chain[0]) if chain else []
        around = [n for n in starting if cut]
        for n in around:
            self.folds.start(n, body)
        self._outer(nest, cut, folds, env, depth, body)
        for n in around:
            self.folds.finish(n, env, self._letters(depth, len(self.tree.extent)), body)
        for n in leaves:
            if self.tree.statements[n].role is Role.VALUE and self.places.is_kept(n):
                self.places.read_back(n)

    def _outer(
        self,
        nest: _Nest,
        cut: int,
        folds: Sequence[int],
        env: Env,
        depth: int,
        body: Body,
        before: tuple[Index, ...] = (),
    ) -> None:
        """The first `cut` loops of a nest; behind each iteration blocks of sums may end."""
        k = len(before)
        if k == cut:
            self._inner(nest, before, folds, env, depth + cut, body)
            return
        with self._opened(nest.loops.extents[k : k + 1], depth + k, body) as (counters, inner):
            here = (*before, *counters)
            self._outer(nest, cut, folds, env, depth, inner, here)
            self.folds.end_row(nest.axes_of(k), {**env, **nest.placed(here)}, inner)

    def _inner(
        self,
        nest: _Nest,
        before: tuple[Index, ...],
        folds: Sequence[int],
        env: Env,
        depth: int,
        body: Body,
    ) -> None:
        """The other loops, with the reductions that fold all of them."""
        extents = nest.loops.extents[len(before) :]
        axes = {a for a in nest.inner_axes(len(before)) if self.tree.extent[a] > 1}
        last = nest.axes_of(len(nest.loops.parts) - 1) if extents else ()
        width = self.folds.lanes(folds, last, extents[-1]) if extents else 0
        alone = [
            n for n in folds if axes and axes <= self.tree.folded(n) and not self.folds.splits(n)
        ]
        if width and alone:  # they would be in the way of the vectors
            rest = [n for n in folds if n not in alone]
            self._inner(
                nest.only([n for n in nest.leaves if n not in alone]),
                before,
                rest,
                env,
                depth,
                body,
            )
            self._inner(nest.only(alone), before, alone, env, depth, body)
            return
        local: dict[int, Fold] = {}
        for n in folds:
            running = n in self.folds.running
            apart = not extents or not axes <= self.tree.folded(n)
            if self.folds.takes_lanes(n) or (running and apart):
                continue
            node = self.graph[n]
            count = additions(extents, width)
            local[n] = start_fold(
                node, self.graph[node.args[0]].dtype, width, body, additions=count
            )

        def visit(position: Indices, lane: Index | None, scope: Body) -> None:
            here = {**env, **nest.placed((*before, *position))}
            for n in nest.leaves:
                self._statement(n, here, lane, local, scope)

        sweep(
            extents, self._letters(depth, len(extents)), width, tuple(local.values()), body, visit
        )
        here = {**env, **nest.placed((*before, *(Index() for _ in extents)))}
        for n, fold in local.items():
            result = fold.finish(body)
            if n in self.folds.running:
                self.folds.take(n, result, here, None, body)
            else:
                self.folds.finished(n, result, here, body)

    def _statement(
        self, n: int, env: Env, lane: Index | None, local: Mapping[int, Fold], body: Body
    ) -> None:
        """One iteration of a leaf."""
        if self.tree.statements[n].role is Role.VALUE:
            emit_value(self.places, n, env, body)
            return
        node, index = self.graph[n], self.places.argument(n, env)
        value = self.elements.value(node.args[0], index, body)
        if n in local:
            place = index[node.attrs["axes"][0]] if self.folds.selects(n) else Index()
            local[n].take(value, lane, place, body)
        else:
            self.folds.take(n, value, env, lane, body)

    def _touched(
        self, n: int, env: Env, body: Body, seen: set[tuple[int, Indices]]
    ) -> Iterator[Index]:
        """Every offset that an iteration of a leaf reads or writes, and whatever else has to be
        affine in the counter of a loop: where the result of a reduction is, and what it folds.
        """
        s, index = self.tree.statements[n], self.places.argument(n, env)
        if s.role is Role.FOLD:
            yield from offsets_read(self.elements, self.graph[n].args[0], index, body, seen)
            yield flatten(self.places.result(n, env), self.graph[n].shape)
            folded = sorted(s.folded)
            positions = [env[self.tree.axis_of[n, k]] for k in folded]
            yield flatten(positions, [s.extents[k] for k in folded])
            return
        yield from offsets_read(self.elements, n, index, body, seen)
        if self.places.is_kept(n):
            yield self.places.element(n, index)[1]

    # Contractions

    def _tile(self, item: TileLoop, env: Env, depth: int, body: Body) -> None:
        starting = self.folds.starting(item)
        for n in starting:
            self.folds.start(n, body)
        emit_contract(self.places, self.folds, item, env, self.target, body)
        for n in starting:
            self.folds.finish(n, env, self._letters(depth, len(self.tree.extent)), body)
        for n in item.nodes:
            role = self.tree.statements[n].role
            if role is Role.CONTRACT:
                self.elements.local.pop(n, None)
            if role is not Role.FOLD and self.places.is_kept(n):
                self.places.read_back(n)


@dataclass(frozen=True)
class _Nest:
    """Leaves inside of merged loops over `axes`."""

    leaves: tuple[int, ...]
    axes: tuple[int, ...]
    loops: Loops

    def axes_of(self, k: int) -> tuple[int, ...]:
        """The axes of merged loop number k."""
        first = sum(len(part) for part in self.loops.parts[:k])
        return self.axes[first : first + len(self.loops.parts[k])]

    def inner_axes(self, cut: int) -> tuple[int, ...]:
        """The axes of all merged loops from number `cut` on."""
        return self.axes[sum(len(part) for part in self.loops.parts[:cut]) :]

    def only(self, leaves: Sequence[int]) -> _Nest:
        """The same loops with some of the leaves."""
        return replace(self, leaves=tuple(leaves))

    def before(self, inner: Sequence[int]) -> int:
        """How many merged loops there are around those over the axes `inner`, the last ones."""
        around, count = len(self.axes) - len(inner), 0
        while around > 0:
            around -= len(self.loops.parts[count])
            count += 1
        return count

    def placed(self, counters: Sequence[Index]) -> dict[int, Index]:
        """The position along every axis of the first loops, from their counters."""
        parts = self.loops.parts[: len(counters)]
        index: Iterable[Index] = Loops(parts).index(counters)
        return dict(zip(self.axes, index, strict=False))
