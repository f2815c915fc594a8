"""The graph: frozen nodes, a hash-consing builder, the checker and the listing.

Enters: op names, argument ids and attributes (from tracing or from a pass). Leaves: a `Graph`.
Always holds: an argument's id is smaller than its user's, so ascending ids are the one topological
order (`lexicographical_topological_sort` on integer ids); shapes are equal inside (broadcasts are
nodes); no dtype conversion is implicit (casts are nodes); two nodes of one graph are never the same
computation; a node never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import DType, Spec, item_bytes
from .errors import Span
from .ops.table import OPS, Kind, infer

if TYPE_CHECKING:
    import networkx as nx

NO_ATTRS: Mapping[str, Any] = MappingProxyType({})
GONE = -1
"""Stands for the forward node of a gradient where that node itself was not needed any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One elementary operation and what it makes: `results`, ordinarily one array.

    A node with several results is read through `item` nodes alone, one for each result that is
    used; those are what is named, stored and differentiated. `clone` tells apart nodes that are the
    same computation, done again on purpose.

    `args` holds node ids, with repetition (`x * x` has two). `of` is, for a node of a gradient, the
    forward node it differentiates, or `GONE`. `name` is the user's name of the value
    (`fc1.weight`) if any.
    """

    id: int
    op: str
    args: tuple[int, ...]
    results: tuple[Spec, ...]
    attrs: Mapping[str, Any] = field(default_factory=lambda: NO_ATTRS)
    span: Span | None = None
    of: int | None = None
    name: str | None = None
    clone: int = 0

    def __deepcopy__(self, memo: object) -> Node:
        return self  # it never changes

    def __reduce__(self) -> tuple[Any, ...]:
        values = [getattr(self, f.name) for f in fields(self)]
        # A pickle knows no read-only mappings.
        return _node, tuple(dict(v) if isinstance(v, Mapping) else v for v in values)

    @property
    def kind(self) -> Kind:
        return OPS[self.op].kind

    @property
    def spec(self) -> Spec:
        """What the one result is; of several there is no saying."""
        (only,) = self.results
        return only

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        return self.spec.dtype

    @property
    def size(self) -> int:
        return prod(self.spec.shape)

    @property
    def nbytes(self) -> int:
        return self.size * item_bytes(self.dtype)

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs among its attributes."""
        return tuple(v for _, v in sorted(self.attrs.items()) if isinstance(v, Graph))

    @property
    def type_text(self) -> str:
        """`f32[64, 128]`; several results stand in parentheses."""
        texts = [repr(spec) for spec in self.results]
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"

    def __repr__(self) -> str:
        args = ", ".join(f"#{a}" for a in self.args)
        return f"#{self.id} {self.op}({args}) {self.type_text}"


def _freeze(value: Any) -> Any:
    """A hashable stand-in for an attribute value; arrays by their bytes, graphs by their keys."""
    if isinstance(value, Graph):
        return value.key
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, float):
        return (value.hex(),)  # 0.0 and -0.0 are different constants, nan equals itself
    if isinstance(value, (tuple, list)):
        return tuple(_freeze(v) for v in value)
    return value


@dataclass(frozen=True, eq=False)
class Graph:
    """A directed acyclic graph of nodes with ordered inputs and outputs.

    `nodes` maps ids to nodes in ascending (topological) order; `dag` is the same as a
    `networkx.DiGraph` with a `node` attribute on each vertex.
    """

    nodes: Mapping[int, Node]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def __getitem__(self, node_id: int) -> Node:
        return self.nodes[node_id]

    def __deepcopy__(self, memo: object) -> Graph:
        return self  # it never changes

    def __reduce__(self) -> tuple[Any, ...]:
        return _graph, (tuple(self), self.inputs, self.outputs)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def dag(self) -> nx.DiGraph[int]:
        """The graph as a `networkx.DiGraph`; an edge runs from an argument to its user.

        Two uses of one value by one node (`x * x`) are one edge here; `Node.args` is the truth.
        """
        import networkx as nx

        dag: nx.DiGraph[int] = nx.DiGraph()
        for node in self:
            dag.add_node(node.id, node=node, op=node.op, bodies=[b.dag for b in node.bodies])
            if len(node.results) == 1:
                dag.nodes[node.id].update(shape=node.shape, dtype=str(node.dtype))
            dag.add_edges_from((a, node.id) for a in node.args)
        return dag

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What the graph computes: equal for graphs that differ in ids, spans and names alone."""
        position = {node.id: k for k, node in enumerate(self)}
        nodes = tuple(
            (_key(n.op, tuple(position[a] for a in n.args), n.attrs, n.clone)) for n in self
        )
        ends = (tuple(position[i] for i in part) for part in (self.inputs, self.outputs))
        return (nodes, *ends)

    @cached_property
    def users(self) -> Mapping[int, tuple[int, ...]]:
        """For each node the ids of its users, ascending, each once."""
        users: dict[int, list[int]] = {i: [] for i in self.nodes}
        for node in self:
            for a in dict.fromkeys(node.args):
                users[a].append(node.id)
        return {i: tuple(u) for i, u in users.items()}

    @cached_property
    def producers(self) -> Mapping[int, tuple[int, ...]]:
        """For each node the nearest producers that are no movements, each once."""
        return {node.id: tuple(dict.fromkeys(self._producers(node))) for node in self}

    def _producers(self, node: Node) -> Iterator[int]:
        stack = list(dict.fromkeys(node.args))
        while stack:
            node_id = stack.pop()
            found = self.nodes[node_id]
            if found.kind is Kind.MOVEMENT:
                stack += dict.fromkeys(found.args)
            else:
                yield node_id

    def args(self, node: Node) -> tuple[Node, ...]:
        return tuple(self.nodes[a] for a in node.args)

    def label(self, node_id: int) -> str:
        """`#7 relu f32[64, 128]`, with the user's name when there is one."""
        n = self.nodes[node_id]
        return f"#{n.id} {n.name or n.op} {n.type_text}"

    def __repr__(self) -> str:
        shown = [self._line(n) for n in list(self)[:8]]
        more = [f"... {len(self) - 8} more nodes; print(graph) shows all"] if len(self) > 8 else []
        return "\n".join([f"Graph: {len(self)} nodes", *shown, *more])

    def __str__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        """The listing, with the body of a node indented under it."""
        for node in self:
            yield indent + self._line(node)
            for body in node.bodies:
                yield from body._lines(indent + "    ")
        yield f"{indent}return {', '.join(f'#{o}' for o in self.outputs)}"

    def _line(self, n: Node) -> str:
        attrs = "".join(f" {k}={_brief(v)}" for k, v in sorted(n.attrs.items()))
        args = "".join(f" #{a}" for a in n.args)
        name = f" `{n.name}`" if n.name else ""
        where = f"  {n.span.short}" if n.span else ""
        of = {None: "", GONE: " (gradient)"}.get(n.of, f" (gradient of #{n.of})")
        left = f"#{n.id} {n.op}{args}{attrs}{name}"
        return f"{left:<58} {n.type_text}{where}{of}"


def _node(*values: Any) -> Node:
    """The node that was pickled."""
    read_only: list[Any] = [MappingProxyType(v) if isinstance(v, dict) else v for v in values]
    return Node(*read_only)


def _graph(nodes: Sequence[Node], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
    """The graph that was pickled."""
    return Graph(MappingProxyType({node.id: node for node in nodes}), inputs, outputs)


def _key(op: str, args: tuple[int, ...], attrs: Mapping[str, Any], clone: int) -> tuple[Any, ...]:
    """Equal for what is the same computation."""
    return (op, args, tuple((k, _freeze(attrs[k])) for k in sorted(attrs)), clone)


def results_of(op: str, args: Sequence[Node], attrs: Mapping[str, Any]) -> tuple[Spec, ...]:
    """What `op` makes of `args`."""
    if OPS[op].kind is Kind.ITEM:
        return (args[0].results[attrs["index"]],)
    made = infer(op, [a.spec for a in args], attrs)
    return made if isinstance(made, tuple) else (made,)


def _brief(value: Any) -> str:
    if isinstance(value, Graph):
        return f"<{len(value)} nodes>"
    if isinstance(value, np.ndarray):
        return repr(value.item()) if value.ndim == 0 else f"<{value.size} values>"
    return str(value).replace(" ", "")


class Builder:
    """Makes a graph node by node; the same op on the same arguments is the same node.

    Both tracing and rebuilding passes go through `add`, so common subexpressions never arise.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.inputs: list[int] = []
        self._known: dict[Any, int] = {}
        self._next = 0
        self._clones = 0

    def add(
        self,
        op: str,
        args: Sequence[int] = (),
        attrs: Mapping[str, Any] = NO_ATTRS,
        *,
        span: Span | None = None,
        of: int | None = None,
        name: str | None = None,
        clone: int = 0,
        unique: bool = False,
    ) -> int:
        """The id of `op(*args, **attrs)`, new or known.

        Clones of different numbers never merge; `unique` takes a number that nothing has yet.
        """
        args = tuple(args)
        self._clones = max(self._clones, clone) + unique
        clone = self._clones if unique else clone
        key = _key(op, args, attrs, clone)
        if key in self._known:
            found = self._known[key]
            if name and not self.nodes[found].name:
                self.nodes[found] = replace(self.nodes[found], name=name)
            return found
        results = results_of(op, [self.nodes[a] for a in args], attrs)
        node = Node(
            self._next, op, args, results, MappingProxyType(dict(attrs)), span, of, name, clone
        )
        self.nodes[node.id] = node
        self._known[key] = node.id
        self._next += 1
        return node.id

    def input(self, spec: Spec, name: str, span: Span | None = None) -> int:
        """A new input of the graph, after those made before it."""
        attrs = {"shape": spec.shape, "dtype": spec.dtype}
        node_id = self.add("input", (), attrs, name=name, span=span, clone=len(self.inputs))
        self.inputs.append(node_id)
        return node_id

    def constant(self, value: Any, dtype: DType, span: Span | None = None) -> int:
        """A constant array or scalar of `dtype`."""
        return self.add("const", (), {"value": np.array(value, dtype=dtype, order="C")}, span=span)

    def rename(self, node_id: int, name: str) -> None:
        """Give a node a user name if it has none (only while the graph is being built)."""
        if not self.nodes[node_id].name:
            self.nodes[node_id] = replace(self.nodes[node_id], name=name)

    def finish(self, outputs: Iterable[int], *, keep_dead: bool = False) -> Graph:
        """The graph of `outputs`; nodes no output needs are dropped, inputs always stay."""
        outs = tuple(outputs)
        live: set[int] = set()
        stack = [*self.inputs, *(self.nodes if keep_dead else outs)]
        while stack:
            i = stack.pop()
            if i not in live:
                live.add(i)
                stack.extend(self.nodes[i].args)
        nodes = {i: n for i, n in sorted(self.nodes.items()) if i in live}
        return Graph(MappingProxyType(nodes), tuple(self.inputs), outs)


def verify(graph: Graph, known: Graph | None = None) -> None:
    """Check every invariant of the module docstring; an `AssertionError` is a bug of gradc.

    The graphs in its nodes are checked as well. A node that is a node of `known`, which has been
    checked, is what it says.
    """
    checked = known.nodes if known else {}
    waiting = [graph]
    while waiting:
        inner = waiting.pop()
        _verify_one(inner, checked)
        waiting += (b for n in inner if checked.get(n.id) is not n for b in n.bodies)


def _verify_one(graph: Graph, checked: Mapping[int, Node]) -> None:
    seen: set[int] = set()
    for node_id, node in graph.nodes.items():
        assert node.id == node_id, f"{node} is stored under #{node_id}"
        for a in node.args:
            assert a in seen, f"{node} uses #{a}, which does not come before it"
            several = len(graph[a].results) != 1
            reads = node.kind is Kind.ITEM
            assert several == reads, f"{node} reads {graph[a]}"
        seen.add(node_id)
        if checked.get(node_id) is not node:
            results = results_of(node.op, graph.args(node), node.attrs)
            assert results == node.results, f"{node} should be {results}"
    assert list(graph.inputs) == sorted(graph.inputs), f"inputs {graph.inputs} are out of order"
    for i in graph.inputs:
        assert graph[i].kind is Kind.INPUT, f"input #{i} is a {graph[i].op}"
    for o in graph.outputs:
        assert o in seen, f"output #{o} is not in the graph"
        assert len(graph[o].results) == 1, f"output {graph[o]} is not one array"
