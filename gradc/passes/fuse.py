"""Fusion by price: which nodes are computed together, and what is written to memory.

Enters: a graph (after `materialise`). Leaves: groups, each with its loop tree; each becomes one
kernel. Always holds: every anchor is in exactly one group, and what is no anchor is computed by
every group that needs it; no path leaves a group and returns to it; a group writes exactly what
others need. The same graph gives the same groups: prices are integers, and ties go to smaller ids.

Two groups merge where that makes them cheaper (see `price`), those that gain most first: groups of
which one reads the other, and groups that read the same.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ..errors import UnsupportedError, fail
from ..graph import Graph
from ..ops.table import Kind
from .anchors import choose_anchors, is_computed
from .check_tree import check_tree
from .clusters import Clusters
from .homes import homes
from .plans import Plans
from .price import CALL, UNIT
from .tree import Tree

MOST_ARRAYS = 24
"""A loop over more arrays than this has too few registers for their places."""

MOST_READERS = 6
"""Of more readers of one value each is tried with the nearest alone."""

LEAST = 50
"""One part in so many is the least that must be saved beside the call."""


ENOUGH = 4096 * UNIT
"""What is always worth it, except between two products: each of those has a name of its own, so
that both have to be.
"""


@dataclass(frozen=True)
class Group:
    """What one kernel computes: its tree, all nodes of it, and those it writes."""

    nodes: tuple[int, ...]
    stored: tuple[int, ...]
    tree: Tree


def fuse(graph: Graph, *, merge: bool = True) -> list[Group]:
    """The groups, ordered so that each comes after what it reads.

    Raises `UnsupportedError` for an op that has no loops. Without `merge` every node is
    computed and stored by itself: slow, and as plain as can be.
    """
    _refuse_own(graph)
    anchors = choose_anchors(graph) if merge else (n.id for n in graph if is_computed(n))
    plans = Plans(graph, anchors)
    clusters = Clusters(plans.statements.anchors, plans.users)
    if merge:
        _join_chains(clusters, plans)
        _Search(clusters, plans).run()
    return [_group(plans, clusters.members[k]) for k in clusters.sorted()]


def _refuse_own(graph: Graph) -> None:
    """What has loops of its own, or several results, can be traced and differentiated only."""
    for node in graph:
        if node.kind in (Kind.OWN, Kind.ITEM):
            message = f"`{node.op}` cannot be compiled to C"
            raise fail(UnsupportedError, "GC311", message, span=node.span)


def _join_chains(c: Clusters, plans: Plans) -> None:
    """Values of one shape that read each other as they are share a loop whatever else they share.

    That never costs anything, and so needs no prices: chains of any length are one cluster in
    linear time. Not so next to contractions, whose tiles may take in the one or the other.
    """
    plain = {i for i in c.of if plans.is_plain(i)}
    for i in sorted(plain):
        for read in plans.statements(i).reads:
            a = read.source
            as_it_is = read.map == tuple(range(len(plans.statements(i).extents)))
            if a not in plain or not as_it_is or c.of[a] == c.of[i]:
                continue
            first, second = sorted((c.of[a], c.of[i]), key=c.place.__getitem__)
            members = c.members[first] | c.members[second]
            if plans.given(members) <= MOST_ARRAYS:
                behind = c.in_between(first, second)
                if behind is not None:
                    c.merge(first, second, behind)
    plans.count_as_one(c.of)


def _group(plans: Plans, members: frozenset[int]) -> Group:
    tree, stored = plans.tree(members), plans.stored(members)
    check_tree(tree, stored, homes(tree, stored))
    nodes = set(tree.statements)
    for s in tree.statements.values():
        nodes.update(i for i, _ in s.inline)
    return Group(tuple(sorted(nodes)), tuple(sorted(stored)), tree)


class _Search:
    """The merging of clusters, those that gain most first."""

    def __init__(self, clusters: Clusters, plans: Plans) -> None:
        self.clusters, self.plans, self.graph = clusters, plans, plans.graph
        self.heap: list[tuple[int, int, int, frozenset[int], frozenset[int]]] = []
        self.asked: set[frozenset[int]] = set()

    def run(self) -> None:
        c = self.clusters
        for a in sorted(c.members):
            for b in self._neighbours(a):
                if b > a:
                    self._offer(a, b)
        while self.heap:
            _, a, b, of_a, of_b = heapq.heappop(self.heap)
            if c.members.get(a) != of_a or c.members.get(b) != of_b:
                continue
            if c.place[a] > c.place[b]:
                a, b = b, a
            behind = c.in_between(a, b)
            if behind is not None:
                merged = c.merge(a, b, behind)
                for other in self._neighbours(merged):
                    self._offer(merged, other)

    def _offer(self, a: int, b: int) -> None:
        one, two = self.clusters.members[a], self.clusters.members[b]
        if one | two in self.asked:
            return
        self.asked.add(one | two)
        gain = self._gain(one, two)
        if gain is not None:
            heapq.heappush(
                self.heap, (-gain, min(a, b), max(a, b), *((one, two) if a < b else (two, one)))
            )

    def _neighbours(self, cluster: int) -> list[int]:
        """The clusters that share an edge with one, or read what it reads."""
        c = self.clusters
        found = c.after(cluster)
        for source in sorted(self._reads(c.members[cluster])):
            if source in c.of:
                found.add(c.of[source])
            others = sorted({c.of[u] for u in self.plans.users[source]})
            if len(others) > MOST_READERS:
                k = others.index(cluster)
                others = others[max(0, k - 2) : k + 3]
            found.update(others)
        return sorted(found - {cluster})

    def _reads(self, members: frozenset[int]) -> set[int]:
        return {source for m in members for source in self.plans.reads[m]}

    def _gain(self, one: frozenset[int], two: frozenset[int]) -> int | None:
        """What merging saves, if that is worth it."""
        both = one | two
        arrays = len(self._reads(both) - both) + len(self.plans.stored(both))
        if arrays > MOST_ARRAYS:
            return None
        apart = [self.plans(part) for part in (one, two)]
        together = self.plans(both)
        prices = [plan.price for plan in apart if plan is not None]
        if together is None or len(prices) < 2:
            return None
        gain, less = sum(prices) - together.price, min(prices)
        saved = gain - CALL
        share = LEAST * saved >= less
        if all(any(self.graph[m].kind is Kind.CONTRACTION for m in part) for part in (one, two)):
            enough = share and saved >= ENOUGH
        else:
            enough = share or saved >= ENOUGH or less < 2 * CALL
        return gain if gain > 0 and enough else None
