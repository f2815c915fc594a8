"""What Python hands to C: each argument checked, converted, and named in messages.

Enters: an entry point and the values of a call, in any nesting. Leaves: one value for each input,
as the C wants it: arrays of the exact shape and dtype, contiguous, in native byte order, and Python
numbers for scalars. Always holds: dtypes are converted by the rule of `conversion`, which loses
nothing silently; truth values are no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..conversion import described, does_not_fit, in_dtype, spelled
from ..dtypes import SHORT, is_bool, is_float, is_integer, limits, short
from ..emit.entry import Argument, Entry
from ..errors import DataError, DTypeError, ShapeError, fail
from ..tree import Tree, flatten

Array = np.ndarray[Any, Any]


def describe(value: Any) -> str:
    """`f64[3, 4]` for an array, the class for anything that NumPy holds as an object."""
    array = as_array(value)
    if array.dtype == np.dtype(object) and not hasattr(value, "dtype"):
        return f"a `{type(value).__name__}`"
    return described(array)


def as_array(value: Any, name: str = "argument") -> Array:
    """`value` as NumPy sees it; what cannot be an array is a `ShapeError` or a `DTypeError`."""
    try:
        return np.asarray(value)
    except ValueError as error:
        reason = str(error).split(".")[0]
        help_ = "give all rows the same length"
        raise fail(
            ShapeError, "GC402", f"`{name}` is not an array: {reason}", helps=(help_,)
        ) from None
    except (TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        help_ = f"take a torch tensor off its graph: `{name}.detach().cpu().numpy()`"
        raise fail(
            DTypeError, "GC405", f"`{name}` is not an array: {reason}", helps=(help_,)
        ) from None


def convert(a: Argument, value: Any, hint: str = "") -> Any:
    """An argument as the C wants it. Raises `ShapeError`, `DTypeError` or `DataError`.

    `hint` is what to do about a wrong number of rows.
    """
    if not a.shape and not isinstance(value, np.ndarray):
        return scalar(a, value)
    array = as_array(value, a.name)
    wanted = short(a.dtype, a.shape)
    if array.shape != a.shape:
        rows = array.shape[1:] == a.shape[1:] and array.ndim == len(a.shape)
        help_ = hint.format(len(array)) if hint and rows else shape_help(a.name, array, a.shape)
        message = f"`{a.name}` must be {wanted}, got {describe(value)}"
        raise fail(ShapeError, "GC402", message, helps=(help_,))
    array = in_dtype(array, a.dtype, a.name, wanted, weak=not hasattr(value, "dtype"))
    return as_in_c(array) if a.shape else scalar(a, array.item())


def shape_help(name: str, array: Array, shape: tuple[int, ...]) -> str:
    """What to do about an array of another shape."""
    extents = ", ".join(map(str, shape))
    if array.size == math.prod(shape) and array.dtype != np.dtype(object):
        return (
            f"reshape it, if its elements are in that order: `{spelled(name)}.reshape({extents})`"
        )
    return f"pass an array of shape [{extents}], or compile for the shape you have"


def as_in_c(array: Array) -> Array:
    """`array`, copied if its elements do not lie as in C: one after the other, each aligned.

    In C a bool is 0 or 1; NumPy also takes any other byte of a view for true.
    """
    if is_bool(array.dtype) and array.view(np.uint8).max(initial=0) > 1:
        array = array.view(np.uint8) != 0
    return array if array.flags.carray else np.require(array, requirements=["C", "A"])


def scalar(a: Argument, value: Any) -> Any:
    """A scalar argument as the Python number that cffi passes by value."""
    if is_float(a.dtype) and is_number(value):
        if float(np.finfo(a.dtype).max) < abs(value) < math.inf:
            raise does_not_fit(a.name, value, a.dtype)
        return float(value)
    if is_integer(a.dtype) and isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        least, greatest = limits(a.dtype)
        if least <= value <= greatest:
            return int(value)
        raise does_not_fit(a.name, value, a.dtype)
    if is_bool(a.dtype) and isinstance(value, (bool, np.bool_)):
        return int(value)
    got = describe(value) if hasattr(value, "dtype") else f"a `{type(value).__name__}`"
    message = f"`{a.name}` must be a number of dtype `{SHORT[a.dtype]}`, got {got}"
    helps = (f"pass a number: `{a.name}={'0.1' if is_float(a.dtype) else '1'}`",)
    raise fail(DTypeError, "GC405", message, helps=helps)


def is_number(value: Any) -> bool:
    """Whether it is a number by itself; a truth value is none."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool)


def wrong_count(name: str, expected: Sequence[str], got: int, given: str = "") -> ShapeError:
    """The error of a call with too few or too many arguments."""
    plural = "argument" if len(expected) == 1 else "arguments"
    listed = f" ({', '.join(expected)})" if expected else ""
    advice = f"call it as `{name}({', '.join(expected)})`"
    helps = (given if given and got > len(expected) else advice,)
    message = f"`{name}` takes {len(expected)} {plural}{listed}, got {got}"
    return fail(ShapeError, "GC403", message, helps=helps)


def check_ranges(entry: Entry, values: Sequence[Any]) -> None:
    """Raise `DataError` naming the first integer outside its range."""
    for c in entry.checks:
        a = entry.args[c.position]
        check_range(a.name, np.asarray(values[c.position]), c.lower, c.upper)


def check_range(name: str, array: Array, lower: int, upper: int) -> None:
    """Raise `DataError` naming the first element that is not in lower <= x < upper."""
    outside = (array < lower) | (array >= upper)
    if outside.any():
        where = [int(i) for i in np.argwhere(outside)[0]]
        raise fail(
            DataError,
            "GC401",
            f"`{name}{where or ''}` is {array[tuple(where)]}, outside {lower}..{upper - 1}",
            notes=("nothing was computed and the state is unchanged",),
            helps=(f"use values from {lower} to {upper - 1}",),
        )


class Nesting:
    """How the arguments of an entry point are nested, and which input each of their leaves is."""

    def __init__(
        self, name: str, labels: Sequence[str], trees: Sequence[Tree], positions: Sequence[int]
    ) -> None:
        self.name = name
        self.labels = list(labels)
        self.trees = list(trees)
        self.positions = list(positions)

    def __getstate__(self) -> dict[str, Any]:
        # Arguments are only taken apart: of their classes nothing is needed.
        return {**vars(self), "trees": [_outline(tree) for tree in self.trees]}

    @property
    def flat(self) -> bool:
        """Whether every argument is an array by itself."""
        return all(tree.kind == "leaf" for tree in self.trees)

    def inputs(self, args: Sequence[Any]) -> list[Any]:
        """One value for each input. Raises `ShapeError` if `args` are nested in another way."""
        if len(args) != len(self.trees):
            raise wrong_count(self.name, self.labels, len(args))
        leaves: list[tuple[str, Any]] = []
        for label, tree, value in zip(self.labels, self.trees, args, strict=True):
            leaves += [(label, value)] if tree.kind == "leaf" else self._leaves(label, tree, value)
        first: dict[int, tuple[str, Any]] = {}
        for (path, leaf), position in zip(leaves, self.positions, strict=True):
            known, value = first.setdefault(position, (path, leaf))
            if value is not leaf:
                raise fail(
                    ShapeError,
                    "GC407",
                    f"`{known}` and `{path}` were one array when `{self.name}` was compiled, "
                    "and are two now",
                    helps=("compile it for specs: `gd.f32[...]` instead of arrays",),
                )
        return [first[k][1] for k in range(len(first))]

    def _leaves(self, label: str, tree: Tree, value: Any) -> list[tuple[str, Any]]:
        """The leaves of one argument in the order of `tree`, whatever the order of its dicts."""
        leaves, got = flatten(value)
        expected, paths = tree.paths(label), got.paths(label)
        if sorted(expected) != sorted(paths):
            missing = [p for p in expected if p not in paths]
            extra = [p for p in paths if p not in expected]
            parts = [("missing", missing), ("unexpected", extra)]
            listed = "; ".join(f"{word} `{'`, `'.join(found)}`" for word, found in parts if found)
            message = f"argument `{label}` of `{self.name}` is nested in another way: {listed}"
            raise fail(ShapeError, "GC406", message)
        now_set = settings(got, label)
        for path, value in settings(tree, label).items():
            now = now_set.get(path)
            if is_plain(value) and now != value:
                message = f"`{self.name}` was compiled for `{path}` = {value!r}, got {now!r}"
                raise fail(ShapeError, "GC408", message)
        by_path = dict(zip(paths, leaves, strict=True))
        return [(path, by_path[path]) for path in expected]


def _outline(tree: Tree) -> Tree:
    """The paths of a nesting and its plain settings, without the objects it is made of."""
    static = tree.static if is_plain(tree.static) else ...  # which is not plain either
    return Tree(tree.kind, static, tree.keys, tuple(_outline(c) for c in tree.children))


def settings(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """What is compiled in: whatever lies beside the arrays and is none, by path."""
    if tree.kind == "static":
        return {prefix: tree.static}
    found: dict[str, Any] = {}
    for key, child in zip(tree.keys, tree.children, strict=True):
        found |= settings(child, f"{prefix}.{key}" if prefix else key)
    return found


def is_plain(setting: Any) -> bool:
    """Whether two settings can be told apart by `==`; other objects are compared by identity."""
    return setting is None or isinstance(setting, (str, bool, int, float))
