"""The trainer: what a user holds to fit, evaluate, predict, save and load.

Enters: a compiled step and data. Leaves: a `History`, means of loss and metrics, predictions,
checkpoints. Always holds: state changes only through the step itself or through a checkpoint that
fits it wholly; `epoch` counts the whole epochs that shaped the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import tree
from ..calls import usage
from ..dtypes import Spec
from ..errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    GradcError,
    fail,
    user_errors,
)
from ..files import PathLike
from . import checkpoint as checkpoints
from .data import Batches, Columns, Step, as_array, equal_rows, read, values_of
from .history import History, Record, append_to_journal, read_journal, write_journal
from .interrupt import Interrupt
from .loop import Loop, Position, Settings, weighted_means
from .progress import AnyCallback, Callback, Run, as_callbacks, shown

METADATA = "gradc.training"
JOURNAL = "metrics.jsonl"


class Trainer:
    """Trains a step on data of any number of rows: `gd.Trainer(step).fit((x, y), epochs=5)`.

    `step` is what `gd.train_step` returns. The trainer keeps no parameters: they live in the step,
    and several trainers may share one. Raises `ArgumentError` for what is no step.
    """

    @user_errors
    def __init__(self, step: Step) -> None:
        if not all(hasattr(step, name) for name in ("many", "for_batch", "state_dict")):
            what = f"the class `{step.__name__}`" if isinstance(step, type) else None
            raise fail(
                ArgumentError,
                "GC624",
                f"a trainer takes a compiled step, got {what or f'a `{type(step).__name__}`'}",
                helps=("make one first: `gd.train_step(loss, model, optimizer, ...)`",),
            )
        self.step = step
        self._position = Position()
        self._checkpoint: Path | None = None

    @property
    def checkpoint(self) -> Path | None:
        """The file that the last call of `fit` can be resumed from; None before it has saved."""
        return self._checkpoint

    @property
    def epoch(self) -> int:
        """How many whole epochs the state has been trained for."""
        return self._position.epoch

    def __repr__(self) -> str:
        return f"Trainer(`{self.step.name}`, {self.epoch} epochs)"

    @user_errors
    @usage("give arrays as one tuple: `fit((x, y), epochs=5)`; the batch size is that of the step")
    def fit(
        self,
        data: Any,
        epochs: int = 1,
        *,
        validation: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        checkpoint: PathLike | None = None,
        resume: bool = False,
        callbacks: Sequence[AnyCallback] = (),
        progress: bool = True,
        drop_last: bool = False,
        lr: float | None = None,
    ) -> History:
        """Train for `epochs` epochs; each draws every row once, in an order that `seed` decides.

        `data` and `validation` are tuples of arrays with equal first axes (`np.memmap`s and torch
        tensors too), or iterables of batches, such as a torch `DataLoader`, which keep their own
        order. They are converted to the step's dtypes as its own arguments are, arrays once, before
        the first epoch. Without `shuffle` rows come as they are. The last short batch is trained on
        exactly, by a second specialisation of the step, unless `drop_last`. `lr` overrides the
        step's learning rate. `validation` is evaluated after each epoch, as `val_loss` and so on.

        `checkpoint` is a `.safetensors` file, or a folder for `<name>.safetensors`; it is written
        after each epoch, and when Ctrl-C ends the run, with `metrics.jsonl` beside it. With
        `resume` a run continues from there, if there is one, until `epochs` epochs in all are done,
        and ends with the bytes it would have ended with uninterrupted.

        `callbacks` are functions of an epoch's record, or objects with the methods of
        `gradc.train.Callback`; `progress` shows a bar on a terminal and lines elsewhere.

        Returns a `History` of one record an epoch. Raises `DataError`, `ShapeError` or `DTypeError`
        if data does not fit the step, `NonFiniteError` if the loss becomes NaN or infinite,
        `CheckpointError` if a checkpoint cannot be used, `ArgumentError` for a number that makes no
        sense.
        """
        if hasattr(epochs, "shape"):
            message = "`fit` takes the data as one argument, got two arrays"
            raise fail(ArgumentError, "GC623", message, helps=("give a tuple: `fit((x, y))`",))
        _check_counts(epochs=epochs, seed=seed)
        _check_rate(lr)
        source = read(data, self.step)
        held_out = None if validation is None else read(validation, self.step, "validation")
        settings = Settings(int(seed), bool(shuffle), bool(drop_last), lr)
        files = self._files(checkpoint, resume, _about(source, settings))
        run = Run(self.step.name, epochs if resume else self.epoch + epochs, self.epoch + 1)
        every = [*([shown()] if progress else []), *as_callbacks(callbacks)]
        source.build(drop_last)
        if held_out is not None:
            held_out.build()
        if files is not None:
            run.history.records = files.start(self.epoch if resume else 0)
        with Interrupt() as interrupt:
            loop = Loop(source, settings, self._position, run, every, interrupt)
            self._train(loop, held_out, files)
        return run.history

    def _files(self, given: PathLike | None, resume: bool, about: dict[str, Any]) -> _Files | None:
        """Where the run is saved; with `resume`, state and position become those saved there."""
        self._position = Position(self.epoch)
        self._checkpoint = None
        if given is None:
            if resume:
                message = "`resume` needs the `checkpoint` to continue from"
                help_ = "give the path that the run was saved to: `checkpoint=`"
                raise fail(ArgumentError, "GC621", message, helps=(help_,))
            return None
        path = Path(given)
        if path.suffix != ".safetensors":
            path = path / f"{self.step.name}.safetensors"
        if resume and path.exists():
            self._load(path, about)
            self._checkpoint = path
        return _Files(path, about)

    def _train(self, loop: Loop, held_out: Columns | Batches | None, files: _Files | None) -> None:
        """Epoch after epoch, each validated and recorded before it is saved."""
        run, started = loop.run, []
        try:
            for callback in loop.callbacks:
                started.append(callback)
                callback.begin(run)
            while self.epoch < run.epochs and not run.stop:
                try:
                    record = loop.epoch()
                finally:
                    self._position = loop.position
                if record is not None:
                    if held_out is not None:
                        measured = _evaluate(held_out)
                        record |= {f"val_{name}": value for name, value in measured.items()}
                    run.history.records.append(record)
                if files is not None:
                    self._save(files, record)
                if record is not None:
                    for callback in loop.callbacks:
                        callback.epoch(run, record)
                if loop.interrupt.asked:
                    raise self._interrupted(files)
        finally:
            _end(started, run)

    def _save(self, files: _Files, record: Record | None) -> None:
        """Record an epoch, then save; a resumed run drops records of what was not saved."""
        if record is not None:
            files.append(record)
        files.save(self.step, self._position)
        self._checkpoint = files.path

    def _interrupted(self, files: _Files | None) -> KeyboardInterrupt:
        """The exception that says where training is, and how to go on."""
        at = f"in epoch {self.epoch + 1}, after {self._position.batch} batches"
        where = at if self._position.batch else f"after epoch {self.epoch}"
        error = KeyboardInterrupt(f"training stopped {where}")
        if files is None:
            error.add_note("nothing was saved: `checkpoint` was not given")
        else:
            error.add_note(f"saved in {files.path}: continue with `resume=True`")
        return error

    @user_errors
    @usage("give arrays as one tuple: `evaluate((x, y))`")
    def evaluate(self, data: Any) -> Record:
        """The means of the loss and of each metric over all rows of `data`: `{"loss": ..., ...}`.

        Data is what `fit` takes; short batches are computed exactly and count by their rows. Raises
        `DataError`, `ShapeError` or `DTypeError` if it does not fit the step.
        """
        return _evaluate(read(data, self.step))

    @user_errors
    def predict(self, *inputs: Any) -> Any:
        """The step's `predict` on any number of rows; outputs are joined along their first axis.

        `inputs` are its arguments after the model, arrays with equal first axes. Raises
        `ArgumentError` if the step was made without `predict`, `DataError`, `ShapeError` or
        `DTypeError` if they do not fit.
        """
        arrays = tuple(as_array(x, f"inputs[{i}]") for i, x in enumerate(inputs))
        if self.step.batch is None or not arrays or any(a.ndim == 0 for a in arrays):
            return self.step.predict(*inputs)
        columns = Columns(self.step, arrays, equal_rows(arrays, "inputs"), self.step.batch)
        outputs = [step.predict(*part) for step, part in columns.slices()]
        if len(outputs) == 1:
            return outputs[0]
        return tree.map_leaves(lambda *leaves: np.concatenate(leaves), *outputs)

    @user_errors
    def save(self, path: PathLike) -> None:
        """Write state and epoch count to one safetensors file at `path`, whole or not at all.

        Raises `CheckpointError` if it cannot be written.
        """
        _Files(Path(path), {}).save(self.step, self._position)

    @user_errors
    def load(self, path: PathLike) -> None:
        """Take the state and the epoch count from the file `path` that `save` or `fit` wrote.

        Raises CheckpointError, and changes nothing, if one bit of the file is not what was written,
        or if it is of another model. A plain safetensors file from elsewhere that has the right
        tensors is taken too, as epoch 0; it has no checksum that could tell damage to its numbers,
        and `fit(..., resume=True)` refuses it, for it does not say how far training was.
        """
        self._load(path, None)

    def _load(self, path: PathLike, about: dict[str, Any] | None) -> None:
        """Take state and position from a file, after every check; `about` is of the run to resume.

        A run with other settings is refused: it would not be the one that was interrupted.
        """
        tensors, metadata = checkpoints.load(path)
        position, was = Position(), dict[str, Any]()
        if METADATA in metadata or about is not None:
            position, was = Position.from_json(metadata.get(METADATA, ""), path)
        differing = [k for k in about or {} if about is not None and was.get(k) != about[k]]
        if about is not None and differing:
            wrong = "; ".join(f"{k}={was.get(k)}, now {k}={about[k]}" for k in differing)
            raise fail(
                CheckpointError,
                "GC606",
                f"`{path}` is of a run with other settings: {wrong}",
                helps=(
                    "resume with the settings of that run",
                    "or `load` it and call `fit` without `resume`, which starts a new run",
                ),
            )
        expected = {name: Spec(a.shape, a.dtype) for name, a in self.step.state.items()}
        checkpoints.match(tensors, expected, path, self.step.name)
        self.step.load_state_dict(tensors)
        self._position = position


@dataclass(frozen=True)
class _Files:
    """What a run leaves on disk: its checkpoint, and metrics.jsonl beside it.

    `about` is what must be the same for the run to be continued.
    """

    path: Path
    about: dict[str, Any]

    @property
    def journal(self) -> Path:
        return self.path.with_name(JOURNAL)

    def start(self, epochs: int) -> list[Record]:
        """Begin metrics.jsonl with what it says of the first `epochs` epochs; these records."""
        records = read_journal(self.journal, epochs)
        write_journal(self.journal, records)
        return records

    def append(self, record: Record) -> None:
        append_to_journal(self.journal, record)

    def save(self, step: Step, position: Position) -> None:
        checkpoints.save(self.path, step.state_dict(), {METADATA: position.as_json(self.about)})


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            message = f"`{name}` is a non-negative integer, got {value!r}"
            raise fail(ArgumentError, "GC622", message, helps=(f"write an integer: `{name}=5`",))


def _check_rate(lr: Any) -> None:
    if lr is None or (isinstance(lr, (int, float, np.number)) and not isinstance(lr, bool)):
        return
    message = f"`lr` is a number, got {lr!r}"
    raise fail(ArgumentError, "GC622", message, helps=("write a number: `lr=0.1`",))


def _about(source: Columns | Batches, settings: Settings) -> dict[str, Any]:
    """What must be the same for a run to be continued."""
    common = {"drop_last": settings.drop_last}
    if isinstance(source, Batches):
        return common
    order = {"seed": settings.seed, "shuffle": settings.shuffle}
    return {"rows": source.rows, "batch": source.batch, **order, **common}


def _evaluate(source: Columns | Batches) -> Record:
    pieces = []
    first = 0
    for i, (step, part) in enumerate(source.slices()):
        rows = len(part[0]) if source.step.batch is not None else 1
        try:
            pieces.append((rows, values_of(step.evaluate(*part))))
        except GradcError as error:
            error.add_note(f"in batch {i}, which begins at row {first}")
            raise
        first += rows
    if not pieces:
        raise fail(DataError, "GC619", "the iterable gave no batch to evaluate")
    return weighted_means(pieces)


def _end(callbacks: list[Callback], run: Run) -> None:
    """End every callback, also after one that raises."""
    if callbacks:
        first, *others = callbacks
        try:
            first.end(run)
        finally:
            _end(others, run)
