"""Optimizers, written in traced functions.

Enters: parameters, their gradients, the optimizer's state, the learning rate. Leaves: new
parameters and a new state. Always holds: formulas and defaults are PyTorch's; nothing is updated
in place, which is the compiler's business.
"""

from typing import Any

from ..namespace import unknown_name
from .sgd import SGD, Schedule

__all__ = ["SGD", "Schedule"]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module `gradc.optim` has no attribute `{name}`")
    raise unknown_name("gradc.optim", name, {"optimizers": ["SGD"], "learning rates": ["Schedule"]})


def __dir__() -> list[str]:
    return __all__
