"""The meaning of a graph, in NumPy: the oracle that everything else is compared with.

Enters: a graph and one array for each of its inputs. Leaves: one array for each output, or for each
node. Always holds: every value has exactly the shape and dtype that its node promises; each node is
computed by its op's reference, one after the other, with nothing clever in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import short
from .errors import DataError, ShapeError, fail
from .graph import Graph
from .ops.table import OPS, Kind, result_dtype

Array = np.ndarray[Any, Any]


def interpret_all(graph: Graph, inputs: Sequence[object]) -> dict[int, Any]:
    """The value of every node, by id: an array, or a tuple of those of a node of several results.

    Raises `ShapeError` when an input does not have the shape and dtype of its node, and `DataError`
    when an element is outside the bounds that the program puts on it.
    """
    arrays = _checked(graph, inputs)
    given = dict(zip(graph.inputs, arrays, strict=True))
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in graph:
            operands = [values[a] for a in node.args]
            if node.kind is Kind.INPUT:
                operands = [given[node.id]]
            result = OPS[node.op].reference(*operands, **node.attrs)
            several = len(node.results) > 1
            made = tuple(
                result_dtype(array, spec.dtype)
                for array, spec in zip(result if several else [result], node.results, strict=True)
            )
            values[node.id] = made if several else made[0]
    return values


def interpret(graph: Graph, inputs: Sequence[object]) -> list[Array]:
    """The values of the graph's outputs, each an array of its own."""
    values = interpret_all(graph, inputs)
    return [np.array(values[i]) for i in graph.outputs]


def _checked(graph: Graph, inputs: Sequence[object]) -> list[Array]:
    if len(inputs) != len(graph.inputs):
        raise fail(
            DataError, "GC402", f"the graph has {len(graph.inputs)} inputs, got {len(inputs)}"
        )
    arrays = []
    for node_id, value in zip(graph.inputs, inputs, strict=True):
        node = graph[node_id]
        array = np.asarray(value)
        if array.shape != node.shape or array.dtype != node.dtype:
            raise fail(
                ShapeError,
                "GC101",
                f"input `{node.name}` is {node.spec!r}, got {short(array.dtype, array.shape)}",
            )
        arrays.append(array)
    return arrays
