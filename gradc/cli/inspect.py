"""`gradc inspect`: show a compiled program without building it.

Enters: a target and what to show. Leaves: text or JSON on stdout. Always holds: no C compiler is
needed.
"""

from __future__ import annotations

import argparse

from ..errors import ArgumentError, fail
from ..graph import Node
from ..inspect import View, kernels_text, memory_text, node_text, summary_text, view_of
from ..inspect.data import entry_data, kernel_data, node_data, plan_data, view_data
from ..inspect.view import EntryView
from .console import Console
from .target import load


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The command."""
    path, name = arguments.target
    _, compiled = load(path, name, seed=arguments.seed)
    view = view_of(compiled)
    entry = view.entry(arguments.entry)
    if arguments.c:
        console.data(view.source.rstrip("\n"), {"source": view.source, "header": view.header})
    elif arguments.graph:
        nodes = [node_data(entry, node) for node in entry.graph]
        outputs = list(entry.graph.outputs)
        data = {"name": view.name, "entry": entry.name, "nodes": nodes, "outputs": outputs}
        console.data(str(entry.graph), data)
    elif arguments.memory:
        console.data(
            memory_text(entry), {"entry": entry.name, **plan_data(entry.plan, entry.inside)}
        )
    elif arguments.kernels:
        kernels = [kernel_data(k) for k in entry.kernels]
        console.data(kernels_text(entry), {"entry": entry.name, "kernels": kernels})
    elif arguments.node is not None:
        show_nodes(view, entry, [entry.node(arguments.node)], console)
    elif arguments.at is not None:
        show_nodes(view, entry, nodes_at(entry, *arguments.at), console)
    elif arguments.entry is not None:
        data = {"entry": entry.name, **entry_data(entry)}
        console.data(f"{memory_text(entry)}\n\n{kernels_text(entry)}", data)
    else:
        console.data(summary_text(view), view_data(view))
    return 0


def nodes_at(entry: EntryView, file: str, line: int) -> list[Node]:
    """The nodes of a line of Python; raises ArgumentError that says which lines have any."""
    nodes = entry.at(file, line)
    if not nodes:
        lines = sorted({n.span.line for n in entry.graph if n.span and entry.at(file, n.span.line)})
        known = ", ".join(map(str, lines)) or "none: no node comes from that file"
        message = f"nothing in `{entry.name}` comes from `{file}:{line}`"
        raise fail(ArgumentError, "GC903", message, notes=(f"lines that do: {known}",))
    return nodes


def show_nodes(view: View, entry: EntryView, nodes: list[Node], console: Console) -> None:
    text = "\n\n".join(node_text(view, entry, node) for node in nodes)
    data = {"entry": entry.name, "nodes": [node_data(entry, node) for node in nodes]}
    console.data(text, data)
