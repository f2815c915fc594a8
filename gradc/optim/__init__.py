"""Optimizers and learning rates, written in traced functions.

Enters: parameters, their gradients, the optimizer's state, the learning rate. Leaves: new
parameters and a new state. Always holds: formulas and defaults are PyTorch's where it has them;
nothing is updated in place, which is the compiler's business; a user writes one the same way.
"""

from typing import Any

from ..namespace import unknown_name
from . import schedules
from .adafactor import Adafactor
from .adagrad import Adadelta, Adagrad, RMSprop
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .base import Optimizer, Schedule, zeros_for
from .lion import LAMB, Lion
from .muon import Muon
from .rprop import ASGD, Rprop
from .sgd import SGD
from .wrappers import EMA, SWA, Accumulate, Clip, Groups, clip_by_norm, clip_by_value

OPTIMIZERS = (
    "SGD Adam AdamW NAdam RAdam Adamax RMSprop Rprop Adagrad Adadelta ASGD Lion Adafactor Muon LAMB"
).split()
WRAPPERS = "Accumulate Clip EMA Groups SWA".split()
FUNCTIONS = "clip_by_norm clip_by_value zeros_for".split()

__all__ = [
    "ASGD",
    "EMA",
    "LAMB",
    "SGD",
    "SWA",
    "Accumulate",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Clip",
    "Groups",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Schedule",
    "clip_by_norm",
    "clip_by_value",
    "schedules",
    "zeros_for",
]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module `gradc.optim` has no attribute `{name}`")
    raise unknown_name(
        "gradc.optim",
        name,
        {
            "optimizers": OPTIMIZERS,
            "around an optimizer": WRAPPERS,
            "functions": FUNCTIONS,
            "for optimizers of one's own": ["Optimizer"],
            "learning rates": ["schedules", "Schedule"],
        },
    )


def __dir__() -> list[str]:
    return __all__
