"""The trainer: saving, loading, and resuming after Ctrl-C, a kill, or a torn record."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_step import FakeStep, samples
from fitting import ROWS, fitted, same_state

from gradc.errors import (
    ArgumentError,
    CheckpointError,
)
from gradc.train import Callback, History, Trainer, load
from gradc.train import history as histories
from gradc.train.progress import Run

pytestmark = pytest.mark.usefixtures("ctrl_c")

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
        return subprocess.run(
            command, env={**os.environ, "PYTHONPATH": paths}, timeout=120
        ).returncode

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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_in_the_place_of_the_record_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    fitted(FakeStep(), epochs=2, checkpoint=tmp_path, resume=True)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_folder_in_the_place_of_the_record_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        fitted(FakeStep(), epochs=2, checkpoint=tmp_path)


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
