"""The traced value: an array that is not there yet.

Enters: indexing, NumPy calls and conversions in the user's function; `operators` adds the operators
and a method for each op. Leaves: nodes of the trace. Always holds: what a value cannot do (be true
or false, be a number, be written into) raises at the user's line and says what to do instead.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..calls import call_form
from ..dtypes import DType, Spec
from ..errors import ShapeError, UnsupportedError, user_errors
from ..graph import Node
from ..namespace import nearest
from ..ops.table import OPS
from . import refusals
from .context import Trace, error, user_span
from .methods import ArrayMethods
from .source import called

NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy's functions that can be traced, and what each of them becomes; filled by `functions`."""
NUMPY_UFUNCS: dict[Any, Callable[..., Any]] = {}
"""The same for ufuncs."""


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
            raise error(
                ShapeError,
                "GC127",
                "a scalar has no length and no elements",
                helps=("use it as it is, or make an array of one: `x[None]`",),
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return (self[i] for i in range(len(self)))

    # nodes that are not elementwise: their arguments need no promotion

    def movement(self, name: str, **attrs: Any) -> Value:
        """A movement op of this value alone; shares the storage as NumPy's views do."""
        row = OPS[name]
        if row.idle and row.idle(attrs, self.shape):
            result = self.copy()
        else:
            result = Value(self.owner, self.owner.add(name, (self.node_id,), attrs))
        if row.view and result.shape:  # an element picked out is a number, not a view
            self.storage = result.storage = self.storage or Storage(self)
            self.storage.members.append(weakref.ref(result))
        return result

    def reduce(self, name: str, axes: tuple[int, ...]) -> Value:
        return Value(self.owner, self.owner.add(name, (self.node_id,), {"axes": axes}))

    @user_errors
    def copy(self) -> Value:
        """The same elements in memory of their own."""
        return Value(self.owner, self.node_id)

    def labelled(self, label: str) -> Value:
        """A copy that is called `label` if it becomes a result of the traced function."""
        return Value(self.owner, self.node_id, label=label)

    # what a value that is not there yet cannot do

    def __bool__(self) -> bool:
        raise refusals.no_truth(self)

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_":  # protocols that Python and NumPy ask for
            raise AttributeError(name)
        raise refusals.no_attribute(self, name)

    def __format__(self, form: str) -> str:
        if form:
            raise refusals.no_text(self)
        return repr(self)

    def __float__(self) -> float:
        raise refusals.no_number("float")

    def __int__(self) -> int:
        raise refusals.no_number("int")

    def __index__(self) -> int:
        raise refusals.no_number("index")

    def __complex__(self) -> complex:
        raise refusals.no_number("complex")

    def __round__(self, digits: int | None = None) -> int:
        raise refusals.no_number("round")

    def item(self, *args: object) -> float:
        raise refusals.no_number("item")

    def tolist(self) -> list[Any]:
        raise refusals.no_number("tolist")

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray[Any, Any]:
        raise refusals.no_array(self)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise refusals.no_item_assignment("writing into")

    def __delitem__(self, key: object) -> NoReturn:
        raise refusals.no_item_assignment("deleting from")

    # other libraries' protocols

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any, **__: Any) -> NoReturn:
        raise refusals.foreign(f"torch.{getattr(function, '__name__', 'function')}", "PyTorch")

    @property
    def __jax_array__(self) -> NoReturn:  # JAX asks for it before anything else
        raise refusals.foreign(called(user_span())[0] or "jax.numpy", "JAX")

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
        unused = {k: v for k, v in options.items() if v is not None}
        if method == "__call__" and not unused and ufunc in NUMPY_UFUNCS:
            return NUMPY_UFUNCS[ufunc](*inputs)
        module = "numpy" if getattr(np, ufunc.__name__, None) is ufunc else "scipy.special"
        spelling = f"{module}.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
        raise _unsupported(spelling, NUMPY_UFUNCS, unused)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        traced = NUMPY_FUNCTIONS.get(function)
        if traced is not None:
            try:
                signature(traced).bind(*args, **kwargs)
            except TypeError as why:
                raise error(
                    UnsupportedError,
                    "GC215",
                    f"`numpy.{function.__name__}` cannot be traced with these arguments: {why}",
                    helps=(
                        f"call it as `{call_form(f'np.{function.__name__}', signature(traced))}`",
                    ),
                ) from None
            return traced(*args, **kwargs)
        module = getattr(function, "__module__", None) or "numpy"
        known = (*NUMPY_FUNCTIONS, *NUMPY_UFUNCS)
        raise _unsupported(f"{module}.{function.__name__}", known, {})


def _unsupported(
    spelling: str, known: Iterable[Callable[..., Any]], options: dict[str, Any]
) -> UnsupportedError:
    """The error of a function of NumPy, or one like it, that cannot be traced."""
    names = [f.__name__ for f in known]
    module, _, name = spelling.rpartition(".")
    if options and name in names:
        given = ", ".join(f"`{k}`" for k in options)
        return error(
            UnsupportedError,
            "GC215",
            f"`{spelling}` cannot be traced with {given}",
            helps=(f"leave out {given}",),
        )
    near = nearest(name, names) if module == "numpy" else None
    advice = ELSEWHERE.get(name) or (
        f"use `np.{near[0]}`, if that is what you mean" if near else None
    )
    return error(
        UnsupportedError,
        "GC215",
        f"`{spelling}` cannot be traced",
        helps=(advice or "compute it before the call and pass the result as an argument",),
    )


# What is here under another name, or is written in other functions.
ELSEWHERE = {
    "expit": "use `gd.sigmoid`",
    "log_expit": "use `gd.log(gd.sigmoid(x))`",
    "cumsum": "write it as a product with `gd.tril(gd.ones((n, n)))`",
    "average": "use `np.mean`",
    "nanmean": "use `np.mean` of `np.where(np.isnan(x), 0, x)`",
    "nansum": "use `np.sum` of `np.where(np.isnan(x), 0, x)`",
    "vstack": "use `np.concatenate`",
    "hstack": "use `np.concatenate`",
    "einsum": "use `np.tensordot`, or `@`",
    "take": "use `gd.one_hot(index, n) @ x`, which picks rows",
}

UFUNC_REDUCTIONS = {row.combine: name for name, row in OPS.items() if row.combine}

# What Python's own messages call it: "'traced array' object is not callable".
Value.__name__ = Value.__qualname__ = "traced array"
