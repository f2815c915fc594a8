"""Entry points of a program: what each does to the state, traced and checked.

Enters: a nesting of arrays as the state, and functions marked as `query` or `update`. Leaves: one
`Job` for each, over the same leaves of the state. Always holds: a new state has the structure,
shapes and dtypes of the old one, whatever the order of its dicts; tied arrays are one leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..dtypes import Spec, short
from ..errors import Label, ShapeError, TraceError, UnsupportedError, fail, user_errors
from ..graph import Graph
from ..lower.naming import derive_names
from ..native.arguments import Nesting
from ..ops.table import OPS, Kind
from ..stages import Job, Leaf
from ..trace import Traced, spec_of, trace_tree
from ..trace import argument_names as labels_of
from ..trace.given import described, need_arguments, need_function, need_specs
from ..trace.source import place_of_result
from ..tree import Tree, flatten
from .names import argument_names, input_paths, output_names
from .options import Options, target_of


@dataclass(frozen=True)
class EntryDef:
    """A function and the specs of its arguments after the state.

    `scalars` maps names of further scalar arguments (a learning rate) to their defaults, NumPy
    scalars of the arguments' dtype.
    """

    fn: Callable[..., Any]
    specs: tuple[Any, ...]
    updates: bool
    scalars: Mapping[str, Any] = field(default_factory=dict)


@user_errors
def query(fn: Callable[..., Any], *specs: Any) -> EntryDef:
    """An entry point `fn(state, *args) -> outputs` that reads the state and leaves it as it is.

    `specs` are those of the arguments after the state, specs or arrays in any nesting of dtypes and
    shapes. For `gd.program`, which raises what tracing `fn` raises, `TraceError` and the like.
    """
    _check_entry(fn, specs, "query")
    return EntryDef(fn, specs, False)


@user_errors
def update(fn: Callable[..., Any], *specs: Any) -> EntryDef:
    """An entry point `fn(state, *args) -> (new_state, outputs)` that replaces the state.

    `specs` are those of the arguments after the state, specs or arrays in any nesting; the new
    state must have the nesting, shapes and dtypes of the old one. For `gd.program`, which raises
    `TraceError` or `ShapeError` if it has not, and what tracing `fn` raises.
    """
    _check_entry(fn, specs, "update")
    return EntryDef(fn, specs, True)


def _check_entry(fn: Any, specs: tuple[Any, ...], caller: str) -> None:
    need_function(fn, caller)
    need_specs(specs, caller)
    need_arguments(fn, len(specs), first="the state")


@dataclass(frozen=True)
class StateLeaves:
    """The arrays of a state: tied arrays once, and where each leaf of the nesting is among them.

    `parameters` are the positions of those leaves that are a model's.
    """

    leaves: tuple[Leaf, ...]
    tree: Tree
    paths: tuple[str, ...]
    position: tuple[int, ...]
    parameters: tuple[int, ...] = ()

    @property
    def state(self) -> Any:
        """The nesting around the arrays as they are stored, numbers too."""
        return self.tree.unflatten([self.leaves[k].value for k in self.position])


def state_leaves(state: Any, display: Callable[[str], str]) -> StateLeaves:
    """Take a state apart. Python numbers become 0-d arrays of their default dtype."""
    values, tree = flatten(state)
    paths = tree.paths()
    known: dict[int, int] = {}
    leaves: list[Leaf] = []
    position: list[int] = []
    for path, value in zip(paths, values, strict=True):
        key = id(value) if isinstance(value, np.ndarray) else -1 - len(position)
        if key not in known:
            known[key] = len(leaves)
            recipe = getattr(value, "recipe", None)
            dtype = spec_of(value, path or "state").dtype
            array = np.array(value, dtype, order="C", subok=False)
            name, axes = path or "value", getattr(value, "axes", ())
            leaves.append(Leaf(name, display(name), array, recipe, axes=axes))
        position.append(known[key])
    return StateLeaves(tuple(leaves), tree, tuple(paths), tuple(position))


@dataclass(frozen=True)
class EntryTrace:
    """What is known of an entry point in Python: its trace, and the nestings around its C.

    A pickle takes the nestings along, which every call needs, and not the trace.
    """

    traced: Traced | None
    arguments: Nesting
    results: Tree

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "traced": None}


def make_job(
    name: str, entry: EntryDef, known: StateLeaves, options: Options
) -> tuple[Job, EntryTrace]:
    """Trace one entry point into a job, and check what it returns as a new state."""
    labels = labels_of(entry.fn, len(entry.specs) + 1)[1:]
    names = ["", *labels, *entry.scalars]
    fn = _returning_pair(name, entry.fn) if entry.updates else entry.fn
    traced = trace_tree(fn, known.state, *entry.specs, *entry.scalars.values(), names=names)
    graph = _named(traced, known)
    count = len(known.leaves)
    arguments, free = argument_names(input_paths(traced)[count:])
    outputs: tuple[int, ...] = graph.outputs
    replaced: tuple[int, ...] = ()
    results, labels_out = traced.out_tree, traced.labels
    if entry.updates:
        new, results = traced.out_tree.children
        found = _new_state(name, new, graph, known)
        labels_out = labels_out[new.count :]
        replaced, outputs = tuple(found), (*found.values(), *graph.outputs[new.count :])
    graph = Graph(graph.nodes, graph.inputs, outputs)
    arrays = [graph[i].spec for i in graph.inputs[count:] if graph[i].shape]
    batch = batch_of(arrays) if entry.updates else None
    result_names = output_names(results, labels_out, free)
    first = len(arguments) - len(entry.scalars)
    defaults = {first + k: float(value) for k, value in enumerate(entry.scalars.values())}
    job = Job(
        name, graph, count, replaced, arguments, result_names, target_of(options), batch=batch,
        defaults=defaults,
    )  # fmt: skip
    trees = traced.in_tree.children[1 : 1 + len(labels)]
    own = traced.leaf_inputs[traced.in_tree.children[0].count :]
    nesting = Nesting(name, labels, trees, [at - count for at in own])
    return job, EntryTrace(traced, nesting, results)


def batch_of(specs: Sequence[Spec]) -> int | None:
    """The leading extent that all specs share: the number of rows of a batch."""
    rows = {s.shape[0] if s.shape else None for s in specs}
    return rows.pop() if len(rows) == 1 and specs else None


def _returning_pair(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, whose result must be a new state and the outputs."""

    def update(*args: Any) -> Any:
        result = fn(*args)
        if isinstance(result, tuple) and len(result) == 2:
            return result
        place = place_of_result(fn)
        raise fail(
            TraceError,
            "GC502",
            f"`{name}` must return a pair (new state, outputs), got {described(result)}",
            labels=(Label(place),) if place is not None else (),
            helps=("return `state, outputs`; outputs may be `None`",),
        )

    return update


def _named(traced: Traced, known: StateLeaves) -> Graph:
    """The graph with its state under display names, and gradients called after what they are of."""
    graph = traced.graph
    nodes = dict(graph.nodes)
    for leaf, i in zip(known.leaves, graph.inputs, strict=False):
        nodes[i] = replace(nodes[i], name=leaf.display)
    display = {path: known.leaves[k].display for path, k in _positions(known)}
    for marker in graph:
        if OPS[marker.op].marker and marker.name in display:
            nodes[marker.id] = replace(marker, name=display[marker.name])
    shown = {f"d_{path}": f"d_{name}" for path, name in display.items()}
    bases = derive_names(Graph(nodes, graph.inputs, graph.outputs), {})
    for forward, cotangent in traced.cotangents.items():
        node = nodes.get(cotangent)
        if node is None or forward not in nodes or node.kind.is_source:
            continue
        own = graph[cotangent].name or ""
        name = shown.get(own, own) or f"d_{bases[forward]}"
        if not own and (OPS[nodes[forward].op].marker or nodes[forward].kind is Kind.MOVEMENT):
            continue
        nodes[cotangent] = replace(node, name=name)
    return Graph(MappingProxyType(nodes), graph.inputs, graph.outputs)


def _positions(known: StateLeaves) -> list[tuple[str, int]]:
    return list(zip(known.paths, known.position, strict=True))


def _new_state(name: str, new: Tree, graph: Graph, known: StateLeaves) -> dict[int, int]:
    """The node that replaces each leaf; raises unless the new state is built like the old one."""
    paths = new.paths()
    if sorted(paths) != sorted(known.paths):
        missing = [p for p in known.paths if p not in paths]
        extra = [p for p in paths if p not in known.paths]
        parts = [("missing", missing), ("unexpected", extra)]
        found = "; ".join(f"{word} `{'`, `'.join(names)}`" for word, names in parts if names)
        raise fail(
            TraceError, "GC503", f"the new state of `{name}` differs from the old one: {found}"
        )
    nodes = dict(zip(paths, graph.outputs, strict=False))
    chosen: dict[int, int] = {}
    for path, at in zip(known.paths, known.position, strict=True):
        leaf, node = known.leaves[at], graph[nodes[path]]
        if node.shape != leaf.value.shape or node.dtype != leaf.value.dtype:
            expected = short(leaf.value.dtype, leaf.value.shape)
            raise fail(
                ShapeError,
                "GC504",
                f"the new `{path}` is {node.spec!r}, but the state holds {expected}",
                span=node.span,
            )
        if chosen.setdefault(at, node.id) != node.id:
            raise fail(
                UnsupportedError,
                "GC505",
                f"`{path}` is tied to `{leaf.name}` but is given another new value",
                span=node.span,
            )
    return chosen
