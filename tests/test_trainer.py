"""The trainer: order of samples, exactness of batches, records, evaluation and prediction."""

from __future__ import annotations

import math
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_step import FEATURES, FakeStep, samples
from fitting import ROWS, Watched, fitted, same_state

from gradc.errors import (
    DataError,
    NonFiniteError,
    UnsupportedError,
)
from gradc.train import History, Trainer
from gradc.train.loop import Means

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
