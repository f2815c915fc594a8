"""Element expressions: the value of one element of a node, written where it is needed.

Enters: a node id and an index. Leaves: a `Ref` or `Literal`, with the statements that compute it
put into the scope (`Body`) as far out as its loop variables allow. Always holds: one operation is
one `Let`; the same element is computed once a scope; nothing is hoisted out of a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..cnames import Names, identifier
from ..dtypes import DType, is_bool
from ..graph import Graph, Node
from ..index import Indices, Var, flatten
from ..ops.table import OPS, Kind
from ..passes.views import sources
from .nest import (
    Apply,
    Assign,
    Declare,
    For,
    FromIndex,
    If,
    Let,
    Literal,
    Load,
    LoopKind,
    Ref,
    Simple,
    Stmt,
)

Steps = Generator["Steps", Any, Simple]
"""A computation of an element that stops where it needs another, and is sent its value."""


@dataclass
class Body:
    """A scope under construction: its statements, and the elements whose values it knows."""

    parent: Body | None = None
    var: Var | None = None
    guard: bool = False
    names: Names | None = None
    statements: list[Stmt] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    known: dict[tuple[int, Indices], Simple] = field(default_factory=dict)

    def lookup(self, key: tuple[int, Indices]) -> Simple | None:
        body: Body | None = self
        while body is not None:
            if key in body.known:
                return body.known[key]
            body = body.parent
        return None

    def home(self, variables: frozenset[Var]) -> Body:
        """The outermost scope in which all `variables` are bound."""
        body = self
        while body.parent is not None and not body.guard:
            if body.var is not None and body.var in variables:
                break
            body = body.parent
        return body

    @contextmanager
    def loop(self, var: Var, kind: LoopKind = LoopKind.SERIAL) -> Iterator[Body]:
        """A loop over `var`; a variable with one value needs none."""
        if not var.last and var.extent:
            yield self
            return
        inner = Body(self, var, names=self.names)
        yield inner
        inner.close()
        if inner.statements:
            self.statements.append(For(var, tuple(inner.statements), kind))

    def fresh(self, base: str) -> str:
        """A name for something declared in this scope."""
        assert self.names is not None
        name = self.names.fresh(base)
        self.declared.append(name)
        return name

    def close(self) -> None:
        """Give back the names of a scope that has ended, and of its loop variable."""
        assert self.names is not None
        self.names.release(self.declared + ([self.var.name] if self.var else []))

    @contextmanager
    def loops(self, variables: tuple[Var, ...]) -> Iterator[Body]:
        if not variables:
            yield self
            return
        with self.loop(variables[0]) as inner, inner.loops(variables[1:]) as innermost:
            yield innermost


class Elements:
    """Writes element expressions of one kernel.

    `stored` says whether a node is in memory and `load` names its buffer; `label` is what its
    elements are called. `local` maps a node to a reader of kernel-local memory (row scratch, a
    reduction's result) that takes the place of computing it.
    """

    def __init__(
        self,
        graph: Graph,
        stored: Callable[[int], bool],
        load: Callable[[Node], str],
        names: Names,
        label: Callable[[int], str],
    ) -> None:
        self.graph = graph
        self.label = label
        self.stored = stored
        self.load = load
        self.names = names
        self.scalars: set[str] = set()
        self.local: dict[int, Callable[[Indices], Load | Simple]] = {}

    def value(self, node_id: int, index: Indices, body: Body) -> Simple:
        """The element of a node at `index`, computed in the right scope."""
        return _finished(self._value(node_id, index, body))

    def _value(self, node_id: int, index: Indices, body: Body) -> Steps:
        key = (node_id, index)
        known = body.lookup(key)
        if known is not None:
            return known
        node = self.graph[node_id]
        if node.kind is Kind.CONSTANT and node.size == 1:
            return Literal(node.attrs["value"].reshape(()).item(), node.dtype)
        result = yield from self._compute(node, index, body)
        home = body.home(_variables(index))
        home.known[key] = result
        return result

    def _compute(self, node: Node, index: Indices, body: Body) -> Steps:
        home = body.home(_variables(index))
        if node.id in self.local:
            found = self.local[node.id](index)
            return found if not isinstance(found, Load) else self._let(found, node, home, "kept")
        if self.stored(node.id):
            buffer = self.load(node)
            if buffer in self.scalars:
                return Ref(buffer, node.dtype)
            read = Load(buffer, flatten(index, node.shape), node.dtype)
            return self._let(read, node, home, f"{self.label(node.id)}_at")
        if node.kind is Kind.COUNTER:
            return self._let(FromIndex(index[0], node.dtype), node, home, "position")
        if node.kind is Kind.MOVEMENT:
            return (yield from self._move(node, index, body))
        args: list[Simple] = []
        for a in node.args:
            args.append((yield self._value(a, index, body)))
        return self._let(Apply(node.op, tuple(args), node.dtype), node, home, noun(node))

    def _let(self, expr: Any, node: Node, home: Body, base: str) -> Ref:
        name = home.fresh(identifier(base))
        home.statements.append(Let(name, expr, (node.id,)))
        return Ref(name, node.dtype)

    def _move(self, node: Node, index: Indices, body: Body) -> Steps:
        found = sources(self.graph, node, index)
        if len(found) == 1 and not found[0].tests:
            only: Simple = yield self._value(node.args[found[0].operand], found[0].index, body)
            return only
        home = body.home(_variables(index))
        name = home.fresh(identifier(node.op))
        home.statements.append(Declare(name, node.dtype, _outside(node), (node.id,)))
        for source in found:
            guarded = Body(home, guard=True, names=self.names)
            inner = yield self._value(node.args[source.operand], source.index, guarded)
            guarded.statements.append(Assign(name, inner, (node.id,)))
            guarded.close()
            home.statements.append(If(source.tests, tuple(guarded.statements)))
        return Ref(name, node.dtype)


def _finished(steps: Steps) -> Simple:
    """Run a computation, and those it waits for: a stack of them, however deep."""
    stack, sent = [steps], None
    while True:
        try:
            waits_for = stack[-1].send(sent)
        except StopIteration as done:
            value: Simple = done.value
            stack.pop()
            if not stack:
                return value
            sent = value
        else:
            stack.append(waits_for)
            sent = None


def noun(node: Node) -> str:
    """What a value without a name of its own is called."""
    return OPS[node.op].noun or node.op


def _outside(node: Node) -> Literal:
    value = node.attrs.get("value", 0)
    return Literal(value, node.dtype)


def _variables(index: Indices) -> frozenset[Var]:
    found: frozenset[Var] = frozenset()
    for i in index:
        found |= i.vars
    return found


def zero(dtype: DType) -> Literal:
    return Literal(False if is_bool(dtype) else 0, dtype)
