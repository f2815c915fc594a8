"""The trainer with compiled steps: what it does is what a loop over `step(...)` would do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.errors import CheckpointError, DataError, NonFiniteError, ShapeError
from gradc.train import Callback
from gradc.train.data import draw
from gradc.train.progress import Run

BATCH, FEATURES, CLASSES = 16, 6, 4


class Net(nn.Module):
    def __init__(self, hidden: int = 8, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.fc1 = nn.Linear(FEATURES, hidden, rng=rng)
        self.fc2 = nn.Linear(hidden, CLASSES, rng=rng)

    def __call__(self, x: Any) -> Any:
        return self.fc2(nn.relu(self.fc1(x)))


def loss(net: Any, x: Any, y: Any) -> Any:
    logits = net(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def make(hidden: int = 8, batch: int = BATCH, name: str = "net") -> Any:
    return gd.train_step(
        loss,
        Net(hidden),
        optim.SGD(lr=0.1, momentum=0.9),
        gd.f32[batch, FEATURES],
        gd.i32[batch],
        predict=Net.__call__,
        name=name,
    )


def samples(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Points of four clouds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, rows).astype(np.int32)
    centres = np.random.default_rng(99).normal(size=(CLASSES, FEATURES)) * 3
    return (centres[y] + rng.normal(size=(rows, FEATURES))).astype(np.float32), y


ROWS = 70  # four batches and six rows more


def state_bytes(step: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in step.state_dict().items()}


def test_an_epoch_is_a_loop_over_steps() -> None:
    x, y = samples(ROWS)
    trained, by_hand = make(), make()
    history = gd.Trainer(trained).fit((x, y), epochs=2, seed=3, progress=False)
    for epoch in range(2):
        order = draw(ROWS, 3, epoch)
        total = 0.0
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            step = by_hand.for_batch(len(rows))
            value, metrics = step(x[rows], y[rows])
            assert set(metrics) == {"accuracy"}
            total += value * len(rows)
        assert history["loss"][epoch] == pytest.approx(total / ROWS, rel=1e-6)
    assert state_bytes(trained) == state_bytes(by_hand)
    assert trained.state["step"] == 10


def test_training_learns_and_is_measured_exactly() -> None:
    step, test = make(), samples(45, seed=1)
    trainer = gd.Trainer(step)
    history = trainer.fit(samples(500), epochs=5, validation=test, progress=False)
    assert history["val_accuracy"][-1] > 0.9
    before = state_bytes(step)
    logits = trainer.predict(test[0])
    measured = trainer.evaluate(test)
    assert state_bytes(step) == before
    assert logits.shape == (45, CLASSES)
    parameters = {n: v.astype(np.float64) for n, v in step.params.items()}
    hidden = np.maximum(test[0] @ parameters["fc1.weight"].T + parameters["fc1.bias"], 0)
    expected = hidden @ parameters["fc2.weight"].T + parameters["fc2.bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    right = (logits.argmax(1) == test[1]).mean()
    assert measured["accuracy"] == pytest.approx(right, abs=1e-6)
    assert measured == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}


def test_kinds_of_data_give_the_same_training(tmp_path: Path) -> None:
    x, y = samples(ROWS)
    np.save(tmp_path / "x.npy", x)
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, ROWS, BATCH)]
    kinds: list[Any] = [(x, y), batches, (np.load(tmp_path / "x.npy", mmap_mode="r"), y)]
    kinds.append((np.asfortranarray(x), y))
    states = []
    for data in kinds:
        step = make()
        gd.Trainer(step).fit(data, epochs=2, shuffle=False, progress=False)
        states.append(state_bytes(step))
    assert all(state == states[0] for state in states)


class StopAfter(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def advance(self, run: Run) -> None:
        if (run.epoch - 1) * 5 + run.batch == self.steps:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("steps", [3, 5, 9])
def test_an_interrupted_run_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("gradc.train.loop.SECONDS_PER_CALL", 0.0)
    data = samples(ROWS)
    options: dict[str, Any] = {"epochs": 3, "seed": 1, "progress": False}
    gd.Trainer(make()).fit(data, checkpoint=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        gd.Trainer(make()).fit(
            data, checkpoint=tmp_path / "parts", callbacks=[StopAfter(steps)], **options
        )
    gd.Trainer(make()).fit(data, checkpoint=tmp_path / "parts", resume=True, **options)
    files = [(tmp_path / d / "net.safetensors").read_bytes() for d in ("whole", "parts")]
    assert files[0] == files[1]


def test_state_is_saved_in_logical_order_and_fits_any_batch(tmp_path: Path) -> None:
    step = make()
    trainer = gd.Trainer(step)
    trainer.fit(samples(ROWS), progress=False)
    trainer.save(tmp_path / "m.safetensors")
    from gradc.train import load

    tensors, _ = load(tmp_path / "m.safetensors")
    assert tensors["params.fc1.weight"].shape == (8, FEATURES)
    np.testing.assert_array_equal(tensors["params.fc1.weight"], step.params["fc1.weight"])
    other = make(batch=5)
    gd.Trainer(other).load(tmp_path / "m.safetensors")
    assert state_bytes(other) == state_bytes(step)


def test_a_checkpoint_of_another_program_changes_nothing(tmp_path: Path) -> None:
    gd.Trainer(make(hidden=9)).save(tmp_path / "other.safetensors")
    step = make()
    gd.Trainer(step).fit(samples(ROWS), progress=False)
    before = state_bytes(step)
    with pytest.raises(CheckpointError) as caught:
        gd.Trainer(step).load(tmp_path / "other.safetensors")
    assert "f32[9, 6] in the file, f32[8, 6] in `net`" in str(caught.value)
    assert state_bytes(step) == before


def test_a_label_out_of_range_is_an_error_wherever_it_stands() -> None:
    x, y = samples(ROWS)
    for row in (0, 40, ROWS - 1):
        for label in (-1, CLASSES):
            wrong = y.copy()
            wrong[row] = label
            step = make()
            with pytest.raises(DataError, match=str(label)) as caught:
                gd.Trainer(step).fit((x, wrong), shuffle=False, progress=False)
            assert caught.value.__notes__[0].startswith("in epoch 1, after ")
            with pytest.raises(DataError, match=str(label)) as caught:
                gd.Trainer(step).evaluate((x, wrong))
            start = row - row % BATCH
            assert caught.value.__notes__ == [
                f"in batch {row // BATCH}, which begins at row {start}"
            ]


def test_a_loss_that_is_not_finite_names_epoch_and_step() -> None:
    x, y = samples(ROWS)
    x[20, 0] = np.inf
    with pytest.raises(NonFiniteError, match="`net` became nan in epoch 1, step 2"):
        gd.Trainer(make()).fit((x, y), shuffle=False, progress=False)


def test_data_that_does_not_fit_is_refused_before_training() -> None:
    step = make()
    x, y = samples(ROWS)
    with pytest.raises(ShapeError, match=r"`data\[0\]` is f32\[70, 5\], `net` takes f32\[16, 6\]"):
        gd.Trainer(step).fit((x[:, :5], y), progress=False)
    assert step.state["step"] == 0


def test_thirty_two_thousand_samples_in_batches_of_64_are_500_steps() -> None:
    def squared(p: Any, x: Any) -> Any:
        return ((p["w"] - x) ** 2).mean()

    w = {"w": np.zeros(2, np.float32)}
    step = gd.train_step(squared, w, optim.SGD(lr=0.1), gd.f32[64, 2])
    history = gd.Trainer(step).fit((np.ones((32_000, 2), np.float32),), progress=False)
    assert step.state["step"] == 500
    assert step.params["w"] == pytest.approx([1, 1], abs=1e-5)
    assert len(history) == 1
