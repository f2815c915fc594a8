"""Neural networks: layers, activations, losses, initialisers.

Enters: arrays, as traced values or NumPy arrays. Leaves: the same. Always holds: layers are plain
objects that hold arrays, everything else here is a plain function; names, defaults and formulas are
PyTorch's, so that numbers can be compared.
"""

import sys
from typing import Any

from ..namespace import grouped, unknown_name
from . import activations, init, layers, losses, module
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


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module `gradc.nn` has no attribute `{name}`")
    parts = {
        "layers": (module, layers),
        "activations": (activations,),
        "losses": (losses,),
        "initialisers": (sys.modules[__name__],),
    }
    raise unknown_name("gradc.nn", name, grouped(__all__, parts))


def __dir__() -> list[str]:
    return __all__
