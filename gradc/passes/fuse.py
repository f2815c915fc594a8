"""Fusion: which nodes are computed together, and what is written to memory.

Enters: a graph (after `materialise`). Leaves: groups of node ids; each becomes one kernel. Always
holds: every computed node is in exactly one group, unless it is a scalar so cheap that its users
compute it themselves; no path leaves a group and returns to it; a group writes exactly what others
need.

The rules, in order, each one function: elementwise nodes follow a contraction into its loops
(`_take_epilogues`), producers that only one contraction group reads join it (`_take_producers`),
elementwise nodes and reductions that fit one nest of rows merge (`_merge_rows`), and so do nests
that read the same values (`_merge_neighbours`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..errors import UnsupportedError, fail
from ..graph import Graph
from ..ops.table import OPS, Kind
from .cost import EXPENSIVE
from .domain import Domain, find_domain, keeps_axes


@dataclass(frozen=True)
class Group:
    """Nodes of one kernel: a contraction (`anchor`) with its epilogue, or a nest (`domain`)."""

    nodes: tuple[int, ...]
    stored: tuple[int, ...]
    anchor: int | None = None
    domain: Domain | None = None


class Clusters:
    """The nodes partitioned into clusters, and the acyclic graph between clusters."""

    def __init__(self, graph: Graph, inline: frozenset[int]) -> None:
        self.graph = graph
        self.outputs = frozenset(graph.outputs)
        self.inline = inline
        self.args: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        self.users: dict[int, list[int]] = defaultdict(list)
        self.of: dict[int, int] = {}
        self.members: dict[int, set[int]] = {}
        for node in graph:
            if node.kind is Kind.MOVEMENT or node.kind.is_source or node.id in self.inline:
                continue
            self.of[node.id] = node.id
            self.members[node.id] = {node.id}
            self.args[node.id] = [
                (a, chain) for a, chain in graph.producers[node.id] if a in self.of
            ]
            for a in {a for a, _ in self.args[node.id]}:
                self.users[a].append(node.id)

    def successors(self, cluster: int) -> set[int]:
        found = {self.of[u] for n in self.members[cluster] for u in self.users[n]}
        return found - {cluster}

    def predecessors(self, cluster: int) -> set[int]:
        found = {self.of[a] for n in self.members[cluster] for a, _ in self.args[n]}
        return found - {cluster}

    def can_merge(self, a: int, b: int) -> bool:
        """Whether no path between the two runs through a third cluster."""
        if b in self.predecessors(a):
            a, b = b, a
        if a in self.predecessors(b):
            return not self._detour(a, b)  # a path back would close a cycle
        return not (self._detour(a, b) or self._detour(b, a))

    def _detour(self, start: int, end: int) -> bool:
        """Whether a third cluster lies between: looked for from both ends, until one is done."""
        after, before = self.successors(start) - {end}, self.predecessors(end) - {start}
        ahead, behind = list(after), list(before)
        met = not after.isdisjoint(before)
        while ahead and behind and not met:
            fresh = self.successors(ahead.pop()) - after
            after |= fresh
            ahead += fresh
            met = not fresh.isdisjoint(before)
            fresh = self.predecessors(behind.pop()) - before
            before |= fresh
            behind += fresh
            met = met or not fresh.isdisjoint(after)
        return met

    def merge(self, a: int, b: int) -> int:
        """Make one cluster of two; it keeps the smaller number."""
        keep, drop = min(a, b), max(a, b)
        for n in self.members[drop]:
            self.of[n] = keep
        self.members[keep] |= self.members.pop(drop)
        return keep

    def stored(self, members: frozenset[int]) -> frozenset[int]:
        """What a cluster of `members` must write: outputs, and what others read."""
        return frozenset(
            n for n in members if n in self.outputs or any(u not in members for u in self.users[n])
        )

    def anchor(self, cluster: int) -> int | None:
        kinds = self.graph
        found = [n for n in self.members[cluster] if kinds[n].kind is Kind.CONTRACTION]
        return found[0] if found else None


def _inline_scalars(graph: Graph) -> frozenset[int]:
    """Cheap one-element nodes that depend on nothing but inputs: every user computes them anew."""
    found: set[int] = set()
    for node in graph:
        if node.kind is not Kind.ELEMENTWISE or node.size != 1 or node.id in graph.outputs:
            continue
        args = [graph[a] for a, _ in graph.producers[node.id]]
        cheap = OPS[node.op].cost < EXPENSIVE
        if cheap and all(a.kind.is_source or a.id in found for a in args):
            found.add(node.id)
    return frozenset(found)


def fuse(graph: Graph, *, merge: bool = True) -> list[Group]:
    """Partition the graph into groups, ordered so that each comes after what it reads.

    Raises `UnsupportedError` for an op that has no loops. Without `merge` every node is
    computed and stored by itself: slow, and as plain as can be.
    """
    _refuse_own(graph)
    clusters = Clusters(graph, _inline_scalars(graph) if merge else frozenset())
    while merge and (_take_epilogues(clusters) or _take_producers(clusters)):
        pass
    while merge and _merge_elementwise(clusters):
        pass
    while merge and _merge_rows(clusters):
        pass
    while merge and _merge_neighbours(clusters):
        pass
    return [_group(clusters, c) for c in _sorted_clusters(clusters)]


def _refuse_own(graph: Graph) -> None:
    """What has loops of its own, or several results, can be traced and differentiated only."""
    for node in graph:
        if node.kind in (Kind.OWN, Kind.ITEM):
            message = f"`{node.op}` cannot be compiled to C"
            raise fail(UnsupportedError, "GC311", message, span=node.span)


def _take_epilogues(c: Clusters) -> bool:
    """An elementwise node with a contraction's shape joins it, and is applied to its sums."""
    changed = False
    for node_id in sorted(c.of):
        node = c.graph[node_id]
        if node.kind is not Kind.ELEMENTWISE or c.anchor(c.of[node_id]) is not None:
            continue
        hosts = {c.of[a] for a, chain in c.args[node_id] if not chain}
        for host in sorted(hosts, reverse=True):
            anchor = c.anchor(host)
            if anchor is None or c.graph[anchor].shape != node.shape:
                continue
            if node.of is not None and c.graph[anchor].of is None:
                continue  # the backward pass computes what it needs from what is stored
            from_host = [chain for a, chain in c.args[node_id] if c.of[a] == host]
            if not any(from_host) and c.can_merge(host, c.of[node_id]):
                c.merge(host, c.of[node_id])
                changed = True
                break
    return changed


def _take_producers(c: Clusters) -> bool:
    """An elementwise node that only one contraction group reads is computed there."""
    changed = False
    for node_id in sorted(c.of, reverse=True):
        node, own = c.graph[node_id], c.of[node_id]
        if node.kind is not Kind.ELEMENTWISE or len(c.members[own]) > 1 or node_id in c.outputs:
            continue
        readers = {c.of[u] for u in c.users[node_id]}
        if len(readers) != 1:
            continue
        (host,) = readers
        anchor = c.anchor(host)
        if anchor is None or any(
            a == node_id for a, _ in c.args[anchor]
        ):  # a factor of the products themselves has to be stored
            continue
        same_shape = node.shape == c.graph[anchor].shape
        cheap = OPS[node.op].cost < EXPENSIVE
        if (same_shape or cheap) and c.can_merge(own, host):
            c.merge(own, host)
            changed = True
    return changed


def _merge_elementwise(c: Clusters) -> bool:
    """Elementwise nodes of one shape that read one another as they are share one loop.

    What `_merge_rows` would do as well, but this looks at what lies between two clusters alone: so
    a chain of any length is fused in linear time.
    """
    changed = False
    plain = {k for k, m in c.members.items() if all(_is_elementwise(c, n) for n in m)}
    for node_id in sorted(c.of):
        for a, _ in c.args[node_id]:
            here, there = c.of[node_id], c.of[a]
            if here == there or here not in plain or there not in plain:
                continue
            if c.graph[here].shape != c.graph[there].shape or not _read_as_they_are(c, here, there):
                continue
            if c.can_merge(here, there):
                plain.discard(max(here, there))
                c.merge(here, there)
                changed = True
    return changed


def _is_elementwise(c: Clusters, node_id: int) -> bool:
    return c.graph[node_id].kind is Kind.ELEMENTWISE


def _read_as_they_are(c: Clusters, one: int, other: int) -> bool:
    """Whether everything that two clusters read of each other is read at the same index."""
    small, large = sorted((one, other), key=lambda k: len(c.members[k]))
    users = (u for n in c.members[small] for u in c.users[n] if c.of[u] == large)
    chains = [chain for n in c.members[small] for a, chain in c.args[n] if c.of[a] == large]
    chains += [chain for u in users for a, chain in c.args[u] if c.of[a] == small]
    depth = len(c.graph[small].shape)
    return all(keeps_axes(c.graph, m, depth) for chain in chains for m in chain)


def _merge_rows(c: Clusters) -> bool:
    """Two clusters without a contraction merge along an edge when one nest can hold both."""
    changed = False
    for node_id in sorted(c.of):
        for a, _ in c.args[node_id]:
            here, there = c.of[node_id], c.of[a]
            if here == there or c.anchor(here) is not None or c.anchor(there) is not None:
                continue
            members = frozenset(c.members[here] | c.members[there])
            fits = find_domain(c.graph, members, c.stored(members)) is not None
            if fits and c.can_merge(here, there):
                c.merge(here, there)
                changed = True
    return changed


def _merge_neighbours(c: Clusters) -> bool:
    """Two nests that read the same values, and neither the other, share their loops if they fit."""
    nests = [k for k in sorted(c.members) if c.anchor(k) is None]
    reads = {k: _reads(c, k) for k in nests}
    for position, a in enumerate(nests):
        for b in nests[position + 1 :]:
            if not reads[a] & reads[b] or b in c.successors(a) or a in c.successors(b):
                continue
            alone = [find_domain(c.graph, *_with_stored(c, k)) for k in (a, b)]
            members = frozenset(c.members[a] | c.members[b])
            both = find_domain(c.graph, members, c.stored(members))
            if both is None or both.depth == 0 or any(d is None for d in alone):
                continue
            if len(both.carried) > sum(len(d.carried) for d in alone if d is not None):
                continue
            if c.can_merge(a, b):
                c.merge(a, b)
                return True
    return False


def _reads(c: Clusters, cluster: int) -> set[int]:
    """What a cluster reads from memory: values of other clusters."""
    members = c.members[cluster]
    return {a for n in members for a, _ in c.args[n] if a not in members}


def _with_stored(c: Clusters, cluster: int) -> tuple[frozenset[int], frozenset[int]]:
    members = frozenset(c.members[cluster])
    return members, c.stored(members)


def _sorted_clusters(c: Clusters) -> list[int]:
    """Topological order of the clusters, by their first node where there is a choice."""
    waiting: dict[int, int] = dict.fromkeys(c.members, 0)
    for cluster in c.members:
        for s in c.successors(cluster):
            waiting[s] += 1
    order: list[int] = []
    ready = sorted((k for k, n in waiting.items() if n == 0), key=lambda k: min(c.members[k]))
    while ready:
        cluster = ready.pop(0)
        order.append(cluster)
        for s in sorted(c.successors(cluster)):
            waiting[s] -= 1
            if waiting[s] == 0:
                ready.append(s)
        ready.sort(key=lambda k: min(c.members[k]))
    assert len(order) == len(c.members), "fusion made a cycle between groups"
    return order


def _group(c: Clusters, cluster: int) -> Group:
    members = frozenset(c.members[cluster])
    stored = c.stored(members)
    nodes, kept = tuple(sorted(members)), tuple(sorted(stored))
    anchor = c.anchor(cluster)
    if anchor is not None:
        return Group(nodes, kept, anchor=anchor)
    domain = find_domain(c.graph, members, stored)
    assert domain is not None, f"group {nodes} fits no nest"
    return Group(nodes, kept, domain=domain)
