"""Whether a set of nodes can share one loop nest, and how its loops are arranged.

Enters: a graph and the ids of elementwise and reduction nodes. Leaves: a `Domain`, or None when the
nodes do not fit one nest. Always holds: a domain that leaves is lowerable as it stands.

A nest has three parts. `outer` leading axes are plain loops. Inside them `rows` further leading
axes are loops over rows; a reduction that folds the rows themselves is *carried* across them, and
what depends on it comes *after* the row loops. Inside a row, what must wait for a row's own
reduction has a higher *level*: softmax takes three levels (maximum; sum of exponentials; quotient).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..dtypes import is_bool, is_float, item_bytes
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from .cost import EXPENSIVE, SCRATCH_BYTES


@dataclass(frozen=True)
class Domain:
    """How the loops of a group lie; see the module docstring.

    `level` maps the nodes inside a row to their level, `trailing` are reductions of whole rows,
    `carried` those across rows, `after` what is computed when all rows are done, and `scratch` the
    costly values that a later level needs again.
    """

    outer: int
    rows: int
    level: dict[int, int]
    trailing: tuple[int, ...] = ()
    carried: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    scratch: dict[int, int] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return self.outer + self.rows


def keeps_axes(graph: Graph, node_id: int, depth: int) -> bool:
    """Whether a movement node maps each of its first `depth` axes onto the same axis of every
    operand.
    """
    return depth <= graph.kept_axes[node_id]


def find_domain(graph: Graph, group: frozenset[int], stored: frozenset[int]) -> Domain | None:
    """The best arrangement of `group`, of which `stored` must be written to memory."""
    nodes = [graph[i] for i in sorted(group)]
    best: tuple[tuple[int, int], Domain] | None = None
    for outer, rows in _candidates(nodes):
        domain = _arrange(graph, nodes, outer, rows, stored)
        if domain is not None:
            score = (len(domain.carried), -domain.depth)
            if best is None or score < best[0]:
                best = (score, domain)
    return best[1] if best else None


def _candidates(nodes: list[Node]) -> list[tuple[int, int]]:
    """Numbers of (outer, row) axes worth trying, from how far the nodes' reductions reach."""
    reductions = [n for n in nodes if n.kind is Kind.REDUCTION]
    rank = max(len(n.shape) for n in nodes)
    if not reductions:
        return [(rank, 0)]
    found = [(depth, 0) for depth in range(rank + 1)]
    for n in reductions:
        first, count = n.attrs["axes"][0], 0
        while first + count in n.attrs["axes"]:
            count += 1
        found += [(first, k) for k in range(1, count + 1)]
    return list(dict.fromkeys(found))


def _arrange(
    graph: Graph, nodes: list[Node], outer: int, rows: int, stored: frozenset[int]
) -> Domain | None:
    depth = outer + rows
    group = {n.id for n in nodes}
    prefix: tuple[int, ...] | None = None
    level: dict[int, int] = {}
    trailing, carried, after = [], [], []
    late = _only_needed_late(graph, nodes, outer, rows)
    for node in nodes:
        args = [(a, chain) for a, chain in graph.producers[node.id] if a in group]
        own = graph[node.args[0]].shape if node.kind is Kind.REDUCTION else node.shape
        if node.id in late or any(a in late for a, _ in args):
            if node.kind is Kind.REDUCTION or any(a not in late for a, _ in args):
                return None
            if outer and (prefix is None or node.shape[:outer] != prefix[:outer]):
                return None
            if not all(keeps_axes(graph, m, outer) for _, chain in args for m in chain):
                return None
            after.append(node.id)
            late.add(node.id)
            continue
        if len(own) < depth or (prefix is not None and own[:depth] != prefix):
            return None
        prefix = own[:depth]
        if not all(keeps_axes(graph, m, depth) for _, chain in args for m in chain):
            return None
        reached = max((level[a] for a, _ in args), default=0)
        if node.kind is not Kind.REDUCTION:
            level[node.id] = reached
            continue
        axes = node.attrs["axes"]
        if axes == tuple(range(depth, len(own))):
            if OPS[node.op].better and len(axes) != 1:
                return None
            trailing.append(node.id)
            level[node.id] = reached + 1
        elif rows and set(range(outer, depth)) <= set(axes) and min(axes) >= outer:
            if OPS[node.op].better:
                return None
            carried.append(node.id)
            level[node.id] = reached
            late.add(node.id)
        else:
            return None
    if not level:
        return None
    domain = Domain(outer, rows, level, tuple(trailing), tuple(carried), tuple(after))
    scratch = _scratch(graph, nodes, domain, stored)
    inner_bytes = sum(_inner_size(graph[i], depth) * item_bytes(graph[i].dtype) for i in scratch)
    if inner_bytes > SCRATCH_BYTES:
        return None
    return Domain(outer, rows, level, domain.trailing, domain.carried, domain.after, scratch)


def _only_needed_late(graph: Graph, nodes: list[Node], outer: int, rows: int) -> set[int]:
    """Elementwise nodes that only what comes after the rows reads (`0.9 * v` of an update)."""
    if not rows:
        return set()
    args = {n.id: [a for a, _ in graph.producers[n.id]] for n in nodes}
    summed = {
        n.id
        for n in nodes
        if n.kind is Kind.REDUCTION and set(range(outer, outer + rows)) <= set(n.attrs["axes"])
    }
    if not summed:
        return set()
    after: set[int] = set()
    users: dict[int, list[int]] = {n.id: [] for n in nodes}
    for n in nodes:
        if any(a in summed or a in after for a in args[n.id]):
            after.add(n.id)
        for a in args[n.id]:
            if a in users:
                users[a].append(n.id)
    late: set[int] = set()
    for n in reversed(nodes):
        if n.kind is not Kind.ELEMENTWISE or n.id in after or not users[n.id]:
            continue
        if all(u in after or u in late for u in users[n.id]):
            late.add(n.id)
    return late


def _inner_size(node: Node, depth: int) -> int:
    size = 1
    for n in node.shape[depth:]:
        size *= n
    return size


def fold_level(graph: Graph, domain: Domain, reduction: int) -> int:
    """The level of the loop in which a reduction's argument is read."""
    return domain.level[reduction] - (1 if reduction in domain.trailing else 0)


def _scratch(
    graph: Graph, nodes: list[Node], domain: Domain, stored: frozenset[int]
) -> dict[int, int]:
    """Values read at several levels, each with the level at which it is first computed.

    Costly ones are kept because that is faster, compared ones because it is right: a compiler may
    round a product and a sum at one level twice and at another once, and then no element equals
    their minimum.
    """
    needed: dict[int, set[int]] = {n.id: set() for n in nodes}
    compared = {
        a
        for n in nodes
        if n.kind is Kind.ELEMENTWISE and is_bool(n.dtype)
        for a, _ in graph.producers[n.id]
        if is_float(graph[a].dtype)
    }
    scratch: dict[int, int] = {}
    for node in reversed(nodes):
        if node.id in domain.after:
            continue
        reduces = node.kind is Kind.REDUCTION
        if reduces:
            at = {fold_level(graph, domain, node.id)}
        else:
            at = set(needed[node.id])
            if node.id in stored:
                at = {domain.level[node.id]}  # later levels read the stored copy
            elif (
                len(at) > 1
                and (node.id in compared or OPS[node.op].cost >= EXPENSIVE)
                and len(node.shape) > domain.depth
            ):
                scratch[node.id] = min(at)
                at = {min(at)}
        for a, _ in graph.producers[node.id]:
            if a in needed:
                needed[a] |= at
    return scratch
