"""A program as plain data, for `--json` and for whoever draws it.

Enters: a `View`. Leaves: dicts, lists, numbers and strings. Always holds: `json.dumps` takes it;
ids are those that the text shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import GONE, Node
from ..plan.memory import MemoryPlan
from ..spans import character
from .describe import KernelInfo
from .view import EntryView, View

VALUES_SHOWN = 16


def node_data(entry: EntryView, node: Node) -> dict[str, Any]:
    """One node with its source, its place and its lines of C."""
    place = entry.places.get(node.id)
    return {
        "id": node.id,
        "op": node.op,
        "name": node.name,
        "args": list(node.args),
        "users": list(entry.graph.users[node.id]),
        "shape": list(node.shape),
        "dtype": node.dtype.name,
        "attrs": {k: _plain(v) for k, v in node.attrs.items()},
        "gradient_of": None if node.of == GONE else node.of,
        "kernel": entry.kernel_of(node.id),
        "source": None if node.span is None else source_data(node),
        "place": None if place is None else {"kind": place.home, "name": place.name},
        "c_lines": [list(r) for r in entry.lines.get(node.id, ())],
    }


def source_data(node: Node) -> dict[str, Any]:
    span = node.span
    assert span is not None
    return {
        "file": span.file,
        "line": span.line,
        "column": character(span.file, span.line, span.col) + 1,
        "text": span.text.strip(),
    }


def _plain(value: Any) -> Any:
    """An attribute as JSON knows it; of a large constant only its shape is told."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= VALUES_SHOWN else {"shape": list(value.shape)}
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def kernel_data(kernel: KernelInfo) -> dict[str, Any]:
    return {
        "name": kernel.name,
        "ops": list(kernel.ops),
        "nodes": list(kernel.nodes),
        "flops": kernel.flops,
        "bytes": kernel.bytes,
        "sources": list(kernel.sources),
        "c_lines": list(kernel.lines),
    }


def plan_data(plan: MemoryPlan, inside: Sequence[tuple[str, MemoryPlan]] = ()) -> dict[str, Any]:
    """The numbers and buffers of a plan, and of those `inside` it with their names."""
    return {
        "inside": [{"name": name, **plan_data(inner)} for name, inner in inside],
        "arena_bytes": plan.arena_bytes,
        "lower_bound": plan.lower_bound,
        "no_reuse_bytes": plan.no_reuse_bytes,
        "state_bytes": plan.state_bytes,
        "io_bytes": plan.io_bytes,
        "buffers": [
            {
                "name": b.name,
                "offset": b.offset,
                "size": b.size,
                "first": b.first,
                "last": b.last,
                "over": None if b.over is None else plan.by_id[b.over].name,
            }
            for b in plan.buffers
        ],
    }


def entry_data(entry: EntryView) -> dict[str, Any]:
    """The numbers of an entry point."""
    return {
        "nodes": len(entry.graph),
        "kernels": len(entry.kernels),
        "flops": sum(k.flops for k in entry.kernels),
        "arena_bytes": entry.plan.arena_bytes,
        "lower_bound": entry.plan.lower_bound,
    }


def view_data(view: View) -> dict[str, Any]:
    """The summary of a program."""
    return {
        "name": view.name,
        "c_lines": view.source.count("\n"),
        "state_arrays": view.state_arrays,
        "entries": {name: entry_data(entry) for name, entry in view.entries.items()},
    }
