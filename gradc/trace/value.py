"""The traced value: an array that is not there yet.

Enters: indexing, NumPy calls and conversions in the user's function; `operators` adds the operators
and a method for each op. Leaves: nodes of the trace. Always holds: what a value cannot do (be true
or false, be a number, be written into) raises at the user's line and says what to do instead.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..dtypes import DType, Spec
from ..errors import ShapeError, TraceError, UnsupportedError
from ..graph import Node
from .context import Trace, error
from .methods import ArrayMethods

NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy's functions that can be traced, and what each of them becomes; filled by `functions`."""
NUMPY_UFUNCS: dict[Any, Callable[..., Any]] = {}
"""The same for ufuncs."""
VIEWS = ("reshape", "transpose", "broadcast", "slice", "flip")


class Storage:
    """The memory that NumPy would share among an array and its views; they are held weakly."""

    __slots__ = ("members",)

    def __init__(self, first: Value) -> None:
        self.members = [weakref.ref(first)]

    def others(self, value: Value) -> bool:
        """Whether an array other than `value` still uses the memory."""
        self.members = [ref for ref in self.members if ref() is not None]
        return any(ref() is not value for ref in self.members)


class Value(ArrayMethods):
    """One value of a running trace: a node, seen as an array."""

    __slots__ = ("__weakref__", "argument", "label", "node_id", "owner", "storage")

    if TYPE_CHECKING:
        # Installed by `operators`; every row of the op table is a method as well.
        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Value: ...
        def __radd__(self, other: Any) -> Value: ...
        def __sub__(self, other: Any) -> Value: ...
        def __rsub__(self, other: Any) -> Value: ...
        def __mul__(self, other: Any) -> Value: ...
        def __rmul__(self, other: Any) -> Value: ...
        def __truediv__(self, other: Any) -> Value: ...
        def __rtruediv__(self, other: Any) -> Value: ...
        def __pow__(self, other: Any) -> Value: ...
        def __matmul__(self, other: Any) -> Value: ...
        def __lt__(self, other: Any) -> Value: ...
        def __le__(self, other: Any) -> Value: ...
        def __gt__(self, other: Any) -> Value: ...
        def __ge__(self, other: Any) -> Value: ...
        def __eq__(self, other: Any) -> Value: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Value: ...  # type: ignore[override]
        def __neg__(self) -> Value: ...

    def __init__(
        self, owner: Trace, node_id: int, argument: str | None = None, label: str | None = None
    ) -> None:
        """`argument`: the path of the argument that it is; `label`: its name as a result."""
        self.owner = owner
        self.node_id = node_id
        self.argument = argument
        self.label = label
        self.storage: Storage | None = None

    @property
    def node(self) -> Node:
        return self.owner.builder.nodes[self.node_id]

    @property
    def spec(self) -> Spec:
        return self.node.spec

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def dtype(self) -> DType:
        return self.node.dtype

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    @property
    def size(self) -> int:
        return self.node.size

    def __repr__(self) -> str:
        return f"<traced {self.spec!r}: {self.owner.builder.nodes[self.node_id]!r}>"

    def __len__(self) -> int:
        if not self.shape:
            raise error(ShapeError, "GC127", "a scalar has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return (self[i] for i in range(len(self)))

    # nodes that are not elementwise: their arguments need no promotion

    def movement(self, name: str, **attrs: Any) -> Value:
        """A movement op of this value alone; shares the storage as NumPy's views do."""
        same_shape = name == "reshape" and attrs["shape"] == self.shape
        same_order = name == "transpose" and attrs["perm"] == tuple(range(self.ndim))
        if same_shape or same_order:
            result = self.copy()
        else:
            result = Value(self.owner, self.owner.add(name, (self.node_id,), attrs))
        if name in VIEWS and result.shape:  # an element picked out is a number, not a view
            self.storage = result.storage = self.storage or Storage(self)
            self.storage.members.append(weakref.ref(result))
        return result

    def reduce(self, name: str, axes: tuple[int, ...]) -> Value:
        return Value(self.owner, self.owner.add(name, (self.node_id,), {"axes": axes}))

    def copy(self) -> Value:
        """The same elements in memory of their own."""
        return Value(self.owner, self.node_id)

    def labelled(self, label: str) -> Value:
        """A copy that is called `label` if it becomes a result of the traced function."""
        return Value(self.owner, self.node_id, label=label)

    # what a value that is not there yet cannot do

    def __bool__(self) -> bool:
        raise error(
            TraceError,
            "GC210",
            f"`if` on a traced value: the truth of {self.spec!r} is not known while tracing",
            helps=("choose between two values with `gd.where(condition, a, b)`",),
        )

    def _not_a_number(self, what: str) -> NoReturn:
        raise error(
            TraceError,
            "GC211",
            f"`{what}` of a traced value: its elements are not known while tracing",
            helps=("return the value from the traced function and read it there",),
        )

    def __float__(self) -> float:
        self._not_a_number("float")

    def __int__(self) -> int:
        self._not_a_number("int")

    def __index__(self) -> int:
        self._not_a_number("index")

    def item(self, *args: object) -> float:
        self._not_a_number("item")

    def tolist(self) -> list[Any]:
        self._not_a_number("tolist")

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray[Any, Any]:
        raise error(
            TraceError,
            "GC212",
            f"a traced {self.spec!r} cannot become a NumPy array here: its elements are not known",
            notes=("NumPy functions that can be traced are called without converting it",),
            helps=("use the function of the same name in `gradc`",),
        )

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise error(
            UnsupportedError,
            "GC213",
            "writing into a traced value by index is not supported",
            helps=(
                "make the new value with `gd.where(mask, new, old)`",
                "or put it together from parts with `gd.concat`",
            ),
        )

    # NumPy's protocols

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return sys.modules["gradc"]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if options.pop("out", None) is not None:
            raise error(
                UnsupportedError,
                "GC214",
                f"`numpy.{ufunc.__name__}` cannot write a traced value into an array",
                helps=("use the result: `x = x + y` instead of `x += y` or `out=x`",),
            )
        if method == "reduce" and ufunc in UFUNC_REDUCTIONS:
            axis = options.pop("axis", 0)
            return getattr(inputs[0], UFUNC_REDUCTIONS[ufunc])(axis, **options)
        unused = {k: v for k, v in options.items() if v is not None and k != "casting"}
        if method == "__call__" and not unused and ufunc in NUMPY_UFUNCS:
            return NUMPY_UFUNCS[ufunc](*inputs)
        spelling = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise _unsupported(spelling, [f.__name__ for f in NUMPY_UFUNCS], unused)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        traced = NUMPY_FUNCTIONS.get(function)
        if traced is not None:
            try:
                inspect.signature(traced).bind(*args, **kwargs)
            except TypeError as why:
                raise error(
                    UnsupportedError,
                    "GC215",
                    f"`numpy.{function.__name__}` cannot be traced with these arguments: {why}",
                ) from None
            return traced(*args, **kwargs)
        names = [f.__name__ for f in (*NUMPY_FUNCTIONS, *NUMPY_UFUNCS)]
        raise _unsupported(function.__name__, names, {})


def _unsupported(name: str, known: list[str], options: dict[str, Any]) -> UnsupportedError:
    if options and name in known:
        given = ", ".join(f"`{k}`" for k in options)
        return error(UnsupportedError, "GC215", f"`numpy.{name}` cannot be traced with {given}")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return error(
        UnsupportedError,
        "GC215",
        f"`numpy.{name}` cannot be traced",
        helps=(f"the supported function of the nearest name is `numpy.{near[0]}`",) if near else (),
    )


UFUNC_REDUCTIONS = {
    np.add: "sum",
    np.multiply: "prod",
    np.maximum: "max",
    np.minimum: "min",
    np.logical_and: "all",
    np.logical_or: "any",
}
