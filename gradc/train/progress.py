"""What a run shows while it trains, and the interface by which anything may follow it.

Enters: a `Run`, as it goes. Leaves: text on stderr. Always holds: a bar appears on a terminal
only, is redrawn at most ten times a second, and is a callback like any other.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from ..errors import ArgumentError, fail
from .history import History, Record, summary

REDRAW_SECONDS = 0.1
# The first step warms caches up and its time says nothing: an estimate needs this many updates.
UPDATES_BEFORE_ESTIMATE = 3


@dataclass
class Run:
    """How far training has come: what a callback sees. Setting `stop` ends it after the epoch."""

    name: str
    epochs: int
    epoch: int = 1
    batches: int | None = None
    batch: int = 0
    means: Record = field(default_factory=dict)
    history: History = field(default_factory=History)
    stop: bool = False


class Callback:
    """Follows a run: override what is of interest.

    A plain function `f(run, record)` is a callback too: it is called after each epoch.
    """

    def begin(self, run: Run) -> None:
        """Before the first step."""

    def advance(self, run: Run) -> None:
        """After some steps: `run.batch` of the epoch's `run.batches` are done (None: unknown)."""

    def epoch(self, run: Run, record: Record) -> None:
        """After an epoch, its validation and its checkpoint."""

    def end(self, run: Run) -> None:
        """After the last epoch, or when an exception ends the run."""


class _Function(Callback):
    def __init__(self, function: Callable[[Run, Record], Any]) -> None:
        self.function = function

    def epoch(self, run: Run, record: Record) -> None:
        self.function(run, record)


AnyCallback = Callback | Callable[[Run, Record], Any]


def as_callbacks(given: Sequence[AnyCallback]) -> list[Callback]:
    """The callbacks as objects; raises `ArgumentError` for what is no list of callbacks."""
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(c, Callback) or callable(c) for c in given
    ):
        message = "`callbacks` is a list of functions or `Callback`s"
        raise fail(ArgumentError, "GC625", message, helps=("write `callbacks=[...]`",))
    return [c if isinstance(c, Callback) else _Function(c) for c in given]


def shown(stream: TextIO | None = None) -> Callback:
    """The callback that suits `stream` (stderr): a bar on a terminal, plain lines elsewhere."""
    stream = stream or sys.stderr
    return Bar(stream) if stream.isatty() and os.environ.get("TERM") != "dumb" else Lines(stream)


class Lines(Callback):
    """One line of `key=value` pairs an epoch."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def epoch(self, run: Run, record: Record) -> None:
        print(summary(record), file=self.stream, flush=True)


class Bar(Callback):
    """One live line for the whole run: epochs done, loss and metrics, time left."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def begin(self, run: Run) -> None:
        from tqdm import tqdm

        self.updates = 0
        self.last: Record = {}
        columns, rows = shutil.get_terminal_size()
        self.bar = tqdm(
            total=float(run.epochs),
            initial=run.epoch - 1,
            desc=run.name,
            file=self.stream,
            mininterval=REDRAW_SECONDS,
            miniters=0,
            ncols=columns - 1,
            nrows=rows,
            bar_format="{desc} {percentage:3.0f}%|{bar}| [{elapsed}{postfix}]",
        )

    def advance(self, run: Run) -> None:
        done = run.epoch - 1 + (run.batch / run.batches if run.batches else 0)
        self._move(run, done, run.means)

    def epoch(self, run: Run, record: Record) -> None:
        self.last = {k: v for k, v in record.items() if k[:4] == "val_"}
        self._move(run, run.epoch, record)

    def _move(self, run: Run, done: float, values: Record) -> None:
        self.updates += 1
        pairs = {k: v for k, v in values.items() if k not in ("epoch", "seconds")} | self.last
        text = "".join(f" {name}={value:.4g}" for name, value in pairs.items())
        self.bar.set_postfix_str(f"epoch {run.epoch}/{run.epochs}{text}", refresh=False)
        if self.updates == 1:
            # From here on is measured what the estimate is made of.
            self.bar.initial, self.bar.start_t = done, time.time()
        if self.updates == UPDATES_BEFORE_ESTIMATE:
            self.bar.bar_format = str(self.bar.bar_format).replace(
                "{elapsed}", "{elapsed}<{remaining}"
            )
        self.bar.update(done - self.bar.n)

    def end(self, run: Run) -> None:
        self.bar.close()
