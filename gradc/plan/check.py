"""The calls of an entry point, checked against what they were planned from.

Enters: an `EntryPlan`. Leaves: nothing, or a `PlanError`. Always holds: it knows nothing of how the
plan was made: it follows the calls one after the other and keeps account of which value each byte
holds.

So whatever an order, a lifetime, an offset or an overlay got wrong is seen where it does harm: a
kernel reads bytes that something else has been written to. It costs a few microseconds a call.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import pairwise

from ..dtypes import item_bytes
from .offsets import PlanError
from .steps import Call, EntryPlan, Place

Span = tuple[int, int]


def verify_calls(plan: EntryPlan) -> None:
    """Every place has the size its parameter needs, lies within the arena, overlaps no other of its
    call, and holds at every read the value that is read; at the end the results are in theirs.
    """
    held = _Held(plan)
    for number, call in enumerate(plan.calls, 1):
        try:
            _verify_sizes(plan, call)
            _verify_apart(plan, call)
            for place, node in zip(call.places, call.reads, strict=True):
                if node is not None:
                    held.require(place, node)
            for place, node in zip(call.places, call.writes, strict=True):
                if node is not None or place.kind == "scratch":
                    held.write(place, node)
        except PlanError as error:
            what = "a copy" if call.kernel is None else f"`{call.kernel.name}`"
            raise PlanError(f"call {number}, {what}: {error}") from None
    for node, place in plan.roles.outputs.items():
        held.require(place, node)


def _verify_sizes(plan: EntryPlan, call: Call) -> None:
    """A parameter, its place and its value have one number of bytes."""
    if call.kernel is None:
        needed = [call.size] * len(call.places)
    else:
        params = (*call.kernel.params, *call.kernel.scratch)
        needed = [p.size * item_bytes(p.dtype) for p in params]
    for place, nbytes, *values in zip(call.places, needed, call.reads, call.writes, strict=True):
        for node in values:
            if node is not None and plan.graph[node].nbytes != nbytes:
                size = plan.graph[node].nbytes
                raise PlanError(f"value #{node} has {size} bytes, its parameter {nbytes}")
        if place.in_arena:
            planned = plan.memory.by_id[place]
            if planned.size != nbytes:
                raise PlanError(f"`{planned.name}` has {planned.size} bytes, not {nbytes}")
            if planned.offset < 0 or planned.offset + nbytes > plan.memory.arena_bytes:
                raise PlanError(f"`{planned.name}` leaves the arena: {planned}")


def _verify_apart(plan: EntryPlan, call: Call) -> None:
    """No two of the places a kernel is handed share a byte if it writes to one: `restrict`."""
    spans = sorted((*_span(plan, place), place.name) for place in call.places if place.in_arena)
    for (_, end, a), (start, _, b) in pairwise(spans):
        if start < end:
            raise PlanError(f"`{a}` and `{b}` share bytes of the arena")
    outside = [place for place in call.places if not place.in_arena]
    if len(set(outside)) < len(outside):
        raise PlanError("one array is handed over twice")


def _span(plan: EntryPlan, place: Place) -> Span:
    planned = plan.memory.by_id[place]
    return planned.offset, planned.offset + planned.size


class _Held:
    """Which value each byte of the arena holds, and each array outside it."""

    def __init__(self, plan: EntryPlan) -> None:
        self.plan = plan
        self.outside: dict[Place, int | None] = {}
        for node, place in plan.roles.inputs.items():
            self.outside[place] = node
        self.spans: list[Span] = []  # by offset; no two overlap
        self.value: dict[Span, int | None] = {}

    def require(self, place: Place, node: int) -> None:
        """Complain unless the place holds exactly this value."""
        if place.in_arena:
            found = self.value.get(_span(self.plan, place))
        elif place.kind == "constant":
            found = place.key
        else:
            found = self.outside.get(place)
        if found != node and self.plan.graph[node].size:
            holds = "nothing" if found is None else f"#{found}"
            raise PlanError(f"{place.kind} `{place.name}` holds {holds} where #{node} is read")

    def write(self, place: Place, node: int | None) -> None:
        """From now on the place holds this value; what shared a byte with it is lost."""
        if not place.in_arena:
            self.outside[place] = node
            return
        start, end = span = _span(self.plan, place)
        first = bisect_left(self.spans, (start, start))
        if first and self.spans[first - 1][1] > start:
            first -= 1
        last = bisect_right(self.spans, (end, -1))
        for lost in self.spans[first:last]:
            del self.value[lost]
        del self.spans[first:last]
        if end > start:
            insort(self.spans, span)
            self.value[span] = node
