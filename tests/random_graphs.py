"""Random graphs that have a known answer.

Enters: a seed. Leaves: a `Case`: a graph, arrays for its inputs, what NumPy makes of them, and how
far from that a right answer may lie. Always holds: the answer is computed while the graph is drawn,
by NumPy and, for the ops that move or contract, by code that has nothing in common with the op
table's references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from drawing import EXTENTS, LARGEST, Array, Case, Choices, Drawing, Known

from gradc.dtypes import Spec

MOST_PRODUCTS = 200_000
EXACT = 2.0**22
"""Sums of integers up to here are exact in float32, in any order."""

# Ops whose derivative is at most 1 where they are used, so that errors do not grow.
SMOOTH = ("tanh", "sigmoid", "sin", "cos", "erf", "atan")
UNARY = {"f": ("neg", "abs", "relu", "square"), "i": ("neg", "abs", "relu", "sign", "square")}
BINARY = {
    "f": ("add", "sub", "mul", "maximum", "minimum"),
    "i": ("add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder", "bitwise_xor"),
    "b": ("logical_and", "logical_or", "logical_xor"),
}
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


class Steps(Drawing):
    """The ways in which a graph grows by a node."""

    def step(self) -> None:
        grow: tuple[Callable[[Known], object], ...] = (
            self.unary, self.smooth, self.binary, self.binary, self.compare, self.select, self.cast,
            self.move, self.move, self.reduce, self.rows, self.rows, self.dot, self.layer,
        )  # fmt: skip
        a = self.any(lambda k: k.value.size > 0) or self.input((), np.dtype("float32"))
        self.choices.pick(grow)(a)

    # Elementwise

    def unary(self, a: Known) -> Known:
        if a.kind == "b":
            return self.computed("logical_not", (a,))
        op = self.choices.pick(UNARY[a.kind])
        a = self.tame(a)
        error = a.error * (2 * a.reach + 1) + _rounding(a) * a.reach**2 if a.error else 0.0
        return self.computed(op, (a,), error)

    def smooth(self, a: Known) -> Known:
        if a.kind != "f":
            return self.unary(a)
        a = self.tame(a)
        op = self.choices.pick(SMOOTH)
        return self.computed(op, (a,), 2 * a.error + 4 * _rounding(a) * (1 + a.reach))

    def binary(self, a: Known) -> Known:
        return self.join(a, self.like(a))

    def join(self, a: Known, b: Known) -> Known:
        """An operation on two values of one shape and dtype."""
        a, b = self.tame(a), self.tame(b)
        op = self.choices.pick(BINARY[a.kind])
        args = (a, b) if self.choices.draw(2) else (b, a)
        error = 0.0
        if a.error or b.error:
            error = a.error * (1 + b.reach) + b.error * (1 + a.reach)
            error += _rounding(a) * (1 + a.reach) * (1 + b.reach)
        return self.computed(op, args, error)

    def compare(self, a: Known) -> Known:
        b = self.like(a)
        if a.error or b.error:
            return self.binary(a)
        return self.computed(self.choices.pick(COMPARISONS), (a, b))

    def select(self, a: Known) -> Known:
        shape = a.shape
        condition = self.any(lambda k: k.kind == "b" and k.shape == shape)
        if condition is None:
            axes = tuple(self.choices.some(range(len(shape))))
            small = self.input(tuple(shape[k] for k in axes), np.dtype("bool"))
            condition = self.spread(small, shape, axes)
        b = self.like(a)
        return self.computed("where", (condition, a, b), max(a.error, b.error))

    def cast(self, a: Known) -> Known:
        dtype = self.dtype()
        whole = a.error == 0 and a.finite
        bounded = a.reach < 100 and a.value.min(initial=0) >= 0
        if dtype.kind == "b" or (a.kind == "f" and dtype.kind in "iu" and not (whole and bounded)):
            return self.unary(a)
        if dtype.kind == "f" and a.reach > EXACT:
            return self.unary(a)
        error = a.error
        if a.kind == "f" and dtype.itemsize < a.value.dtype.itemsize and error:
            error += 1e-7 * a.reach
        op = "to_integer" if a.kind == "f" and dtype.kind in "iu" else "cast"
        return self.computed(op, (a,), error, dtype=dtype)

    # Movement

    def move(self, a: Known) -> Known:
        moves = (self.reshape, self.transpose, self.broadcast, self.slice, self.flip, self.pad)
        return self.choices.pick((*moves, self.concat, self.concat, self.pad))(a)

    def reshape(self, a: Known) -> Known:
        left, shape = a.value.size, []
        while left > 1 and len(shape) < 4:
            factors = [n for n in range(2, left + 1) if left % n == 0]
            shape.append(self.choices.pick(factors))
            left //= shape[-1]
        if left > 1 or not shape or self.choices.chance(20):
            shape.insert(self.choices.draw(len(shape) + 1), left)
        new = tuple(shape)
        return self.add("reshape", (a,), a.value.reshape(new), a.error, shape=new)

    def transpose(self, a: Known) -> Known:
        left, perm = list(range(len(a.shape))), []
        while left:
            perm.append(left.pop(self.choices.draw(len(left))))
        return self.add("transpose", (a,), a.value.transpose(perm), a.error, perm=tuple(perm))

    def broadcast(self, a: Known) -> Known:
        shape, axes = list(a.shape), list(range(len(a.shape)))
        room = LARGEST // max(1, a.value.size)
        if len(shape) > 3 or room < 2:
            return self.transpose(a)
        where = self.choices.draw(len(shape) + 1)
        shape.insert(where, self.choices.pick([n for n in EXTENTS if n <= room]))
        axes = [k + (k >= where) for k in axes]
        return self.spread(a, tuple(shape), tuple(axes))

    def slice(self, a: Known) -> Known:
        start, step, shape, picked = [], [], [], []
        for n in a.shape:
            first, stride = self.choices.draw(n), self.choices.pick((1, 1, 1, 2, 3))
            count = 1 + self.choices.draw((n - first - 1) // stride + 1)
            if self.choices.chance(40):
                first, stride, count = 0, 1, n
            start.append(first), step.append(stride), shape.append(count)
            picked.append(np.arange(count) * stride + first)
        value = a.value[np.ix_(*picked)] if picked else a.value
        attrs = {"start": tuple(start), "step": tuple(step), "shape": tuple(shape)}
        return self.add("slice", (a,), value, a.error, **attrs)

    def flip(self, a: Known) -> Known:
        axes = tuple(self.choices.some(range(len(a.shape))))
        value = a.value[
            tuple(slice(None, None, -1 if k in axes else 1) for k in range(a.value.ndim))
        ]
        return self.add("flip", (a,), value, a.error, axes=axes)

    def pad(self, a: Known) -> Known:
        low, step, shape, places = [], [], [], []
        for n in a.shape:
            before, after = self.choices.draw(4), self.choices.draw(4)
            stride = self.choices.pick((1, 1, 1, 2, 3))
            if self.choices.chance(40):
                before, after, stride = 0, 0, 1
            low.append(before), step.append(stride)
            shape.append(before + stride * (n - 1) + 1 + after)
            places.append(np.arange(n) * stride + before)
        if np.prod(shape) > LARGEST:
            return self.flip(a)
        filler = {"f": 1.5, "b": bool(self.choices.draw(2))}.get(a.kind, 3)
        value = np.full(shape, filler, a.value.dtype)
        value[np.ix_(*places) if places else ()] = a.value
        attrs = {"low": tuple(low), "step": tuple(step), "shape": tuple(shape), "value": filler}
        return self.add("pad", (a,), value, a.error, **attrs)

    def roll(self, a: Known) -> Known:
        """The last elements of an axis come first."""
        axis = self.choices.draw(len(a.shape))
        n, first = a.shape[axis], self.choices.draw(a.shape[axis])
        parts = []
        for low, high in ((first, n), (0, first)):
            start = tuple(low * (k == axis) for k in range(len(a.shape)))
            shape = (*a.shape[:axis], high - low, *a.shape[axis + 1 :])
            value = a.value.swapaxes(0, axis)[low:high].swapaxes(0, axis)
            if high > low:
                attrs = {"start": start, "step": (1,) * len(shape), "shape": shape}
                parts.append(self.add("slice", (a,), value, a.error, **attrs))
        return self.add("concat", parts, np.roll(a.value, -first, axis), a.error, axis=axis)

    def concat(self, a: Known) -> Known:
        if not a.shape or 2 * a.value.size > LARGEST:
            return self.slice(a)
        axis = self.choices.draw(len(a.shape))
        parts = [a]
        for _ in range(1 + self.choices.draw(2)):
            shape = list(a.shape)
            shape[axis] = 1 + self.choices.draw(3)
            spec = Spec(tuple(shape), a.value.dtype)
            new = self.any_like(spec) or self.input(spec.shape, spec.dtype)
            parts.append(self.choices.pick((a, new)))
        ends = np.cumsum([p.shape[axis] for p in parts])
        shape[axis] = int(ends[-1])
        value = np.empty(shape, a.value.dtype)
        for part, end in zip(parts, ends, strict=True):
            value.swapaxes(0, axis)[end - part.shape[axis] : end] = part.value.swapaxes(0, axis)
        return self.add("concat", parts, value, max(p.error for p in parts), axis=axis)

    # Reductions and products

    def reduce(self, a: Known) -> Known:
        axes = tuple(self.choices.some(range(len(a.shape))))
        if a.shape and self.choices.chance(25) and a.kind != "b" and not a.error:
            axis = self.choices.draw(len(a.shape))
            return self.computed(self.choices.pick(("argmax", "argmin")), (a,), axes=(axis,))
        return self.fold(a, axes)

    def fold(self, a: Known, axes: tuple[int, ...]) -> Known:
        """A reduction that keeps the dtype."""
        if a.kind == "b":
            return self.computed(self.choices.pick(("all", "any")), (a,), axes=axes)
        op = self.choices.pick(("sum", "sum", "max", "min", "prod"))
        if op == "prod" and a.kind == "f":
            op = "sum"
        if op == "sum":
            a = self.tame(a)
        count = int(np.prod([a.shape[k] for k in axes]))
        error = a.error
        if op == "sum" and error:
            error = count * (a.error + _rounding(a) * a.reach * count)
        return self.computed(op, (a,), error, axes=axes)

    def rows(self, a: Known) -> Known:
        """What the elements of a row come to joins them again, or those of another row."""
        axes = tuple(self.choices.some(range(len(a.shape))))
        folded = self.fold(a, axes)
        if self.choices.chance(20) and a.kind == "f" and not self.exact:
            folded = self.smooth(folded)
        if self.choices.chance(40) and folded.shape:
            folded = self.choices.pick((self.flip, self.roll))(folded)
        kept = tuple(k for k in range(len(a.shape)) if k not in axes)
        return self.join(a, self.spread(folded, a.shape, kept))

    def dot(self, a: Known) -> Known:
        a = self.tame(a)
        if a.kind == "b":
            return self.reduce(a)
        roles = [self.choices.draw(4) for _ in a.shape]  # 0: batch, 1 or 2: contracted, 3: free
        batch = [k for k, role in enumerate(roles) if role == 0]
        contract = [k for k, role in enumerate(roles) if role in (1, 2)]
        free = [self.choices.pick(EXTENTS) for _ in range(self.choices.draw(3))]
        extents = [a.shape[k] for k in (*batch, *contract)] + free
        if a.value.size * int(np.prod(free)) > MOST_PRODUCTS or np.prod(extents) > LARGEST:
            free, extents = [], [a.shape[k] for k in (*batch, *contract)]
        places: list[int] = []  # the axis of `b` that each extent is
        for k in range(len(extents)):
            places.insert(self.choices.draw(k + 1), k)
        shape = tuple(extents[k] for k in places)
        known = self.any_like(Spec(shape, a.value.dtype))
        b = self.tame(known or self.input(shape, a.value.dtype))
        own = [places.index(k) for k in range(len(extents))]
        attrs = {
            "contract": (tuple(contract), tuple(own[len(batch) : len(batch) + len(contract)])),
            "batch": (tuple(batch), tuple(own[: len(batch)])),
        }
        result = [k for k in range(len(a.shape)) if k not in (*batch, *contract)]
        left = int(np.prod([a.shape[k] for k in (*batch, *result)]))
        if left * int(np.prod(free)) > LARGEST:
            return self.reduce(a)
        value, depth = _einsum(a.value, b.value, attrs["contract"], attrs["batch"]), 1
        for k in contract:
            depth *= a.shape[k]
        error = 0.0
        if a.error or b.error:
            error = depth * (a.error * (1 + b.reach) + b.error * (1 + a.reach))
            error += _rounding(a) * depth**2 * (1 + a.reach) * (1 + b.reach)
        return self.add("dot", (a, b), value, error, **attrs)

    def layer(self, a: Known) -> Known:
        """A product of the shape of its left operand, which is used again beside it."""
        a = self.tame(a)
        if a.kind == "b" or not a.shape or a.error or a.value.size * a.shape[-1] > MOST_PRODUCTS:
            return self.rows(a)
        n, last = a.shape[-1], len(a.shape) - 1
        w = self.any_like(Spec((n, n), a.value.dtype)) or self.input((n, n), a.value.dtype)
        w = self.tame(w)
        if w.error:
            return self.rows(a)
        attrs = {"contract": ((last,), (self.choices.draw(2),)), "batch": ((), ())}
        value = _einsum(a.value, w.value, attrs["contract"], attrs["batch"])
        product = self.add("dot", (a, w), value, **attrs)
        return self.join(a, product if self.choices.draw(2) else self.rows(product))

    # New values of a state

    def replacement(self, leaf: Known, leaves: Sequence[Known]) -> Known:
        """A value of the leaf's shape and dtype, made so that writing it in place may go wrong."""
        same = [k for k in leaves if k.spec == leaf.spec]
        turned = [k for k in leaves if k.shape == leaf.shape[::-1] and k.kind == leaf.kind]
        self.exact = True
        how = self.choices.draw(8)
        if how == 0:
            return self.choices.pick(same)
        if how == 1 and turned and leaf.shape:
            other = self.choices.pick(turned)
            perm = tuple(reversed(range(len(leaf.shape))))
            return self.add("transpose", (other,), other.value.transpose(), perm=perm)
        if how == 2:
            return self.flip(self.choices.pick(same))
        if how in (3, 6):
            return self.rows(self.choices.pick(same))
        if how == 4 and len(leaf.shape) == 2 and leaf.kind != "b":
            rows, columns, depth = *leaf.shape, self.choices.pick(EXTENTS)
            a, b = (self.input((depth, n), leaf.value.dtype) for n in (rows, columns))
            value = _einsum(a.value, b.value, ((0,), (0,)), ((), ()))
            attrs = {"contract": ((0,), (0,)), "batch": ((), ())}
            return self.combined(leaf, self.add("dot", (a, b), value, **attrs))
        if how == 5:
            return self.any(lambda k: k.spec == leaf.spec and k.error == 0) or leaf
        return self.combined(leaf, self.choices.pick(same))

    def combined(self, a: Known, b: Known) -> Known:
        op = "logical_xor" if a.kind == "b" else self.choices.pick(("add", "sub"))
        return self.computed(op, (self.tame(a), self.tame(b)))


def _rounding(a: Known) -> float:
    """The relative error of one operation."""
    return float(np.finfo(a.value.dtype).eps)


def _einsum(a: Array, b: Array, contract: Any, batch: Any) -> Array:
    """The meaning of `dot`, by einsum."""
    left, right = list(range(a.ndim)), list(range(a.ndim, a.ndim + b.ndim))
    for of_a, of_b in zip(contract[0] + batch[0], contract[1] + batch[1], strict=True):
        right[of_b] = left[of_a]
    out = [left[k] for k in batch[0]]
    out += [left[k] for k in range(a.ndim) if k not in contract[0] + batch[0]]
    out += [right[k] for k in range(b.ndim) if k not in contract[1] + batch[1]]
    with np.errstate(all="ignore"):
        return np.asarray(np.einsum(a.copy(), left, b.copy(), right, out), a.dtype)


def draw_case(seed: int | str, steps: int) -> Case:
    """A graph of `steps` times one node or a few, with several outputs; fewer steps begin alike."""
    choices = Choices(seed)
    two_phases = choices.chance(30)
    d = Steps(choices)
    d.input(d.shape(), d.dtype())
    for k in range(steps):
        d.backward = two_phases and k > 8
        d.step()
    outputs = [d.known[-1]]
    outputs += [choices.pick(d.known) for _ in range(choices.draw(4))]
    return _finish(d, outputs)


def draw_update(seed: int | str, steps: int) -> Case:
    """A graph whose first inputs are the leaves of a state, and first outputs their new values."""
    choices = Choices(seed)
    d = Steps(choices)
    base = choices.pick(((3, 3), (8, 8), (4, 17), (16, 5), (33, 8), (5,), (), (2, 3, 4)))
    shapes = (base, base, base, base[::-1], base[1:])
    dtypes = ("float32", "float32", "float32", "float64", "int32", "bool")
    dtype = np.dtype(choices.pick(dtypes))
    leaves = [d.input(choices.pick(shapes), dtype) for _ in range(1 + choices.draw(4))]
    for _ in range(steps):
        d.step()
    replaced = [k for k in range(len(leaves)) if choices.chance(85)] or [0]
    d.backward = choices.chance(50)
    outputs = [d.replacement(leaves[k], leaves) for k in replaced]
    outputs += [choices.pick(d.known) for _ in range(choices.draw(4))]
    case = _finish(d, outputs)
    case.leaves, case.replaced = len(leaves), tuple(replaced)
    return case


def _finish(d: Steps, outputs: Sequence[Known]) -> Case:
    graph = d.builder.finish([o.id for o in outputs])
    return Case(graph, d.inputs, [o.value for o in outputs], [o.error for o in outputs])
