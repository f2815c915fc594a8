"""Optimizers, written in traced functions.

Enters: parameters, their gradients, the optimizer's state, the learning rate. Leaves: new
parameters and a new state. Always holds: formulas and defaults are PyTorch's; nothing is updated
in place, which is the compiler's business.
"""

from .sgd import SGD, Schedule

__all__ = ["SGD", "Schedule"]
