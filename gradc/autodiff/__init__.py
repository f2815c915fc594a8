"""Automatic differentiation in reverse mode, by the vjp rules of the op table.

Enters: functions of arrays. Leaves: their gradients, as traced values or NumPy arrays. Always
holds: gradients of gradients come for free, since every rule is written in traced values.
"""

from .check import GradientCheck, GradientError, check_grad
from .reverse import Gradient, gradient_of, pull_back
from .transforms import grad, stop_gradient, value_and_grad, vjp

__all__ = [
    "Gradient",
    "GradientCheck",
    "GradientError",
    "check_grad",
    "grad",
    "gradient_of",
    "pull_back",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
