"""Kernels as a person would write them: larger expressions, and words for values.

Enters: a call of an entry point's plan and what it is handed. Leaves: its kernel, ready to be
printed. Always holds: it computes the same as the kernel that was planned, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..cnames import identifier
from ..graph import Node
from ..lower.formula import description, places
from ..lower.nest import Kernel
from ..lower.nested import nested
from ..lower.words import named
from .functions import Call, Function
from .writer import WIDTH


def readable(function: Function) -> tuple[Kernel, str]:
    """The kernel of a function, in words, and the comment above it."""
    run, handed, graph = function.first.run, function.first.operands, function.first.entry.graph
    values: dict[int, str] = {}
    stored: list[int] = []
    for o in handed:
        read, written = run.uses[o.position].read, run.uses[o.position].written
        if isinstance(read, int):
            values[read] = o.param.name if o.over is None else o.over.name
        if isinstance(written, int):
            values[written] = o.param.name
            stored.append(written)
    kernel = nested(run.kernel, lambda i: i in graph.nodes and _has_word(graph[i], values))
    kernel, shared = named(kernel, graph, values)
    text = description(graph, stored, values, shared)
    where, *others = {_origin(call): None for call in function.calls}
    if others:
        return kernel, text
    fits = len(text.rpartition("\n")[2]) + len(where) < WIDTH - 10
    joint = "; " if fits else ";\n"
    return kernel, f"{text}{joint}{where}" if where else text


def _origin(call: Call) -> str:
    """The lines of the user's source that a call comes from."""
    graph, nodes = call.entry.graph, call.run.kernel.nodes
    where = places(graph, nodes)
    gradient = any(graph[i].of is not None for i in nodes if i in graph.nodes)
    return f"gradient of {where}" if where and gradient else where


def _has_word(node: Node, values: Mapping[int, str]) -> bool:
    """Whether a value keeps the user's name for it: unless that is the name of what is stored."""
    return bool(node.name) and identifier(node.name) not in values.values()
