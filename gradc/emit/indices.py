"""Indices, bounds and strides of one kernel, spelt with the names of extents.

Enters: a kernel, and how the extents of its parameters are written. Leaves: C text. Always holds: a
number is only ever replaced by names whose product it is; which names follows from the shape of the
array that an index is for, never from the number alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..index import Index, Var
from ..lower.nest import Array, For, Kernel
from ..lower.traverse import loads, stores, walk
from .expressions import index_text


@dataclass(frozen=True)
class Shape:
    """The extents of an array, and how each is written."""

    extents: tuple[int, ...]
    texts: tuple[str, ...]

    def stride(self, axis: int) -> int:
        """How many elements one step along an axis is."""
        return prod(self.extents[axis + 1 :])

    def spans(self, stride: int, extent: int) -> str | None:
        """The axes along which `extent` steps of `stride` elements lead, one or several merged."""
        for last in range(len(self.extents)):
            if self.stride(last) != stride:
                continue
            for first in range(last, -1, -1):
                if prod(self.extents[first : last + 1]) == extent:
                    return self._named(first, last + 1)
        return None

    def steps(self, stride: int) -> str | None:
        """`stride` elements as extents."""
        for axis in range(len(self.extents)):
            if self.stride(axis) == stride:
                return self._named(axis + 1, len(self.extents))
        return None

    def _named(self, first: int, last: int) -> str | None:
        """The product of some axes, if any has a name."""
        known = [
            text
            for n, text in zip(self.extents[first:last], self.texts[first:last], strict=True)
            if n != 1
        ]
        return " * ".join(known) if any(not text.isdigit() for text in known) else None


def shape_text(texts: Sequence[str]) -> str:
    """A shape as comments have it: `[BATCH, 10]`; nothing of a single number."""
    return f"[{', '.join(texts)}]" if texts else ""


def product_text(texts: Sequence[str]) -> str:
    """The product of extents; nothing where it is 1."""
    return " * ".join(text for text in texts if text != "1")


class Indices:
    """Spells the indices of one kernel; `shapes` are those of its parameters, by name."""

    def __init__(self, kernel: Kernel, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(shapes)
        self.bounds: dict[Var, str] = {}
        for buffer, var, stride in _terms(kernel):
            text = self.extent(buffer, stride, var.extent)
            if not text.isdigit():
                self.bounds.setdefault(var, text)
        arrays = {s.name: s.size for s in walk(kernel.body) if isinstance(s, Array)}
        for buffer, var, stride in _terms(kernel):  # of local arrays, what their loops say
            if stride == 1 and arrays.get(buffer) == var.extent and var in self.bounds:
                self.shapes[buffer] = Shape((var.extent,), (self.bounds[var],))

    def text(self, index: Index, buffer: str) -> str:
        """An index into a buffer: axis by axis, or as a sum of strides."""
        shape = self.shapes.get(buffer)
        nested = _by_axes(index, shape) if shape and len(shape.extents) > 2 else None
        return nested or index_text(index, lambda stride: self.stride(buffer, stride))

    def stride(self, buffer: str, stride: int) -> str:
        """A distance within a buffer."""
        shape = self.shapes.get(buffer)
        return (shape.steps(stride) if shape else None) or str(stride)

    def extent(self, buffer: str, stride: int, extent: int) -> str:
        """How many elements of a buffer lie `stride` apart."""
        shape = self.shapes.get(buffer)
        return (shape.spans(stride, extent) if shape else None) or str(extent)

    def size(self, buffer: str, size: int) -> str:
        """The number of elements of a local array."""
        return self.extent(buffer, 1, size)

    def stop(self, loop: For) -> str:
        """Where a loop ends."""
        text = index_text(loop.stop)
        return self.bounds.get(loop.var, text) if text == str(loop.var.extent) else text


def _by_axes(index: Index, shape: Shape) -> str | None:
    """`(i * TIME + j) * WIDTH + k`; None if some term belongs to no axis."""
    steps: dict[int, list[str]] = {}
    for atom, k in index.terms:
        axes = [a for a, n in enumerate(shape.extents) if n != 1 and shape.stride(a) == k]
        if not axes:
            return None
        steps.setdefault(axes[0], []).append(index_text(Index(((atom, 1),))))
    if len(steps) < 3:
        return None
    text, is_sum = "", False
    for axis, extent in enumerate(shape.texts):
        if text and shape.extents[axis] != 1:
            text, is_sum = f"({text})" if is_sum else text, False
            text += f" * {extent}"
        if axis in steps:
            is_sum = bool(text) or len(steps[axis]) > 1
            text = " + ".join(([text] if text else []) + steps[axis])
    if index.const:
        text += f" {'-' if index.const < 0 else '+'} {abs(index.const)}"
    return text


def _terms(kernel: Kernel) -> Iterator[tuple[str, Var, int]]:
    """Each variable of each index into a buffer, and the distance that one step of it is."""
    for s in walk(kernel.body):
        for access in (*loads(s), *stores(s)):
            for atom, k in access.index.terms:
                if isinstance(atom, Var) and atom not in access.over:
                    yield access.buffer, atom, k
