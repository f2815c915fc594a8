"""The trainer: order of samples, exactness of batches, resuming, errors, progress."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_step import FEATURES, FakeStep, samples

from gradc.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DTypeError,
    NonFiniteError,
    ShapeError,
    UnsupportedError,
)
from gradc.train import Callback, History, Trainer, load
from gradc.train import history as histories
from gradc.train.loop import Means
from gradc.train.progress import Bar, Lines, Run, shown

ROWS = 22  # five batches of four, and two rows more


def fitted(step: FakeStep, data: Any = None, **options: Any) -> History:
    options.setdefault("progress", False)
    return Trainer(step).fit(samples(ROWS) if data is None else data, **options)


def same_state(a: FakeStep, b: FakeStep) -> bool:
    return all(a.state[n].tobytes() == b.state[n].tobytes() for n in a.state)


class Watched(FakeStep):
    """Remembers which rows each update saw; rows are told apart by their first number."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[list[float]] = []

    def __call__(self, x: Any, y: Any, lr: float | None = None) -> Any:
        self.seen.append(x[:, 0].tolist())
        return super().__call__(x, y, lr)

    def for_batch(self, rows: int) -> FakeStep:
        other = super().for_batch(rows)
        if other is not self and not isinstance(other, Watched):
            copy = Watched(rows)
            copy.state, copy.seen = self.state, self.seen
            self.others[rows] = other = copy
        return other


# Order ----------------------------------------------------------------------------------------


def test_every_row_is_drawn_once_an_epoch_in_another_order() -> None:
    step, (x, y) = Watched(), samples(ROWS)
    fitted(step, (x, y), epochs=2)
    assert [len(rows) for rows in step.seen] == [4, 4, 4, 4, 4, 2] * 2
    epochs = [[*chain(*step.seen[i : i + 6])] for i in (0, 6)]
    for epoch in epochs:
        assert sorted(epoch) == sorted(x[:, 0].tolist())
    assert epochs[0] != epochs[1]
    assert epochs[0] != x[:, 0].tolist()


def test_without_shuffling_rows_keep_their_order() -> None:
    step, (x, y) = Watched(), samples(ROWS)
    fitted(step, (x, y), epochs=1, shuffle=False)
    assert [*chain(*step.seen)] == x[:, 0].tolist()


def test_without_the_last_short_batch() -> None:
    step = Watched()
    fitted(step, epochs=1, drop_last=True)
    assert [len(rows) for rows in step.seen] == [4] * 5
    assert step.built == [4]


def test_fewer_rows_than_a_batch() -> None:
    step = Watched()
    history = fitted(step, samples(3), epochs=2)
    assert [len(rows) for rows in step.seen] == [3, 3]
    assert step.built == []
    assert len(history) == 2
    with pytest.raises(DataError, match="3 rows do not make one batch of 4"):
        fitted(FakeStep(), samples(3), drop_last=True)


def test_rows_that_fill_their_batches_need_no_second_step() -> None:
    step = FakeStep()
    fitted(step, samples(20))
    assert (step.built, step.others) == ([4], {})


def test_the_same_seed_is_the_same_training_and_another_is_not() -> None:
    a, b, c = FakeStep(), FakeStep(), FakeStep()
    for step, seed in ((a, 5), (b, 5), (c, 6)):
        fitted(step, epochs=2, seed=seed)
    assert same_state(a, b)
    assert not same_state(a, c)


def test_twice_one_epoch_is_two_epochs() -> None:
    once, twice = FakeStep(), FakeStep()
    fitted(once, epochs=2)
    trainer = Trainer(twice)
    numbers = [trainer.fit(samples(ROWS), 1, progress=False)["epoch"] for _ in range(2)]
    assert same_state(once, twice)
    assert numbers == [[1], [2]]
    assert trainer.epoch == 2


def test_steps_are_grouped_into_calls_by_time_and_the_grouping_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grouped, single = FakeStep(), FakeStep()
    data = samples(2002)
    histories = [fitted(grouped, data, epochs=2)]
    assert grouped.calls[0] == 1
    assert max(grouped.calls) > 16
    assert sum(grouped.calls) == 2 * 500
    monkeypatch.setattr("gradc.train.loop.SECONDS_PER_CALL", 0.0)
    histories.append(fitted(single, data, epochs=2))
    assert set(single.calls) == {1}
    assert same_state(grouped, single)
    for name in ("loss", "worst"):
        assert histories[0][name] == histories[1][name]


def test_the_learning_rate_is_handed_on() -> None:
    step = FakeStep()
    fitted(step, lr=0.0)
    assert step.state["params.w"].tolist() == [0, 0, 0]
    assert step.state["step"] == 6


# Records --------------------------------------------------------------------------------------


def test_means_count_rows() -> None:
    step, (x, y) = FakeStep(), samples(6)
    record = fitted(step, (x, y), lr=0.0, shuffle=False).records[0]
    losses = y.astype(np.float64) ** 2  # the plane starts at zero
    assert record["loss"] == pytest.approx(losses.mean(), rel=1e-6)
    worst = abs(y[:4]).max() * 4 / 6 + abs(y[4:]).max() * 2 / 6
    assert record["worst"] == pytest.approx(worst, rel=1e-6)
    assert list(record) == ["epoch", "loss", "worst", "seconds"]


def test_a_step_without_metrics() -> None:
    step = FakeStep(metrics=False)
    history = fitted(step, epochs=3, validation=samples(5, seed=1))
    assert history.names == ["epoch", "loss", "seconds", "val_loss"]
    assert Trainer(step).evaluate(samples(5, seed=1)) == {"loss": history["val_loss"][-1]}


def test_training_learns_and_validation_is_measured_each_epoch() -> None:
    step = FakeStep()
    history = fitted(step, samples(200), epochs=8, validation=samples(50, seed=1))
    assert history["epoch"] == list(range(1, 9))
    assert history["val_loss"][-1] < 1e-3 < history["val_loss"][0]
    measured = Trainer(step).evaluate(samples(50, seed=1))
    assert measured == {"loss": history["val_loss"][-1], "worst": history["val_worst"][-1]}
    np.testing.assert_allclose(step.state["params.w"], [1, -2, 0.5], atol=0.05)


def test_sums_do_not_depend_on_how_calls_group_them() -> None:
    values = np.random.default_rng(0).normal(size=101).astype(np.float32)
    whole, parts = Means(), Means()
    whole.add({"loss": values}, 7)
    for i in range(0, 101, 10):
        parts.add({"loss": values[i : i + 10]}, 7)
    assert whole == parts


def test_the_history_reads_as_a_table_of_columns() -> None:
    history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_loss": 1.0}])
    assert (len(history), history["loss"]) == (2, [0.5, 0.25])
    assert math.isnan(history["val_loss"][0])
    assert repr(history).splitlines() == [
        "History: 2 epochs",
        "epoch=1 loss=0.5",
        "epoch=2 loss=0.25 val_loss=1",
    ]
    with pytest.raises(KeyError, match="epoch, loss, val_loss"):
        history["accuracy"]
    assert History()["loss"] == []


def test_a_long_history_shows_its_last_records() -> None:
    lines = repr(History([{"epoch": i} for i in range(1, 101)])).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (
        11,
        "History: 100 epochs, the last ones:",
        "epoch=100",
    )


def test_plotting_without_matplotlib_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnsupportedError, match=r"pip install gradc\[plot\]"):
        History([{"epoch": 1, "loss": 1.0}]).plot(tmp_path / "curves.png")


def test_plotting(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    records = [{"epoch": i, "loss": 1 / i, "val_loss": 2 / i, "accuracy": i} for i in (1, 2, 3)]
    History(records).plot(tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert text.count("<svg") == 1


# Kinds of data --------------------------------------------------------------------------------


def test_a_memory_map_is_not_copied(tmp_path: Path) -> None:
    x, y = samples(ROWS)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    from_map, from_memory = FakeStep(), FakeStep()
    fitted(from_map, (mapped, y))
    fitted(from_memory, (x, y))
    assert same_state(from_map, from_memory)
    from gradc.train.data import read

    columns = read((mapped, y), from_map)
    assert np.shares_memory(columns.arrays[0], mapped)  # type: ignore[union-attr]


def test_arrays_that_do_not_lie_in_order_are_taken() -> None:
    x, y = samples(2 * ROWS)
    a, b = FakeStep(), FakeStep()
    fitted(a, (x[::2], y[::2]))
    fitted(b, (x[::2].copy(), y[::2].copy()))
    assert same_state(a, b)


def test_an_iterable_of_batches_in_its_own_order() -> None:
    x, y = samples(ROWS)
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, ROWS, 4)]
    a, b, c = FakeStep(), FakeStep(), Watched()
    from_batches = fitted(a, batches, epochs=2, validation=batches)
    from_arrays = fitted(b, (x, y), epochs=2, shuffle=False, validation=(x, y))
    assert same_state(a, b)
    for name in ("loss", "worst", "val_loss", "val_worst"):
        assert from_batches[name] == from_arrays[name]
    fitted(c, batches, drop_last=True)
    assert [len(rows) for rows in c.seen] == [4] * 5


def test_an_iterator_gives_one_epoch_only() -> None:
    x, y = samples(8)
    step = FakeStep()
    with pytest.raises(DataError, match="gave no batch in epoch 2"):
        fitted(step, iter([(x[:4], y[:4]), (x[4:], y[4:])]), epochs=2)
    assert step.state["step"] == 2


class Loader:
    """An iterable that does not know its length, and gives lists as torch's DataLoader does."""

    def __init__(self, wrap: Any) -> None:
        self.wrap = wrap

    def __iter__(self) -> Iterator[list[Any]]:
        x, y = samples(ROWS)
        for i in range(0, ROWS, 4):
            yield [self.wrap(x[i : i + 4]), self.wrap(y[i : i + 4])]


def test_a_loader_of_unknown_length_whose_batches_are_lists() -> None:
    a, b = FakeStep(), FakeStep()
    fitted(a, Loader(np.asarray))
    fitted(b, shuffle=False)
    assert same_state(a, b)


@pytest.mark.peers
def test_torch_tensors_and_loaders() -> None:
    torch = pytest.importorskip("torch")
    x, y = samples(ROWS)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4)
    a, b, c = FakeStep(), FakeStep(), FakeStep()
    fitted(a, loader)
    fitted(b, (torch.from_numpy(x), torch.from_numpy(y)), shuffle=False)
    fitted(c, shuffle=False)
    assert same_state(a, c)
    assert same_state(b, c)
    with pytest.raises(DataError, match="detach"):
        fitted(a, (torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)))


def test_a_step_without_a_batch_axis_takes_batches_one_by_one() -> None:
    x, y = samples(8)
    step = FakeStep(batch=None)
    with pytest.raises(ArgumentError, match="share no first axis"):
        fitted(step, (x, y))
    history = fitted(_NoBuild(), [(x[:4], y[:4]), (x[4:], y[4:])], epochs=2)
    assert len(history) == 2


class _NoBuild(FakeStep):
    def __init__(self) -> None:
        super().__init__(batch=None)

    def build(self) -> None:
        pass


# Data that cannot be used ----------------------------------------------------------------------

X, Y = samples(8)
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "empty": ((X[:0], Y[:0]), DataError, "data is empty"),
    "lengths": ((X, Y[:5]), DataError, r"`data\[0\]` has 8, `data\[1\]` has 5"),
    "shape": (
        (X[:, :2], Y),
        ShapeError,
        r"`data\[0\]` is f32\[8, 2\], `line` takes f32\[4, 3\], with any number of rows",
    ),
    "rank": ((X, Y[:, None]), ShapeError, r"`data\[1\]` is f32\[8, 1\]"),
    "scalar": ((X, np.float32(1)), ShapeError, r"`data\[1\]` is f32\[\]"),
    "dtype": ((X.astype(np.float64), Y), DTypeError, r"\.astype\(np\.float32\)"),
    "integers": ((X, Y.astype(np.int64)), DTypeError, r"`data\[1\]` is i64\[8\]"),
    "byte order": ((X.astype(">f4"), Y), DTypeError, r"`data\[0\]` is"),
    "python lists": (([[1.0, 2.0, 3.0]], [1.0]), DTypeError, r"f64\[1, 3\]"),
    "ragged": (([[1.0], [2.0, 3.0]], Y), DataError, "cannot be read as an array"),
    "strings": ((X, np.array(["a"] * 8)), DTypeError, "`line` takes"),
    "count": ((X,), DataError, r"data has 1 arrays, `line` takes 2: f32\[4, 3\], f32\[4\]"),
    "one array": (X, DataError, "data has 1 arrays"),
    "list of arrays": ([X, Y], DataError, r"a data set of arrays|arrays are given as a tuple"),
    "a number": (3, DataError, "got `int`"),
    "text": ("data", DataError, "got `str`"),
    "a dict": ({"x": X}, DataError, "got `dict`"),
    "empty batch": ([(X[:0], Y[:0])], DataError, "batch 0 is empty"),
    "bad batch": ([(X[:4], Y[:4]), (X[:4], Y[:3])], DataError, r"batch 1\[0\]` has 4"),
    "no batches": ([], DataError, "gave no batch"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_data_that_does_not_fit_is_refused(kind: str) -> None:
    data, error, message = WRONG[kind]
    step = FakeStep()
    trained = 1 if kind == "bad batch" else 0
    with pytest.raises(error, match=message):
        fitted(step, data)
    assert step.state["step"] == trained
    with pytest.raises(error, match=message):
        Trainer(step).evaluate(data)


@pytest.mark.parametrize("kind", ["empty", "lengths", "shape", "dtype"])
def test_validation_data_is_checked_before_training(kind: str) -> None:
    data, error, message = WRONG[kind]
    step = FakeStep()
    with pytest.raises(error, match=message):
        fitted(step, validation=data)
    assert step.state["step"] == 0


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"epochs": 1.5}, {"seed": -1}, {"seed": None}])
def test_counts_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"`{next(iter(wrong))}` is a non-negative integer"):
        fitted(FakeStep(), **wrong)


def test_no_epoch_is_no_training() -> None:
    assert len(fitted(FakeStep(), epochs=0)) == 0


def test_errors_end_at_the_callers_line() -> None:
    with pytest.raises(DataError) as caught:
        fitted(FakeStep(), (X[:0], Y[:0]))
    trace = caught.traceback
    assert [Path(str(entry.path)).name for entry in trace] == ["test_trainer.py"] * 2


# A loss that is not finite ---------------------------------------------------------------------


def test_a_loss_that_becomes_nan_stops_training_and_says_where(tmp_path: Path) -> None:
    x, y = samples(ROWS)
    x[9, 0] = np.nan
    step = FakeStep()
    with pytest.raises(NonFiniteError, match=r"epoch 1, step 3.*\n.*rows 8, 9, 10, 11") as caught:
        fitted(step, (x, y), shuffle=False, checkpoint=tmp_path)
    assert isinstance(caught.value, FloatingPointError)
    assert "`line` became nan" in str(caught.value)
    assert not (tmp_path / "line.safetensors").exists()


def test_the_checkpoint_before_a_loss_that_becomes_infinite_stays(tmp_path: Path) -> None:
    step = FakeStep()
    fitted(step, checkpoint=tmp_path)
    before = (tmp_path / "line.safetensors").read_bytes()
    with pytest.raises(NonFiniteError, match="in epoch 2, step"):
        fitted(step, epochs=2, lr=1e30, checkpoint=tmp_path, resume=True)
    assert (tmp_path / "line.safetensors").read_bytes() == before


# Evaluation and prediction ----------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 22])
def test_any_number_of_rows(rows: int) -> None:
    step = FakeStep()
    fitted(step)
    x, y = samples(rows, seed=1)
    before = step.state_dict()
    predicted = Trainer(step).predict(x)
    expected = x @ step.state["params.w"] + step.state["params.b"]
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    assert predicted.shape == (rows,)
    measured = Trainer(step).evaluate((x, y))
    error = x.astype(np.float64) @ step.state["params.w"] + step.state["params.b"] - y
    assert measured["loss"] == pytest.approx((error**2).mean(), rel=1e-5)
    assert all((before[n] == step.state[n]).all() for n in before)


def test_outputs_in_a_nesting_are_joined_leaf_by_leaf() -> None:
    class Nested(FakeStep):
        def predict(self, x: Any) -> Any:
            return {"sum": x.sum(1), "both": (x[:, 0], x[:, 1:])}

        def for_batch(self, rows: int) -> FakeStep:
            return self

    x, _ = samples(ROWS)
    out = Trainer(Nested()).predict(x)
    np.testing.assert_array_equal(out["sum"], x.sum(1))
    np.testing.assert_array_equal(out["both"][0], x[:, 0])
    np.testing.assert_array_equal(out["both"][1], x[:, 1:])


def test_no_rows_cannot_be_predicted() -> None:
    with pytest.raises(DataError, match="inputs is empty"):
        Trainer(FakeStep()).predict(np.zeros((0, FEATURES), np.float32))


# Saving and resuming ------------------------------------------------------------------------------


def test_a_saved_trainer_is_loaded(tmp_path: Path) -> None:
    step, other = FakeStep(), FakeStep()
    trainer = Trainer(step)
    trainer.fit(samples(ROWS), epochs=2, progress=False)
    trainer.save(tmp_path / "m.safetensors")
    copy = Trainer(other)
    copy.load(tmp_path / "m.safetensors")
    assert same_state(step, other)
    assert copy.epoch == 2
    for t in (trainer, copy):
        t.fit(samples(ROWS), epochs=1, progress=False)
    assert same_state(step, other)


@pytest.mark.parametrize("path", ["runs/line", "runs/line/own.safetensors"])
def test_a_checkpoint_is_a_file_or_a_folder(tmp_path: Path, path: str) -> None:
    fitted(FakeStep(), epochs=2, checkpoint=tmp_path / path)
    name = "own" if path.endswith("safetensors") else "line"
    names = sorted(p.name for p in (tmp_path / "runs" / "line").iterdir())
    assert names == sorted([f"{name}.safetensors", "metrics.jsonl"])
    lines = (tmp_path / "runs" / "line" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_a_resumed_run_ends_with_the_bytes_of_one_that_was_not_interrupted(tmp_path: Path) -> None:
    whole, part, rest = FakeStep(), FakeStep(), FakeStep()
    expected = fitted(whole, epochs=5, checkpoint=tmp_path / "whole")
    fitted(part, epochs=2, checkpoint=tmp_path / "parts")
    history = fitted(rest, epochs=5, checkpoint=tmp_path / "parts", resume=True)
    files = [tmp_path / d / "line.safetensors" for d in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert history["loss"] == expected["loss"]
    assert history["epoch"] == [1, 2, 3, 4, 5]
    again = fitted(FakeStep(), epochs=5, checkpoint=tmp_path / "parts", resume=True)
    assert again["loss"] == expected["loss"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_resuming_without_a_checkpoint_starts(tmp_path: Path) -> None:
    history = fitted(FakeStep(), epochs=2, checkpoint=tmp_path, resume=True)
    assert history["epoch"] == [1, 2]


def test_starting_anew_replaces_checkpoint_and_record(tmp_path: Path) -> None:
    fitted(FakeStep(), epochs=3, checkpoint=tmp_path)
    history = fitted(FakeStep(), epochs=1, checkpoint=tmp_path)
    assert len(history) == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


class StopAfter(Callback):
    """Presses Ctrl-C when `batches` batches have been trained."""

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self.ended = 0

    def advance(self, run: Run) -> None:
        assert run.batches == 6
        if (run.epoch - 1) * 6 + run.batch == self.batches:
            signal.raise_signal(signal.SIGINT)

    def end(self, run: Run) -> None:
        self.ended += 1


@pytest.mark.parametrize("batches", [1, 5, 6, 7, 11, 12, 18])
def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr("gradc.train.loop.SECONDS_PER_CALL", 0.0)
    expected = fitted(FakeStep(), epochs=3, checkpoint=tmp_path / "whole")
    step, stop = FakeStep(), StopAfter(batches)
    options: dict[str, Any] = {"epochs": 3, "checkpoint": tmp_path / "parts"}
    with pytest.raises(KeyboardInterrupt, match="training stopped") as caught:
        fitted(step, callbacks=[stop], **options)
    assert "continue with `resume=True`" in caught.value.__notes__[0]
    assert stop.ended == 1
    assert step.state["step"] == batches
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = FakeStep()
    history = fitted(resumed, resume=True, **options)
    files = [tmp_path / d / "line.safetensors" for d in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    for name in ("epoch", "loss", "worst"):
        assert history[name] == expected[name]


def test_ctrl_c_without_a_checkpoint_says_so() -> None:
    with pytest.raises(KeyboardInterrupt, match="after epoch 1") as caught:
        fitted(FakeStep(), epochs=2, callbacks=[StopAfter(6)])
    assert caught.value.__notes__ == ["nothing was saved: `checkpoint` was not given"]


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    class Impatient(Callback):
        def advance(self, run: Run) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        fitted(FakeStep(), callbacks=[Impatient()])
    assert not hasattr(caught.value, "__notes__")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[History] = []
    thread = threading.Thread(target=lambda: found.append(fitted(FakeStep())))
    thread.start()
    thread.join()
    assert len(found[0]) == 1


@pytest.mark.skipif(os.name != "posix", reason="kills are POSIX's")
def test_a_run_killed_at_any_moment_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, signal, sys
        from fake_step import FakeStep, samples
        from gradc.train import Trainer, checkpoint
        kill = int(sys.argv[2])
        count = 0
        real = os.fsync
        def fsync(fd):
            global count
            count += 1
            if count == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            real(fd)
        checkpoint.os.fsync = fsync
        Trainer(FakeStep()).fit(
            samples(22), epochs=3, checkpoint=sys.argv[1], resume=True, progress=False)
    """)

    def run(folder: Path, kill: int) -> int:
        command = [sys.executable, "-c", script, str(folder), str(kill)]
        tests = Path(__file__).resolve().parent
        paths = os.pathsep.join([str(tests.parent), str(tests)])
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}).returncode

    assert run(tmp_path / "whole", 0) == 0
    whole = (tmp_path / "whole" / "line.safetensors").read_bytes()
    kills = 0
    for kill in (2, 3, 4, 5):  # in the record; in a draft, after its renaming, in a later draft
        kills += run(tmp_path / "parts", kill) == -signal.SIGKILL
    assert kills == 4
    assert run(tmp_path / "parts", 0) == 0
    assert (tmp_path / "parts" / "line.safetensors").read_bytes() == whole
    records = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in records] == [1, 2, 3]
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [
        "line.safetensors",
        "metrics.jsonl",
    ]


def test_a_torn_record_is_left_behind(tmp_path: Path) -> None:
    fitted(FakeStep(), epochs=2, checkpoint=tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "loss": 0.1}\n{"epoch": 4, "lo')
    history = fitted(FakeStep(), epochs=3, checkpoint=tmp_path, resume=True)
    assert history["epoch"] == [1, 2, 3]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert json.loads(lines[2])["loss"] != 0.1


def test_a_record_has_no_nan() -> None:
    assert histories.as_line({"epoch": 1, "m": math.nan}) == '{"epoch": 1, "m": null}\n'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed=0, now seed=1"),
        ({"shuffle": False}, "shuffle=True, now shuffle=False"),
        ({"drop_last": True}, "drop_last=False, now drop_last=True"),
        ({"data": samples(23)}, "rows=22, now rows=23"),
    ],
)
def test_a_run_with_other_settings_is_not_resumed(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    fitted(FakeStep(), checkpoint=tmp_path)
    step = FakeStep()
    with pytest.raises(CheckpointError, match=message):
        fitted(step, epochs=2, checkpoint=tmp_path, resume=True, **options)
    assert same_state(step, FakeStep())


def test_resuming_needs_a_checkpoint() -> None:
    with pytest.raises(ArgumentError, match="`resume` needs the `checkpoint`"):
        fitted(FakeStep(), resume=True)


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    step = FakeStep()
    fitted(step)
    trainer = Trainer(step)
    before = step.state_dict()
    other = FakeStep()
    other.state["params.w"] = np.zeros(5, np.float32)
    Trainer(other).save(tmp_path / "other")
    (tmp_path / "damaged").write_bytes((tmp_path / "other").read_bytes()[:-3])
    wrong = {"other": r"`params.w` is f32\[5\] in the file, f32\[3\] in `line`", "damaged": "whole"}
    for name, message in wrong.items():
        with pytest.raises(CheckpointError, match=message):
            trainer.load(tmp_path / name)
    assert all((before[n] == step.state[n]).all() for n in before)
    assert trainer.epoch == 0


def test_a_checkpoint_from_elsewhere_is_loaded_but_not_resumed(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    step = FakeStep()
    fitted(step)
    save_file(step.state_dict(), tmp_path / "line.safetensors")
    other = FakeStep()
    Trainer(other).load(tmp_path / "line.safetensors")
    assert same_state(step, other)
    with pytest.raises(CheckpointError, match="does not say how far training was"):
        fitted(other, checkpoint=tmp_path, resume=True)
    assert load(tmp_path / "line.safetensors")[1] == {}


# Callbacks and progress ---------------------------------------------------------------------------


def test_callbacks_follow_the_run() -> None:
    events: list[tuple[Any, ...]] = []

    class Noting(Callback):
        def begin(self, run: Run) -> None:
            events.append(("begin", run.name, run.epochs))

        def advance(self, run: Run) -> None:
            if run.batch == run.batches:
                events.append(("advance", run.epoch, run.batch, sorted(run.means)))

        def epoch(self, run: Run, record: dict[str, float]) -> None:
            assert run.history.records[-1] is record
            events.append(("epoch", run.epoch, record["epoch"]))

        def end(self, run: Run) -> None:
            events.append(("end",))

    fitted(FakeStep(), epochs=2, callbacks=[Noting()])
    means = ["loss", "worst"]
    assert events == [
        ("begin", "line", 2),
        ("advance", 1, 6, means),
        ("epoch", 1, 1),
        ("advance", 2, 6, means),
        ("epoch", 2, 2),
        ("end",),
    ]


def test_a_function_is_a_callback_and_may_stop_the_run() -> None:
    def stop_early(run: Run, record: dict[str, float]) -> None:
        run.stop = record["epoch"] == 3

    assert len(fitted(FakeStep(), epochs=10, callbacks=[stop_early])) == 3


def test_callbacks_end_even_if_one_raises() -> None:
    ended = []

    class Ends(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def end(self, run: Run) -> None:
            ended.append(self.name)
            raise RuntimeError(self.name)

    def fails(run: Run, record: dict[str, float]) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError):
        fitted(FakeStep(), callbacks=[Ends("a"), Ends("b"), fails])
    assert ended == ["a", "b"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(FakeStep(), epochs=2, validation=samples(4), progress=True)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.split()[0] for line in lines] == ["epoch=1", "epoch=2"]
    keys = [pair.partition("=")[0] for pair in lines[0].split()]
    assert keys == ["epoch", "loss", "worst", "seconds", "val_loss", "val_worst"]
    assert "\r" not in err
    assert "\x1b" not in err


def test_a_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(shown(Terminal()), Bar)
    assert isinstance(shown(io.StringIO()), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(shown(Terminal()), Lines)


def test_the_bar_is_one_line_and_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.train.progress.REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    screen = Terminal()
    fitted(FakeStep(), samples(200), epochs=3, validation=samples(4), callbacks=[Bar(screen)])
    text = screen.getvalue()
    assert text.count("\n") == 1
    frames = [frame for frame in text.strip().split("\r") if frame.strip()]
    assert "<" not in frames[0]
    assert "100%" in frames[-1]
    assert "epoch 3/3 loss=" in frames[-1]
    assert "val_loss=" in frames[-1]
    assert all(len(frame) < 100 for frame in frames)


def test_the_bar_is_redrawn_at_most_ten_times_a_second() -> None:
    screen = Terminal()
    data = samples(4000)
    fitted(FakeStep(), data, epochs=1, callbacks=[Bar(screen)])
    seconds = fitted(FakeStep(), data, epochs=1)["seconds"][0]
    assert screen.getvalue().count("\r") <= 10 * (5 * seconds + 1)
