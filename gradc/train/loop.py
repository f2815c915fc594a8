"""One run of training: epochs of steps, validation, checkpoints.

Enters: a data set, settings, and the position to start from. Leaves: trained state, records. Always
holds: state and position change together, so that what is saved can be continued from; the
position and the order of rows decide all that follows, not how the steps were grouped into calls.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import CheckpointError, DataError, GradcError, NonFiniteError, fail
from .data import Batches, BatchesEpoch, Columns, ColumnsEpoch, Piece, Values
from .history import Record
from .interrupt import Interrupt
from .progress import Callback, Run

# One call into C takes about this long: long enough to cost nothing, short enough for Ctrl-C.
SECONDS_PER_CALL = 0.05
# A call may be this many times larger than the one its size was estimated from.
GROWTH = 16


@dataclass(frozen=True)
class Settings:
    """What decides the order of rows, and the learning rate of this run."""

    seed: int
    shuffle: bool
    drop_last: bool
    lr: float | None


@dataclass
class Means:
    """Means over rows, summed in the order these were seen: how calls group them is no matter."""

    totals: dict[str, float] = field(default_factory=dict)
    rows: int = 0

    def add(self, values: Values, rows_each: int) -> None:
        for name, array in values.items():
            weighted = np.asarray(array, dtype=np.float64) * rows_each
            start = self.totals.get(name, 0.0)
            self.totals[name] = float(np.cumsum(np.concatenate([[start], weighted]))[-1])
        self.rows += rows_each * len(values["loss"])

    def read(self) -> Record:
        return {name: total / self.rows for name, total in self.totals.items()}


@dataclass
class Position:
    """How far training is: whole epochs, batches of the next one, and that one's means so far."""

    epoch: int = 0
    batch: int = 0
    means: Means = field(default_factory=Means)

    def as_json(self, about: dict[str, Any]) -> str:
        """As metadata of a checkpoint; `about` is what must be the same to continue in an epoch."""
        partial = {"totals": self.means.totals, "rows": self.means.rows}
        parts = {"epoch": self.epoch, "batch": self.batch, "means": partial, "about": about}
        return json.dumps(parts, sort_keys=True)

    @staticmethod
    def from_json(text: str, path: object) -> tuple[Position, dict[str, Any]]:
        """The position, and what it was `about`; raises CheckpointError."""
        try:
            parts = json.loads(text)
            totals = {str(k): float(v) for k, v in parts["means"]["totals"].items()}
            means = Means(totals, int(parts["means"]["rows"]))
            return Position(int(parts["epoch"]), int(parts["batch"]), means), dict(parts["about"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"checkpoint `{path}` does not say how far training was"
            raise fail(CheckpointError, "GC605", message) from error


class Loop:
    """The loop over epochs. `position` is kept up to date after every call into C."""

    def __init__(
        self,
        data: Columns | Batches,
        settings: Settings,
        position: Position,
        run: Run,
        callbacks: list[Callback],
        interrupt: Interrupt,
    ) -> None:
        self.data, self.settings, self.position = data, settings, position
        self.run, self.callbacks, self.interrupt = run, callbacks, interrupt
        self.steps = 1  # in the next call into C

    def start_epoch(self) -> ColumnsEpoch | BatchesEpoch:
        """The rest of the epoch that `position` is in."""
        settings, position = self.settings, self.position
        if isinstance(self.data, Batches):
            return BatchesEpoch(self.data, drop_last=settings.drop_last, done=position.batch)
        return ColumnsEpoch(
            self.data,
            seed=settings.seed,
            epoch=position.epoch,
            shuffle=settings.shuffle,
            drop_last=settings.drop_last,
            done=position.batch,
        )

    def epoch(self) -> Record | None:
        """Train to the end of the epoch; its record, or None if Ctrl-C came first."""
        epoch, run = self.start_epoch(), self.run
        run.epoch, run.batches = self.position.epoch + 1, epoch.batches
        spent = 0.0
        while (piece := epoch.take(self.steps)) is not None:
            start = time.perf_counter()
            try:
                values = piece.run(self.settings.lr)
            except GradcError as error:
                where = f"in epoch {run.epoch}, after {self.position.batch} batches"
                which = f"; the batch was {piece.rows_of(0)}" if piece.batches == 1 else ""
                error.add_note(where + which)
                raise
            elapsed = time.perf_counter() - start
            self._after(piece, values)
            spent += elapsed
            self._choose_steps(piece.batches, elapsed)
            if self.interrupt.asked and self.position.batch != epoch.batches:
                return None
        if self.position.batch == 0:
            self._complain_of_nothing()
        record = {"epoch": run.epoch, **self.position.means.read(), "seconds": spent}
        self.position = Position(self.position.epoch + 1)
        return record

    def _after(self, piece: Piece, values: Values) -> None:
        """Account for what was trained; a loss that is not finite ends the run."""
        finite = np.isfinite(values["loss"])
        if not finite.all():
            first = int(np.argmin(finite))
            self._complain_of_loss(piece, first, float(values["loss"][first]))
        means = replace(self.position.means, totals=dict(self.position.means.totals))
        means.add(values, piece.rows)
        self.position = Position(self.position.epoch, self.position.batch + piece.batches, means)
        self.run.batch, self.run.means = self.position.batch, means.read()
        for callback in self.callbacks:
            callback.advance(self.run)

    def _choose_steps(self, steps: int, elapsed: float) -> None:
        wanted = steps * SECONDS_PER_CALL / max(elapsed, 1e-9)
        self.steps = int(min(max(wanted, 1), steps * GROWTH))

    def _complain_of_loss(self, piece: Piece, index: int, loss: float) -> None:
        epoch, step = self.position.epoch + 1, self.position.batch + index + 1
        message = f"the loss of `{self.run.name}` became {loss} in epoch {epoch}, step {step}"
        odd = piece.odd_row(index)
        helps = ["mend or leave out the rows of the data that are not finite"] if odd else []
        raise fail(
            NonFiniteError,
            "GC701",
            f"{message}: {odd}" if odd else message,
            notes=(f"its batch was {piece.rows_of(index)}",),
            helps=helps or ("lower the learning rate: `fit(..., lr=...)`",),
        )

    def _complain_of_nothing(self) -> None:
        where = f"epoch {self.position.epoch + 1}"
        if isinstance(self.data, Columns):
            message = f"{self.data.rows} rows do not make one batch of {self.data.batch}"
            helps = ("train on the short batch too: `drop_last=False`",)
        else:
            message = f"the iterable gave no batch in {where}"
            helps = (
                "an iterator can be read once only: pass a list, or an object with `__iter__`",
            )
        raise fail(DataError, "GC619", message, helps=helps)


def weighted_means(pieces: list[tuple[int, Values]]) -> Record:
    """Means over rows of what was measured on batches of different sizes."""
    means = Means()
    for rows, values in pieces:
        means.add(values, rows)
    return means.read()
