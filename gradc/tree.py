"""Nestings of containers, taken apart into leaves and put together again.

Enters: any nesting of dict, list, tuple, named tuple, dataclass and objects such as `nn.Module`.
Leaves: a flat list of leaves and a `Tree`, which can build the same nesting around other leaves.
Always holds: flattening changes nothing; a rebuilt container is a new object of the same class;
dicts keep their insertion order; what is not a leaf (a string, a function, `None`) is carried
along.

An object takes part by two methods: `tree_children()` returns its parts by name, and
`tree_rebuild(parts)` a new object of its class that holds these parts instead. Inside such an
object only arrays are leaves: a number there is configuration, as `nn.Linear.in_features` is.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from .dtypes import Spec
from .errors import TraceError, fail


class Nested(Protocol):
    """An object that can be taken apart and rebuilt; `is_nested` says whether one is."""

    def tree_children(self) -> Mapping[str, Any]: ...

    def tree_rebuild(self, parts: Mapping[str, Any]) -> Any: ...


def is_nested(value: object) -> bool:
    """Whether the class of `value` has the methods of `Nested`."""
    kind = type(value)  # an instance may answer to any name, and take its time for it
    return hasattr(kind, "tree_children") and hasattr(kind, "tree_rebuild")


@dataclass(frozen=True, eq=False)
class Tree:
    """The structure of a nesting: a leaf, a static value, or a container of named children."""

    kind: str = "leaf"
    static: Any = None
    keys: tuple[str, ...] = ()
    children: tuple[Tree, ...] = ()
    rebuild: Callable[[list[Any]], Any] | None = None

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return 1 if self.kind == "leaf" else sum(child.count for child in self.children)

    def paths(self, prefix: str = "") -> list[str]:
        """The dotted path of each leaf: `fc1.weight`; a lone leaf's is `prefix`."""
        if self.kind == "leaf":
            return [prefix]
        dot = "." if prefix else ""
        pairs = zip(self.keys, self.children, strict=True)
        return [path for key, child in pairs for path in child.paths(f"{prefix}{dot}{key}")]

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The nesting with `leaves` in the places of its own."""
        if len(leaves) != self.count:
            raise fail(
                TraceError, "GC220", f"{self.count} leaves are expected here, got {len(leaves)}"
            )
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.kind == "leaf":
            return next(leaves)
        if self.rebuild is None:
            return self.static
        return self.rebuild([child._build(leaves) for child in self.children])


LEAF = Tree()


def is_array(value: object) -> bool:
    """Whether `value` is an array, a traced value, or the spec of one."""
    return isinstance(value, Spec) or hasattr(type(value), "__array__")


def flatten(value: Any) -> tuple[list[Any], Tree]:
    """The leaves of `value` in order, and its structure. `Tree.unflatten` is the inverse."""
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves, set(), arrays_only=False)


def leaves_with_paths(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Pairs of dotted path and leaf."""
    leaves, tree = flatten(value)
    return list(zip(tree.paths(prefix), leaves, strict=True))


def map_leaves(fn: Callable[..., Any], first: Any, *others: Any) -> Any:
    """The nesting `first` with each leaf replaced by `fn(leaf, *leaves of the others)`.

    The other nestings need the same paths as the first.
    """
    leaves, tree = flatten(first)
    columns = [leaves]
    for other in others:
        more, other_tree = flatten(other)
        if other_tree.paths() != tree.paths():
            raise fail(
                TraceError,
                "GC221",
                f"two nestings differ: leaves {tree.paths()} and {other_tree.paths()}",
            )
        columns.append(more)
    return tree.unflatten([fn(*row) for row in zip(*columns, strict=True)])


def _flatten(value: Any, leaves: list[Any], above: set[int], *, arrays_only: bool) -> Tree:
    """Append the leaves of `value`; `above` holds the ids of the containers around it."""
    parts = _parts(value)
    if parts is None:
        is_number = isinstance(value, (bool, int, float, np.generic))
        if not arrays_only if is_number else is_array(value):
            leaves.append(value)
            return LEAF
        return Tree("static", value)
    if id(value) in above:
        raise fail(
            TraceError,
            "GC222",
            f"a `{type(value).__name__}` contains itself, so its arrays have no finite list",
            helps=("keep the reference to the parent out of the object",),
        )
    keys, children, rebuild = parts
    inside = arrays_only or is_nested(value)
    above.add(id(value))
    before = len(leaves)
    trees = tuple(_flatten(child, leaves, above, arrays_only=inside) for child in children)
    above.discard(id(value))
    if len(leaves) == before and (inside or dataclasses.is_dataclass(value)):
        return Tree("static", value)  # configuration: kept as the very object it is
    return Tree("container", None, keys, trees, rebuild)


Parts = tuple[tuple[str, ...], list[Any], Callable[[list[Any]], Any]]


def _parts(value: Any) -> Parts | None:
    """The names and values of a container's children and how to rebuild it; None for a leaf."""
    if isinstance(value, type):
        return None
    if is_nested(value):
        children = dict(value.tree_children())
        return (
            tuple(children),
            list(children.values()),
            _Object(value, tuple(children)),
        )
    if isinstance(value, dict):
        return tuple(map(str, value)), list(value.values()), partial(_dict_like, _emptied(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(value._fields), list(value), partial(_called_with, type(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(str, range(len(value)))), list(value), type(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, Spec) and not is_array(value):
        names = tuple(field.name for field in dataclasses.fields(value))
        return (
            names,
            [getattr(value, n) for n in names],
            partial(_with, _with(value, names, [None] * len(names)), names),
        )
    return None


@dataclass(frozen=True)
class _Object:
    """How to rebuild an object that takes part by its methods."""

    old: Nested
    names: tuple[str, ...]

    def __call__(self, new: list[Any]) -> Any:
        return self.old.tree_rebuild(dict(zip(self.names, new, strict=True)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Without its parts, which are leaves and stand elsewhere.
        return _Object, (self.old.tree_rebuild(dict.fromkeys(self.names)), self.names)


def _called_with(kind: Callable[..., Any], new: list[Any]) -> Any:
    return kind(*new)


def _emptied(old: dict[Any, Any]) -> dict[Any, Any]:
    """A dict of the same class and keys that keeps no leaf alive."""
    return _dict_like(old, [None] * len(old))


def _dict_like(old: dict[Any, Any], new: list[Any]) -> dict[Any, Any]:
    rebuilt = copy.copy(old)  # keeps the class and, for a defaultdict, its factory
    for key, child in zip(old, new, strict=True):
        rebuilt[key] = child
    return rebuilt


def _with(old: Any, names: tuple[str, ...], new: list[Any]) -> Any:
    """A copy of a dataclass instance, frozen or not, with other field values."""
    rebuilt = copy.copy(old)
    for name, child in zip(names, new, strict=True):
        object.__setattr__(rebuilt, name, child)
    return rebuilt
