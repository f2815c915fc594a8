"""The array functions that users call, under their Array API names (2024.12).

Enters: traced values, NumPy arrays, Python scalars. Leaves: traced values if any argument is one;
otherwise NumPy computes the result at once, so the same code runs untraced in a debugger. Always
holds: every elementwise row of the op table is a function here, by its own name; whatever is
composed of ops (`softmax`, `var`, `matmul`) is a plain function without a gradient rule.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops import OPS
from ..trace import NUMPY_FUNCTIONS
from .creation import (
    arange,
    asarray,
    eye,
    full,
    full_like,
    linspace,
    one_hot,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from .elementwise import (
    ARRAY_API,
    PUBLIC_ROWS,
    ROWS,
    astype,
    clip,
    divide,
    multiply,
    negative,
    positive,
    pow,
    subtract,
    where,
)
from .products import dot, inner, matmul, outer, tensordot, vecdot
from .reductions import (
    all,
    any,
    argmax,
    argmin,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    prod,
    softmax,
    std,
    sum,
    var,
)
from .shapes import (
    broadcast_arrays,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    ravel,
    reshape,
    roll,
    squeeze,
    stack,
    swapaxes,
    tril,
    triu,
)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the rows' functions


__all__ = [
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "asarray",
    "astype",
    "broadcast_arrays",
    "broadcast_to",
    "clip",
    "concat",
    "divide",
    "dot",
    "expand_dims",
    "eye",
    "flip",
    "full",
    "full_like",
    "inner",
    "linspace",
    "log_softmax",
    "logsumexp",
    "matmul",
    "matrix_transpose",
    "max",
    "mean",
    "min",
    "moveaxis",
    "multiply",
    "negative",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "permute_dims",
    "positive",
    "pow",
    "prod",
    "ravel",
    "reshape",
    "roll",
    "softmax",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "tensordot",
    "tril",
    "triu",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]
__all__ += [name for name in PUBLIC_ROWS if name not in __all__]

globals().update({name: function for name, function in ROWS.items() if name not in globals()})


def called_by_numpy(name: str) -> str | None:
    """The function here that is NumPy's function `name`, if it is called otherwise here."""
    theirs = getattr(np, name, None)
    own = NUMPY_FUNCTIONS.get(theirs) if callable(theirs) else None
    for ours in __all__:
        row = OPS.get(ARRAY_API.get(ours, ours))
        if globals()[ours] is own or (row is not None and row.reference is theirs):
            return ours
    return None
