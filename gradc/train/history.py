"""What happened in training: one record for each epoch.

Enters: means of losses and metrics. Leaves: a `History` to read, print and plot, and the lines of
metrics.jsonl. Always holds: a record has `epoch`, `loss` and `seconds` (of training, without
validation), the step's metrics, and the same with `val_` before it where there was validation.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UnsupportedError, fail
from ..files import read_regular
from .checkpoint import write_atomically, writing

Record = dict[str, float]

ROWS_SHOWN = 10


@dataclass
class History:
    """The records of a training run, in order; `history["loss"]` is one column of them."""

    records: list[Record] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, name: str) -> list[float]:
        """The values of one name, an epoch each (NaN where a record has none)."""
        if self.records and name not in self.names:
            raise KeyError(f"{name}: this history has {', '.join(self.names)}")
        return [record.get(name, math.nan) for record in self.records]

    @property
    def names(self) -> list[str]:
        """The names that occur in any record."""
        return list(dict.fromkeys(name for record in self.records for name in record))

    def __repr__(self) -> str:
        if not self.records:
            return "History: no epoch yet"
        skipped = len(self) - ROWS_SHOWN
        lines = [f"History: {len(self)} epochs" + (", the last ones:" if skipped > 0 else "")]
        return "\n".join(lines + [summary(record) for record in self.records[-ROWS_SHOWN:]])

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the curves into a file; its suffix names the format (png, svg, pdf).

        One panel for the loss and one for each metric, training and validation together.
        Needs matplotlib.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise fail(
                UnsupportedError,
                "GC631",
                "plotting needs matplotlib, which is not installed",
                helps=("install it: `pip install gradc[plot]`",),
            ) from error
        names = [n for n in self.names if n not in ("epoch", "seconds") and n[:4] != "val_"]
        figure = Figure(figsize=(5 * max(len(names), 1), 4), layout="constrained")
        for i, name in enumerate(names):
            axes = figure.add_subplot(1, len(names), i + 1)
            axes.plot(self["epoch"], self[name], marker=".", label="training")
            if f"val_{name}" in self.names:
                axes.plot(self["epoch"], self[f"val_{name}"], marker=".", label="validation")
            axes.set(title=name, xlabel="epoch", ylabel=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend()
        figure.savefig(os.fspath(path))


def summary(record: Record) -> str:
    """A record as `key=value` pairs, as a pipe or a log file wants it."""
    return " ".join(
        f"{name}={value:g}" if name == "epoch" else f"{name}={value:.4g}"
        for name, value in record.items()
    )


def as_line(record: Record) -> str:
    """A record as one line of JSON, which has no NaN: that becomes null."""
    return json.dumps({k: v if math.isfinite(v) else None for k, v in record.items()}) + "\n"


def write_journal(path: Path, records: list[Record]) -> None:
    """Start metrics.jsonl with `records`, a line each, in place of what is there."""
    with writing(path):
        write_atomically(path, "".join(map(as_line, records)).encode())


def append_to_journal(path: Path, record: Record) -> None:
    with writing(path), open(path, "a", encoding="utf-8") as file:
        file.write(as_line(record))


def read_journal(path: Path, epochs: int) -> list[Record]:
    """The records of the first `epochs` epochs in metrics.jsonl, as far as it can be read.

    A killed run may have left a torn last line, or a line of an epoch it had not saved.
    """
    records = []
    try:
        lines = read_regular(path).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            found = json.loads(line)
            record = {str(k): math.nan if v is None else float(v) for k, v in found.items()}
        except (ValueError, TypeError, AttributeError):
            break
        if record.get("epoch", math.inf) <= epochs:
            records.append(record)
    return records
