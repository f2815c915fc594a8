"""`trace`: run a function once on traced values and keep the graph of what it did.

Enters: a function and its arguments, nestings of specs, arrays or numbers. Leaves: a `Graph`, or a
`Traced`, which also knows how the nestings of arguments and results are built. Always holds: inputs
are in the order of the leaves and are named by their path (`model.fc1.weight`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import F32, DType, Spec, as_dtype, default_dtype, default_float, is_weak
from ..errors import DTypeError, GradcError, fail, user_errors
from ..graph import Graph, verify
from ..tree import Tree, flatten
from .context import LARGEST_CONSTANT, Trace, located_by_traceback
from .given import need_arguments, need_function, need_specs
from .naming import name_by_assignment
from .value import Value, lift


@dataclass(frozen=True)
class Traced:
    """A graph, and the nestings around it.

    `in_tree` is the structure of the tuple of arguments, `paths` the dotted path of each of its
    leaves and `leaf_inputs` the position of the graph input that each leaf is (tied leaves share
    one; -1 is a number that is no input). `out_tree` is the structure of the result; its leaves
    are the graph's outputs, and `labels` what each of them calls itself (`value`, `d_x`), if it
    does. `cotangents` maps a differentiated node to its gradient.
    """

    graph: Graph
    in_tree: Tree
    out_tree: Tree
    paths: tuple[str, ...]
    leaf_inputs: tuple[int, ...]
    labels: tuple[str | None, ...]
    cotangents: Mapping[int, int]

    def arrays(self, leaves: Sequence[Any]) -> list[Any]:
        """One array for each graph input, picked from one for each leaf, in the input's dtype."""
        first = dict(zip(self.leaf_inputs, leaves, strict=True))
        dtypes = [self.graph[i].dtype for i in self.graph.inputs]
        return [np.asarray(first[i], dtype) for i, dtype in enumerate(dtypes)]


@user_errors
def trace(fn: Callable[..., Any], *args: Any) -> Graph:
    """The graph of `fn(*args)`, which is run once on stand-ins for its arguments.

    `args` are specs (`gd.f32[64, 784]`), arrays or numbers, in any nesting of dict, list, tuple,
    dataclass and `nn.Module`; only their shapes and dtypes matter. `print(graph)` lists it,
    `graph.dag` is a `networkx.DiGraph`. Raises `TraceError`, `ShapeError`, `DTypeError` or
    `UnsupportedError` at the line of `fn` that cannot be traced.
    """
    need_function(fn, "trace")
    need_specs(args, "trace")
    need_arguments(fn, len(args))
    return trace_tree(fn, *args).graph


def trace_tree(
    fn: Callable[..., Any],
    *args: Any,
    names: Sequence[str] | None = None,
    tied: bool = True,
    numbers_are_inputs: bool = True,
    largest_constant: int | None = LARGEST_CONSTANT,
) -> Traced:
    """The graph of `fn(*args)` with the nestings of arguments and results.

    `names` are the names of the arguments, by default those of `fn`'s signature. `tied`: one array
    that is reached twice within one argument is one input. `largest_constant`: see `Trace`.
    Unless `numbers_are_inputs`, Python's own numbers are handed to `fn` as they are.
    """
    names = list(names or argument_names(fn, len(args)))
    leaves, in_tree = flatten(args)
    paths = _paths(in_tree, names)
    owner = Trace(largest_constant)
    held = [not numbers_are_inputs and is_weak(leaf) for leaf in leaves]
    values, positions = _inputs(owner, in_tree, leaves, paths, held, tied=tied)
    try:
        with owner.running():
            result = fn(*in_tree.unflatten(values))
            outputs, out_tree = flatten(result)
            ids = [lift(owner, v).node_id for v in outputs]
            labels = tuple(v.label if isinstance(v, Value) else None for v in outputs)
    except GradcError as found:
        better = located_by_traceback(found, found.__traceback__)
        if better is found:
            raise
        raise better.with_traceback(found.__traceback__) from None
    live = set(owner.builder.finish(ids).nodes)
    name_by_assignment(owner.builder, live)
    _name_results(owner, ids, labels)
    _name_gradients(owner)
    graph = owner.builder.finish(ids)
    verify(graph)
    cotangents = dict(owner.cotangents)
    return Traced(graph, in_tree, out_tree, tuple(paths), tuple(positions), labels, cotangents)


def argument_names(fn: Callable[..., Any], count: int) -> list[str]:
    """The names of the first `count` positional parameters; `args_0`, ... for a `*args`."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return [f"arg{i}" for i in range(count)]
    names: list[str] = []
    for p in parameters:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}{i}" for i in range(count - len(names))]
    return names[:count] + [f"arg{i}" for i in range(len(names), count)]


def _paths(in_tree: Tree, names: Sequence[str]) -> list[str]:
    pairs = zip(names, in_tree.children, strict=True)
    return [path for name, child in pairs for path in child.paths(name)]


def _inputs(
    owner: Trace,
    in_tree: Tree,
    leaves: list[Any],
    paths: list[str],
    held: list[bool],
    *,
    tied: bool,
) -> tuple[list[Any], list[int]]:
    """A value for each leaf, and the position of its graph input; a held leaf is itself."""
    argument_of = [k for k, child in enumerate(in_tree.children) for _ in range(child.count)]
    known: dict[tuple[int, int], int] = {}
    floating = default_float([leaf.dtype for leaf in leaves if hasattr(leaf, "dtype")])
    values: list[Any] = []
    positions: list[int] = []
    for leaf, path, argument, is_held in zip(leaves, paths, argument_of, held, strict=True):
        if is_held:
            values.append(leaf)
            positions.append(-1)
            continue
        key = (argument, id(leaf))
        may_tie = tied and isinstance(leaf, np.ndarray)
        if not (may_tie and key in known):
            known[key] = len(owner.builder.inputs)
            owner.builder.input(spec_of(leaf, path, floating), path)
        positions.append(known[key])
        values.append(Value(owner, owner.builder.inputs[known[key]], argument=path))
    return values, positions


def name_of(array: Any) -> str:
    """What a traced array is called by the user, such as `fc1.weight`; empty if by nothing."""
    name = (array.node.name or "") if isinstance(array, Value) else ""
    return name.removeprefix("params.")


def spec_of(leaf: Any, name: str = "", floating: DType = F32) -> Spec:
    """The shape and dtype of a spec, an array, or a number; `name` is for messages.

    A real number of Python's own is `floating`.
    """
    if isinstance(leaf, Spec):
        return leaf
    if is_weak(leaf):
        return Spec((), default_dtype(leaf, floating))
    array = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else np.asarray(leaf)
    try:
        return Spec(tuple(array.shape), as_dtype(array.dtype))
    except DTypeError as found:
        if not name:
            raise
        message = f"`{name}` has dtype `{array.dtype}`, which is not supported"
        raise fail(DTypeError, "GC002", message, helps=found.diagnostic.helps) from None


def _name_gradients(owner: Trace) -> None:
    """The gradient of `h` is called `d_h`."""
    nodes = owner.builder.nodes
    for forward, cotangent in owner.cotangents.items():
        if nodes[forward].name and not nodes[cotangent].kind.is_given:
            owner.builder.rename(cotangent, f"d_{nodes[forward].name}")


def _name_results(owner: Trace, ids: Sequence[int], labels: Sequence[str | None]) -> None:
    """A result that calls itself something is called so in the graph too."""
    for node_id, label in zip(ids, labels, strict=True):
        if label and not owner.builder.nodes[node_id].kind.is_given:
            owner.builder.rename(node_id, label)
