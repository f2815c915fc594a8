"""The traced value: an array that is not there yet.

Enters: indexing, NumPy calls and conversions in the user's function. Leaves: nodes of the trace.
Always holds: every elementwise row of the op table is a method of its own name, and the traced form
of its reference if that is a ufunc; what a value cannot do (be true or false, be a number, be
written into) raises at the user's line and says what to do instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial, partialmethod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..dtypes import DType
from ..errors import ShapeError
from ..ops.table import OPS, Kind
from . import operands, refusals
from .context import Trace, error, user_span
from .handle import Handle
from .methods import matmul
from .numpy_calls import NUMPY_UFUNCS, call_function, call_ufunc
from .operators import Operators, raised
from .source import called


class Value(Operators):
    """One value of a running trace: a node, seen as an array."""

    __slots__ = ()

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

    # what a value that is not there yet cannot do

    def __bool__(self) -> bool:
        raise refusals.no_truth(self.spec)

    if not TYPE_CHECKING:  # what is not declared is an error there

        def __getattr__(self, name):
            if name[:1] == "_":  # protocols that Python and NumPy ask for
                raise AttributeError(name)
            raise refusals.no_attribute(name, dir(type(self)))

    def __format__(self, form: str) -> str:
        if form:
            raise refusals.no_text(self.spec)
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
        raise refusals.no_array(self.spec)

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
        return call_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return call_function(function, args, kwargs)


# What Python's own messages call it: "'traced array' object is not callable".
Value.__name__ = Value.__qualname__ = "traced array"


def as_value(handle: Handle) -> Value:
    """The value that a handle is already, or a new one of its node."""
    return handle if isinstance(handle, Value) else Value(handle.owner, handle.node_id)


def lift(owner: Trace, operand: Any, dtype: DType | None = None) -> Value:
    """`operand` as a value of the trace; Python's numbers, and lists, take `dtype`.

    Without `dtype`, a number takes the default of the trace and a list what NumPy makes of it.
    """
    return as_value(operands.lift(owner, operand, dtype))


def lifted(owner: Trace, operand: Any, others: Sequence[Value]) -> Value:
    """`operand` as a value; a Python number or a list takes the dtype of the `others`."""
    return as_value(operands.lifted(owner, operand, others))


def promoted(owner: Trace, given: Sequence[Any]) -> list[Value]:
    """The operands as values of one dtype, that of the arrays by the Array API's rules.

    Python's numbers, and lists of them, take the dtype of the arrays at full precision.
    """
    return [as_value(v) for v in operands.promoted(owner, given)]


def apply(name: str, *given: Any, **attrs: Any) -> Value:
    """The elementwise op `name` on operands of which at least one is a traced value."""
    return as_value(operands.apply(name, *given, **attrs))


def power(base: Any, exponent: Any) -> Value:
    """`base ** exponent`, of which at least one is a traced value."""
    return raised(base, exponent) if isinstance(base, Value) else apply("pow", base, exponent)


def _matmul(a: Any, b: Any) -> Value:
    values = [v for v in (a, b) if isinstance(v, Value)]
    return matmul(*(lifted(values[0].owner, v, values) for v in (a, b)))


def _install_rows() -> None:
    """A method for every row of the op table that has none, and what their ufuncs become."""
    for name, op in OPS.items():
        if op.kind is Kind.ELEMENTWISE:
            if not hasattr(Value, name):
                setattr(Value, name, partialmethod(Value.elementwise, name))
            if isinstance(op.reference, np.ufunc):
                NUMPY_UFUNCS[op.reference] = partial(apply, name)
        elif op.kind is Kind.MOVEMENT and not hasattr(Value, name):
            setattr(Value, name, partialmethod(Value.movement, name))


_install_rows()
NUMPY_UFUNCS |= {np.power: power, np.matmul: _matmul, np.positive: Value.copy}
