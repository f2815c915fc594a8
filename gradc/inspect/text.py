"""A program as text for a terminal: summary, kernels, memory, one node.

Enters: a `View`. Leaves: text. Always holds: no colour, no line that depends on the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dtypes import short
from ..graph import GONE, Node
from ..ops.table import Kind
from .describe import flops, kib
from .view import EntryView, View

LABEL_WIDTH = 8


def summary_text(view: View) -> str:
    """A few lines: entry points with their work and memory, and what more can be asked for."""
    lines = view.source.count("\n")
    head = f"{view.name}: {lines} lines of C, {view.state_arrays} arrays of state"
    rows = [("entry", "nodes", "kernels", "flops", "arena", "lower bound")]
    for name, entry in view.entries.items():
        work = sum(k.flops for k in entry.kernels)
        arena, bound = kib(entry.plan.arena_bytes), kib(entry.plan.lower_bound)
        counts = (str(len(entry.graph)), str(len(entry.kernels)), f"{work:,}")
        rows.append((name, *counts, arena, bound))
    more = "more: --c --graph --memory --kernels --node N --at FILE:LINE, --entry NAME"
    return "\n".join([head, *_table(rows, left=1), more])


def kernels_text(entry: EntryView) -> str:
    """One line a kernel, in the order of the calls."""
    rows = [("", "kernel", "ops", "flops", "bytes", "C", "python")]
    for number, kernel in enumerate(entry.kernels, 1):
        ops = ", ".join(kernel.ops[:4]) + (", ..." if len(kernel.ops) > 4 else "")
        sources = ", ".join(kernel.sources[:3]) + (", ..." if len(kernel.sources) > 3 else "")
        first, last = kernel.lines
        work = (f"{kernel.flops:,}", f"{kernel.bytes:,}")
        rows.append((str(number), kernel.name, ops, *work, f"{first}-{last}", sources))
    return "\n".join(_table(rows, left=3, right_from=6))


def memory_text(entry: EntryView) -> str:
    """The plan's numbers, a table of its buffers, and a picture; the same of what is inside it."""
    plans = ((entry.name, entry.plan), *entry.inside)
    return "\n\n".join(f"{name}\n{plan.report()}" for name, plan in plans)


def node_text(view: View, entry: EntryView, node: Node) -> str:
    """All that is known of one node."""
    name = f" `{node.name}`" if node.name else ""
    number = entry.kernel_of(node.id)
    where = [phase(entry, node)] + ([f"kernel {number}"] if number else [])
    lines = [f"#{node.id} {node.op}{name}  {short(node.dtype, node.shape)}  {', '.join(where)}"]
    facts = {
        "python": _python(node),
        "in": ", ".join(_named(entry, a) for a in dict.fromkeys(node.args)),
        "out": ", ".join(_user(entry, u, node) for u in entry.graph.users[node.id]),
        "buffer": _buffer(entry, node),
        "C": _c_lines(view, entry, node),
        "cost": _cost(entry, node),
    }
    lines += [f"  {label:<{LABEL_WIDTH}} {fact}" for label, fact in facts.items() if fact]
    return "\n".join(lines)


def phase(entry: EntryView, node: Node) -> str:
    """Whether a node is computed on the way forward or is part of a gradient."""
    if node.kind.is_given:
        return node.kind.value
    if node.of is None:
        return "forward"
    return "backward" if node.of == GONE else f"backward, gradient of #{node.of}"


def _python(node: Node) -> str:
    span = node.span
    return f"{span.short}:{span.col + 1}    {span.text.strip()}".rstrip() if span else ""


def _named(entry: EntryView, node_id: int) -> str:
    return entry.graph.label(node_id)


def _user(entry: EntryView, user_id: int, node: Node) -> str:
    user = entry.graph[user_id]
    gradient = f" (gradient of #{user.of})" if user.of is not None and node.of is None else ""
    return f"#{user.id} {user.name or user.op}{gradient}"


def _buffer(entry: EntryView, node: Node) -> str:
    place = entry.places.get(node.id)
    if place is None:
        return (
            "none: a constant in the C"
            if node.kind is Kind.CONSTANT
            else "none: computed where it is used"
        )
    if not place.in_arena:
        what = node.name or place.name
        return f"{place.home} `{what}`, {kib(node.nbytes)}"
    planned = entry.plan.by_id[place]
    saved = any(entry.graph[u].of is not None for u in entry.graph.users[node.id])
    kept = " (saved for backward)" if saved and node.of is None else ""
    source = None if planned.over is None else entry.plan.by_id[planned.over]
    over = "" if source is None else f", written over `{source.name}`"
    live = f"live kernels {planned.first + 1}-{planned.last}"
    return f"offset {planned.offset}, {kib(planned.size)}, {live}{over}{kept}"


def _c_lines(view: View, entry: EntryView, node: Node) -> str:
    ranges = entry.lines.get(node.id, ())
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:4]]
    if not shown:
        number = entry.kernel_of(node.id)
        if number is None:
            return ""
        shown = ["{}-{}".format(*entry.kernels[number - 1].lines)]
    return f"{view.name}.c:{', '.join(shown)}" + (", ..." if len(ranges) > 4 else "")


def _cost(entry: EntryView, node: Node) -> str:
    work = flops(entry.graph, node)
    if work == 0:
        return ""
    moved = node.nbytes + sum(entry.graph[a].nbytes for a in dict.fromkeys(node.args))
    total = sum(k.flops for k in entry.kernels)
    share = f" ({100 * work / total:.1f}% of {entry.name})" if total else ""
    return f"{work:,} flops{share}, {kib(moved)} in and out"


def _table(
    rows: Sequence[tuple[str, ...]], *, left: int, right_from: int | None = None
) -> list[str]:
    """Columns as wide as they must be; those from `left` to `right_from` are numbers."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    end = len(widths) if right_from is None else right_from
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{w}}" if left <= c < end else f"{cell:<{w}}"
            for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines
