"""What the user holds: compiled functions, programs and training steps.

Enters: Python functions, models, optimizers and specs. Leaves: `Function`, `Program` and
`TrainStep`, which run the generated C on NumPy arrays. Always holds: one program is one C file and
one struct; each object owns its state and its arena, so two objects may run in two threads.
"""

from ..inspect.describe import KernelInfo, Stage
from .entries import query, update
from .function import Function, compile, jit  # noqa: A004
from .program import Program, program
from .step import TrainStep
from .training import train_step

__all__ = [
    "Function",
    "KernelInfo",
    "Program",
    "Stage",
    "TrainStep",
    "compile",
    "jit",
    "program",
    "query",
    "train_step",
    "update",
]
