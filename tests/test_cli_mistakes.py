"""The command line and the user's mistakes: shown at their line, without a traceback."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import command_line as commands
import pytest
from command_line import LINES, MODEL, Run, line_of

model, run = commands.model, commands.run  # fixtures


@pytest.mark.parametrize(
    ("target", "message", "line"),
    [
        ("model.py:other", "error[GC912]: `model.py` has no `other`", None),
        ("model.py:number", "`number` of `model.py` gives a `int`, which is not compiled", None),
        ("model.py:samples", "`samples` of `model.py` needs `rows`, `seed`", "def samples"),
        ("model.py:fails", "NameError: name 'undefined_name' is not defined", "undefined_name"),
        ("model.py:deep", "ValueError: cannot reshape array of size 3", ".reshape(2, 2)"),
        ("model.py:broken", "inner axes", "x @ x"),
        ("missing.py", "there is no file `missing.py`", None),
    ],
)
def test_a_mistake_is_shown_at_its_line(
    run: Run, target: str, message: str, line: str | None
) -> None:
    status, out, err = run("build", target)
    assert (status, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    if line is not None:
        number = line_of(line)
        assert re.search(rf" --> model\.py:{number}:\d+", err)
        assert f"{number} | {LINES[number - 1]}" in err
        assert "^" in err
    status, out, _ = run("build", target, "--json")
    error = json.loads(out)["error"]
    assert status == 1
    assert message.removeprefix("error[GC912]: ") in error["message"]
    if line is not None:
        assert error["labels"][0]["line"] == line_of(line)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("x = (1,\ny = 2\n", "SyntaxError: '(' was never closed", 1),
        ("import numpy\nfoo bar\n", "SyntaxError: invalid syntax", 2),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'", 1),
        ("import gradc as gd\nx = gd.f32[4]\ny = 1 / 0\n", "ZeroDivisionError", 3),
        ("raise KeyError('k')\n", "KeyError: 'k'", 1),
    ],
)
def test_a_file_that_does_not_run(
    run: Run, model: Path, text: str, message: str, line: int
) -> None:
    (model / "bad.py").write_text(text)
    status, _, err = run("build", "bad.py")
    assert status == 1
    assert message in err
    assert f" --> bad.py:{line}:" in err


def test_a_training_step_is_needed(run: Run) -> None:
    for command in ("train", "check"):
        status, _, err = run(command, "model.py:compiled")
        assert status == 1
        assert "`compiled` of `model.py` is a `Function`: not a training step" in err


def test_a_wrong_model_is_shown_at_the_line_of_the_model(run: Run, model: Path) -> None:
    (model / "model.py").write_text(MODEL.replace("gd.f32[8, 3]", "gd.f32[8, 4]"))
    status, _, err = run("train", "model.py")
    number = line_of("error = x @")
    assert status == 1
    assert f" --> model.py:{number}:" in err
    assert f"{number} | {LINES[number - 1]}" in err


def test_the_whole_traceback_can_be_had(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in run("build", "model.py:fails")[2]
    monkeypatch.setenv("GRADC_TRACEBACK", "full")
    _, _, err = run("build", "model.py:fails")
    assert "Traceback (most recent call last)" in err
    assert "NameError" in err


def test_a_file_may_import_what_lies_beside_it_and_have_any_name(run: Run, model: Path) -> None:
    (model / "deep").mkdir()
    (model / "deep" / "beside.py").write_text(MODEL)
    (model / "deep" / "random.py").write_text("from beside import step\n")
    before = sys.modules.get("random")
    assert run("inspect", "deep/random.py")[0] == 0
    assert sys.modules.get("random") is before


def test_a_missing_compiler_is_said_before_anything_is_traced(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "model.py").write_text(
        MODEL.replace("def loss(", "def loss(*_):\n    raise SystemExit('traced')\n\n\ndef other(")
    )
    assert "traced" in (model / "model.py").read_text()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("gradc.toolchain.compilers._zig_command", lambda: ("zig", "cc"))
    for command in ("build", "train", "check"):
        status, out, err = run(command, "model.py")
        assert (status, out) == (1, "")
        assert "no C compiler was found" in err
        assert "pip install ziglang" in err
        assert "apt-get install gcc" in err
