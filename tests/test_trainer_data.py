"""The trainer: kinds of data it takes, and data it refuses before or while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_step import FakeStep, samples
from fitting import ROWS, Watched, fitted, same_state

from gradc.errors import (
    ArgumentError,
    DataError,
    DTypeError,
    NonFiniteError,
    ShapeError,
)
from gradc.train import Trainer

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
    "dtype": ((X.astype(complex), Y), DTypeError, r"\.astype\(np\.float32\)"),
    "range": (
        (X, Y.astype(float) * 1e300),
        DataError,
        r"`data\[1\]\[0\]` is .*, which does not fit `f32`",
    ),
    "two at once": ((X * 1j, Y * 1j), DTypeError, r"`data\[0\]` must be .*; `data\[1\]` must be"),
    "ragged": (([[1.0], [2.0, 3.0]], Y), DataError, "cannot be read as an array"),
    "strings": ((X, np.array(["a"] * 8)), DTypeError, r"`data\[1\]` must be"),
    "count": ((X,), DataError, r"data has 1 array, `line` takes 2: f32\[4, 3\], f32\[4\]"),
    "one array": (X, DataError, "data has 1 array, "),
    "list of arrays": ([X, Y], DataError, r"a data set of arrays|give arrays as a tuple"),
    "a number": (3, DataError, "got a `int`"),
    "text": ("data", DataError, "got a `str`"),
    "a dict": ({"x": X}, DataError, "got a `dict`"),
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
    with pytest.raises(error, match=message.replace("data", "validation")):
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
    names = [Path(str(entry.path)).name for entry in trace]
    assert names == ["test_trainer_data.py", "fitting.py"]


NOT_FINITE = {
    "in the batch": (np.nan, 5, r"`data\[0\]\[5, 1\]` is nan"),
    "in the last short batch": (np.inf, 8, r"`data\[0\]\[8, 1\]` is inf"),
}


@pytest.mark.parametrize("where", NOT_FINITE)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_row_that_is_not_finite_is_named_before_the_rate_is_blamed(where, shuffle) -> None:
    value, row, message = NOT_FINITE[where]
    x, y = samples(9)
    x[row, 1] = value
    with pytest.raises(NonFiniteError, match=message) as caught:
        fitted(FakeStep(), (x, y), shuffle=shuffle, epochs=3)
    assert "rate" not in str(caught.value)
    with pytest.raises(NonFiniteError, match=r"`batch 1\[0\]\[\d, 1\]` is|`data"):
        fitted(FakeStep(), [(x[:4], y[:4]), (x[5:9], y[5:9])])
    with pytest.raises(NonFiniteError, match="lower the learning rate"):
        fitted(FakeStep(), samples(8), lr=1e30, epochs=9)
