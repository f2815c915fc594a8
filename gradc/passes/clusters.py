"""Anchors in clusters, and one topological order of the clusters, kept up to date.

Enters: anchors and who reads whom. Leaves: clusters, merged two at a time. Always holds: no path
leaves a cluster and returns to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping


class Clusters:
    """A partition of anchors. `users` maps a value to the anchors that read it."""

    def __init__(self, anchors: Iterable[int], users: Mapping[int, Iterable[int]]) -> None:
        self.users = users
        order = sorted(anchors)
        self.of = {i: i for i in order}
        self.members = {i: frozenset({i}) for i in order}
        self._order: list[int | None] = list(order)
        self.place = {c: k for k, c in enumerate(order)}

    def after(self, cluster: int) -> set[int]:
        """The clusters that read from one."""
        found = {self.of[u] for m in self.members[cluster] for u in self.users.get(m, ())}
        return found - {cluster}

    def in_between(self, a: int, b: int) -> set[int] | None:
        """What `a`, which comes before `b`, reaches before it; None if a path leads on to `b`.

        Only clusters that lie between the two in the order can be on such a path.
        """
        end = self.place[b]
        seen: set[int] = set()
        stack = [c for c in self.after(a) if c != b]
        while stack:
            c = stack.pop()
            if c in seen or self.place[c] > end:
                continue
            seen.add(c)
            following = self.after(c)
            if b in following:
                return None
            stack += following
        return seen

    def merge(self, a: int, b: int, behind: set[int]) -> int:
        """One cluster of two, `a` before `b`; what `a` reaches goes `behind` it."""
        low, high = self.place[a], self.place[b]
        window = [c for c in self._order[low : high + 1] if c is not None]
        keep, drop = min(a, b), max(a, b)
        front = [c for c in window if c not in behind and c not in (a, b)]
        new = [*front, keep, *(c for c in window if c in behind)]
        for k, cluster in enumerate(new, low):
            self.place[cluster] = k
        gap: list[int | None] = [None] * (high + 1 - low - len(new))
        self._order[low : high + 1] = [*new, *gap]
        for m in self.members[drop]:
            self.of[m] = keep
        self.members[keep] |= self.members.pop(drop)
        del self.place[drop]
        return keep

    def sorted(self) -> list[int]:
        """Topological order, by the first anchor where there is a choice."""
        following = {k: self.after(k) for k in self.members}
        waiting = dict.fromkeys(self.members, 0)
        for after in following.values():
            for s in after:
                waiting[s] += 1
        first = {k: min(m) for k, m in self.members.items()}
        ready = [(first[k], k) for k, n in waiting.items() if n == 0]
        heapq.heapify(ready)
        order: list[int] = []
        while ready:
            _, k = heapq.heappop(ready)
            order.append(k)
            for s in following[k]:
                waiting[s] -= 1
                if waiting[s] == 0:
                    heapq.heappush(ready, (first[s], s))
        assert len(order) == len(self.members), "fusion made a cycle between groups"
        return order
