"""Neural networks: layers, activations, losses, initialisers.

Enters: arrays, as traced values or NumPy arrays. Leaves: the same. Always holds: layers are plain
objects that hold arrays, everything else here is a plain function; names, defaults and formulas are
PyTorch's, so that numbers can be compared.
"""

from . import init
from .activations import (
    elu,
    gelu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .layers import Linear, Sequential
from .losses import (
    accuracy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber,
    l1,
    mse,
    nll,
)
from .module import Module

__all__ = [
    "Linear",
    "Module",
    "Sequential",
    "accuracy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "elu",
    "gelu",
    "huber",
    "init",
    "l1",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mse",
    "nll",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
