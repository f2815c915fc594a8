"""The trainer: callbacks, and progress as lines or as a bar."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fake_step import FakeStep, samples
from fitting import fitted

from gradc.train import Callback
from gradc.train.progress import Bar, Lines, Run, shown

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
