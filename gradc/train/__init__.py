"""Training on a data set: the loop around a compiled step.

Enters: a training step and data. Leaves: trained state, a `History`, checkpoints. Always holds:
nothing here computes with parameters; `data` says in which order samples are drawn, `checkpoint`
keeps state on disk, `history` records, `progress` shows, `trainer` joins them.
"""

from .checkpoint import load, save
from .history import History
from .progress import Callback
from .trainer import Trainer

__all__ = ["Callback", "History", "Trainer", "load", "save"]
