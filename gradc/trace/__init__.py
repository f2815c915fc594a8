"""Tracing: a function is run once on stand-ins for its arguments, and what it does is a graph.

Enters: a Python function and specs or arrays for its arguments. Leaves: a `Graph`. Always holds:
inside the graph shapes are equal and dtypes are equal (broadcasts and casts are nodes); whatever
cannot be traced fails at the user's own line.
"""

from .context import Trace, current_trace, error, user_span
from .numpy_calls import NUMPY_FUNCTIONS, NUMPY_UFUNCS
from .tracing import Traced, argument_names, name_of, spec_of, trace, trace_tree
from .value import Value, apply, lift, lifted, power, promoted

__all__ = [
    "NUMPY_FUNCTIONS",
    "NUMPY_UFUNCS",
    "Trace",
    "Traced",
    "Value",
    "apply",
    "argument_names",
    "current_trace",
    "error",
    "lift",
    "lifted",
    "name_of",
    "power",
    "promoted",
    "spec_of",
    "trace",
    "trace_tree",
    "user_span",
]
