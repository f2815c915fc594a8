"""`gradc train`: what it prints and writes, its options, interrupting and resuming."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import command_line as commands
import pytest
from command_line import MODEL, ROOT, Run, python

pytestmark = pytest.mark.usefixtures("ctrl_c")
model, run = commands.model, commands.run  # fixtures


def test_train_fits_tests_and_says_where_everything_is(run: Run, model: Path) -> None:
    status, out, err = run("train", "model.py")
    assert status == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert list(rows) == [
        "training time",
        "training loss",
        "training worst",
        "test loss",
        "test worst",
        "C",
        "plan",
        "checkpoint",
        "record",
    ]
    assert rows["training time"].endswith("3 epochs")
    for label in ("C", "plan", "checkpoint", "record"):
        assert (model / rows[label]).is_file()
    assert "arena" in (model / rows["plan"]).read_text()
    assert (model / rows["C"]).read_text().startswith("/* line.c")
    assert rows["checkpoint"] == str(Path("runs") / "line" / "line.safetensors")
    assert len((model / rows["record"]).read_text().splitlines()) == 3
    progress = [line for line in err.splitlines() if line.startswith("epoch=")]
    assert len(progress) == 3
    assert err.splitlines()[-1].split() == ["Finished", str(Path("runs") / "line")]


def test_train_as_json(run: Run) -> None:
    status, out, _ = run("train", "model.py:step", "--json", "--epochs", "30", "--out", "here")
    data = json.loads(out)
    assert status == 0
    assert data["epochs"] == 30
    assert data["test"]["loss"] < 1e-3
    assert data["files"]["checkpoint"] == str(Path("here") / "line.safetensors")


def test_training_does_not_depend_on_when_it_was_interrupted(run: Run, model: Path) -> None:
    for words in (["--epochs", "5", "--out", "whole"], ["--epochs", "2", "--out", "parts"]):
        assert run("train", "model.py", *words)[0] == 0
    status, out, _ = run("train", "model.py", "--epochs", "5", "--out", "parts", "--resume")
    assert status == 0
    assert "5 epochs" in out
    checkpoints = [(model / d / "line.safetensors").read_bytes() for d in ("whole", "parts")]
    assert checkpoints[0] == checkpoints[1]


def test_seed_batch_and_learning_rate(run: Run, model: Path) -> None:
    def trained(*words: str) -> bytes:
        assert run("train", "model.py", "--epochs", "1", "--out", "here", *words)[0] == 0
        return (model / "here" / "line.safetensors").read_bytes()

    plain = trained()
    assert trained("--seed", "0") == plain
    assert trained("--seed", "1") != plain
    assert trained("--batch", "8") == plain
    assert trained("--batch", "5") != plain
    assert trained("--lr", "0.05") == plain
    assert trained("--lr", "0.01") != plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("def data", "def other"), "has no function `data`"),
        (("fit = {", "fit = {'speed': 1, "), "`fit` of `model.py` may set epochs"),
        (("fit = {", "fit = 3 # {"), "`fit` of `model.py` may set epochs"),
        (("samples(43, 0), samples(11, 1)", "samples(0, 0)"), "data is empty"),
        (("samples(43, 0), samples(11, 1)", "samples(43, 0)[:1]"), "data has 1 array,"),
    ],
)
def test_what_the_file_lacks_is_said(
    run: Run, model: Path, change: tuple[str, str], message: str
) -> None:
    (model / "model.py").write_text(MODEL.replace(*change))
    status, out, err = run("train", "model.py", "--epochs", "1")
    assert (status, out) == (1, "")
    assert message in err


def test_data_without_a_test_set(run: Run, model: Path) -> None:
    text = MODEL.replace("samples(43, 0), samples(11, 1)", "samples(43, 0)")
    (model / "model.py").write_text(text)
    status, out, _ = run("train", "model.py", "--json")
    assert (status, json.loads(out)["test"]) == (0, None)


def test_a_damaged_checkpoint_is_refused(run: Run, model: Path) -> None:
    (model / "here").mkdir()
    (model / "here" / "line.safetensors").write_bytes(b"damaged")
    status, _, err = run("train", "model.py", "--out", "here", "--resume")
    assert status == 1
    assert "not a whole safetensors file" in err
    assert (model / "here" / "line.safetensors").read_bytes() == b"damaged"


# A command under a disposition of SIGINT: shells start background jobs with it ignored.
WITH_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("disposition", ["SIG_DFL", "SIG_IGN"])
def test_ctrl_c_saves_says_how_to_resume_and_is_status_130(model: Path, disposition: str) -> None:
    words = ["-m", "gradc", "train", "model.py", "--epochs", "100000", "--out", "parts"]
    command = [sys.executable, "-c", WITH_SIGINT, disposition, sys.executable, *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = {"cwd": model, "env": env, "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as process:
        limit = threading.Timer(120, process.kill)
        limit.start()
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch=3 "):
                process.send_signal(signal.SIGINT)
        limit.cancel()
    assert process.returncode == 130
    assert line.startswith("continue with `gradc train model.py --epochs 100000 --out parts")
    records = (model / "parts" / "metrics.jsonl").read_text().splitlines()
    done = len(records)
    assert 3 <= done < 100000
    resumed = python(*words[:4], "--epochs", str(done + 2), "--out", "parts", "--resume", cwd=model)
    assert resumed.returncode == 0, resumed.stderr
    whole = python(*words[:4], "--epochs", str(done + 2), "--out", "whole", cwd=model)
    assert whole.returncode == 0, whole.stderr
    checkpoints = [(model / d / "line.safetensors").read_bytes() for d in ("whole", "parts")]
    assert checkpoints[0] == checkpoints[1]


def test_an_interrupted_run_says_the_command_that_continues_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradc.train.progress import Lines

    monkeypatch.setattr(Lines, "epoch", lambda *_: signal.raise_signal(signal.SIGINT))
    status, out, err = run("train", "model.py", "--epochs", "9", "--lr", "0.1", "--out", "a b")
    assert (status, out) == (130, "")
    assert err.splitlines()[-2:] == [
        "training stopped after epoch 1",
        "continue with `gradc train model.py --epochs 9 --lr 0.1 --out 'a b' --resume`",
    ]


def test_what_is_interrupted_before_its_first_checkpoint_cannot_be_resumed(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradc.train.progress import Lines

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    assert run("train", "model.py", "--epochs", "1", "--out", "here")[0] == 0
    monkeypatch.setattr(Lines, "begin", interrupt, raising=False)
    for out in ("here", "there"):  # the checkpoint that is here is another run's
        status, _, err = run("train", "model.py", "--epochs", "9", "--out", out)
        assert status == 130
        assert "--resume" not in err
    status, _, err = run("train", "model.py", "--epochs", "9", "--out", "here", "--resume")
    assert status == 130
    assert "--resume" in err
