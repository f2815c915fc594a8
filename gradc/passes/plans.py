"""The best tree of a set of anchors: what it keeps for itself, what it computes again.

Enters: a graph, its anchors, and sets of them. Leaves: a `Plan` for each, with its price, and its
tree. Always holds: a plan is a function of the set. Sets of one structure, such as equal layers,
have one plan that is looked for once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..dtypes import is_bool, item_bytes
from ..graph import Graph
from ..ops.table import OPS, Kind
from .anchors import KEEP, compared_values
from .arrange import arrange
from .price import price
from .statements import NONE, Role, Statement, Statements
from .tree import Loop, Tree

MOST_STATEMENTS = 64
"""A kernel of more would be slow to plan, and nobody could read it."""


@dataclass(frozen=True)
class Plan:
    """Of the members `dropped` are computed by each reader; `kept` are more that are not."""

    price: int
    kept: frozenset[int] = NONE
    dropped: frozenset[int] = NONE


@dataclass(frozen=True)
class _Numbered:
    """A plan in terms of the places of nodes in a set, which sets of one structure share."""

    price: int
    kept: tuple[int, ...]
    dropped: tuple[int, ...]


class Plans:
    """Plans of sets of anchors of one graph; see the module docstring."""

    def __init__(self, graph: Graph, anchors: Iterable[int]) -> None:
        self.graph = graph
        self.statements = Statements(graph, anchors)
        self.compared = compared_values(graph)
        self.outputs = frozenset(graph.outputs)
        self.users: dict[int, set[int]] = defaultdict(set)
        self.reads: dict[int, frozenset[int]] = {}
        for i in sorted(self.statements.anchors):
            self.reads[i] = frozenset(r.source for r in self.statements(i).reads)
            for source in self.reads[i]:
                self.users[source].add(i)
        self._lump: Mapping[int, int] = {}
        self._signatures: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._numbers: dict[object, int] = {}
        self._known: dict[frozenset[int], Plan | None] = {}
        self._alike: dict[object, _Numbered | None] = {}

    def stored(self, members: frozenset[int]) -> frozenset[int]:
        """What a kernel of `members` must write: outputs, and what others read."""
        return frozenset(m for m in members if m in self.outputs or not self.users[m] <= members)

    def is_plain(self, member: int) -> bool:
        """Whether it is a value that is made of no sums of a contraction."""
        kinds = (self.graph[source].kind for source in self.reads[member])
        value = self.statements(member).role is Role.VALUE
        return value and Kind.CONTRACTION not in kinds

    def given(self, members: frozenset[int]) -> int:
        """How many arrays a kernel of `members` reads or writes, whatever is joined to it."""
        read = {source for m in members for source in self.reads[m]} - self.statements.anchors
        return len(read) + len(members & self.outputs)

    def count_as_one(self, lump: Mapping[int, int]) -> None:
        """Members with the same number count as one statement from now on."""
        self._lump = dict(lump)

    def __call__(self, members: frozenset[int]) -> Plan | None:
        """The best plan; None if the members do not go together."""
        if members not in self._known:
            self._known[members] = self._of_its_kind(members)
        return self._known[members]

    def tree(self, members: frozenset[int]) -> Tree:
        """The tree of the best plan, or at least one: there always is for a single member."""
        plan = self(members) or Plan(0)
        made = self._arranged(members, plan.kept, plan.dropped)
        assert made is not None, f"{sorted(members)} fit no tree"
        return made

    # What sets of one structure share

    def _of_its_kind(self, members: frozenset[int]) -> Plan | None:
        if len({self._lump.get(m, m) for m in members}) > MOST_STATEMENTS:
            return None
        stored, key = self.stored(members), []
        places: dict[int, int] = {}
        for m in sorted(members):
            signature, nodes = self._signature(m)
            numbers = tuple(places.setdefault(i, len(places)) for i in nodes)
            key.append((signature, m in stored, numbers))
        whole = tuple(key)
        nodes = tuple(places)
        if whole not in self._alike:
            found = self._best(members, stored)
            self._alike[whole] = (
                None
                if found is None
                else _Numbered(
                    found.price,
                    tuple(places[i] for i in sorted(found.kept)),
                    tuple(places[i] for i in sorted(found.dropped)),
                )
            )
        alike = self._alike[whole]
        if alike is None:
            return None
        kept, dropped = (frozenset(nodes[k] for k in part) for part in (alike.kept, alike.dropped))
        return Plan(alike.price, kept, dropped)

    def _signature(self, member: int) -> tuple[int, tuple[int, ...]]:
        """A number for all that matters of a statement but which nodes it has; and these."""
        if member not in self._signatures:
            s = self.statements(member)
            nodes = [member, *(r.source for r in s.reads), *(i for i, _ in s.inline)]
            facts = tuple(
                (n.nbytes, item_bytes(n.dtype), is_bool(n.dtype), OPS[n.op].cost)
                for n in (self.graph[i] for i in nodes)
            )
            maps = (tuple(r.map for r in s.reads), tuple(m for _, m in s.inline))
            for i, _ in s.inline:
                nodes += self.graph.producers[i]
            what = (
                s.role, s.domain, s.factors, s.result, s.folded, s.product, facts, maps,
                OPS[self.graph[member].op].better, member in self.compared,
            )  # fmt: skip
            number = self._numbers.setdefault(what, len(self._numbers))
            self._signatures[member] = number, tuple(nodes)
        return self._signatures[member]

    # The search for one

    def _best(self, members: frozenset[int], stored: frozenset[int]) -> Plan | None:
        cheap = self._cheap(members, stored)
        # A byte among floats makes a loop slow.
        bools = frozenset(m for m in cheap if is_bool(self.graph[m].dtype))
        found = [self._with(members, stored, bools)]
        if cheap != bools:
            found.append(self._with(members, stored, cheap))
        good = [plan for plan in found if plan is not None]
        return min(good, key=lambda plan: plan.price) if good else None

    def _cheap(self, members: frozenset[int], stored: frozenset[int]) -> frozenset[int]:
        """Values that nobody else needs, and that each loop may as well compute."""
        statements = [self.statements(m) for m in sorted(members)]
        factors = {r.source for s in statements if s.role is Role.CONTRACT for r in s.reads}
        return frozenset(
            s.node
            for s in statements
            if s.role is Role.VALUE
            and s.node not in stored
            and s.node not in factors
            and s.node not in self.compared
            and self._operations(s) < KEEP
        )

    def _operations(self, s: Statement) -> float:
        inline = sum(OPS[self.graph[i].op].cost for i, _ in s.inline)
        return OPS[self.graph[s.node].op].cost + inline

    def _arranged(
        self, members: frozenset[int], kept: frozenset[int], dropped: frozenset[int]
    ) -> Tree | None:
        nodes = sorted((members - dropped) | kept)
        return arrange(self.graph, [self.statements(i, kept, dropped) for i in nodes])

    def _with(
        self, members: frozenset[int], stored: frozenset[int], dropped: frozenset[int]
    ) -> Plan | None:
        tree = self._arranged(members, NONE, dropped)
        if tree is None:
            return None
        cost = price(self.graph, tree, stored)
        best = None if cost is None else Plan(cost, NONE, dropped)
        kept = self._worth_keeping(tree)
        if kept and (other := self._arranged(members, kept, dropped)) is not None:
            cost = price(self.graph, other, stored)
            if cost is not None and (best is None or cost < best.price):
                best = Plan(cost, kept, dropped)
        return best

    def _worth_keeping(self, tree: Tree) -> frozenset[int]:
        """Nodes that several loops compute on the way, and that cost more than to keep them."""
        sites: dict[int, set[int]] = defaultdict(set)
        for n, s in tree.statements.items():
            for i, where in s.inline:
                axes = {tree.axis_of[n, k] for k in where if k is not None}
                site = 0
                for loop in tree.paths[n]:
                    if loop.axis in axes if isinstance(loop, Loop) else axes:
                        site = id(loop)
                sites[i].add(site)
        costs = self._costs(sorted(sites))
        found = set()
        for i, own in sites.items():
            users = (u for u in self.graph.users[i] if u in sites)
            outermost = not any(sites[u] == own for u in users)
            if len(own) > 1 and costs[i] >= KEEP and outermost:
                found.add(i)
        return frozenset(found)

    def _costs(self, nodes: Iterable[int]) -> dict[int, float]:
        """The operations of nodes with all that is computed for them among `nodes`."""
        costs: dict[int, float] = {}
        for i in nodes:
            node = self.graph[i]
            own = OPS[node.op].cost if node.kind is Kind.ELEMENTWISE else 0.0
            costs[i] = own + sum(costs.get(a, 0.0) for a in self.graph.producers[i])
        return costs
