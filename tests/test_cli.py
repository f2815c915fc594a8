"""The command line: what it prints where, its exit status, and how it takes mistakes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradc.cli import console as consoles
from gradc.cli import main

ROOT = Path(__file__).resolve().parent.parent

MODEL = """
import numpy as np
import gradc as gd
from gradc import optim


def loss(p, x, y):
    error = x @ p["w"] + p["b"] - y
    return (error**2).mean(), {"worst": abs(error).max()}


def predict(p, x):
    return x @ p["w"] + p["b"]


def step(seed=0):
    rng = np.random.default_rng(seed)
    p = {"w": rng.normal(size=3).astype(np.float32), "b": np.float32(0)}
    optimizer = optim.SGD(lr=0.05, momentum=0.9)
    return gd.train_step(
        loss, p, optimizer, gd.f32[8, 3], gd.f32[8], predict=predict, name="line")


def samples(rows, seed):
    x = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    return x, (x @ np.array([1.0, -2.0, 0.5]) + 3).astype(np.float32)


def data():
    return samples(43, 0), samples(11, 1)


def broken():
    return gd.compile(lambda x: x @ x, gd.f32[2, 3])


def needs(rows):
    return rows


def fails():
    return undefined_name


def deep():
    return np.zeros(3).reshape(2, 2)


def both(x):
    return x * 2


compiled = gd.compile(both, gd.f32[4], name="twice")
number = 3
fit = {"epochs": 3, "shuffle": True}
"""

LINES = MODEL.splitlines()


def line_of(text: str) -> int:
    return next(i for i, line in enumerate(LINES, 1) if text in line)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file in a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def run(model: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run(*words)` calls the command line: status, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return call


Run = Callable[..., tuple[int, str, str]]


def python(*words: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, **options
    )


# Usage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["build", "--help"], ["train", "--help"]])
def test_help_is_quick(tmp_path: Path, words: list[str]) -> None:
    script = textwrap.dedent(f"""
        import sys
        from gradc.cli import main
        try:
            main({words})
        except SystemExit as stop:
            assert stop.code == 0
        heavy = {{"numpy", "networkx", "cffi", "safetensors", "tqdm"}} & set(sys.modules)
        print("heavy:", sorted(heavy))
    """)
    done = python("-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: gradc")
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["build"],
        ["build", "model.txt"],
        ["build", "model.py:not a name"],
        ["build", "model.py", "--fast"],
        ["train", "model.py", "--epochs", "0"],
        ["train", "model.py", "--epochs", "many"],
        ["train", "model.py", "--seed", "-1"],
        ["inspect", "model.py", "--c", "--graph"],
        ["inspect", "model.py", "--at", "model.py"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert "usage: gradc" in err


def test_python_m_gradc_is_the_command_line(tmp_path: Path) -> None:
    assert python("-m", "gradc", "--help", cwd=tmp_path).stdout.startswith("usage: gradc")
    done = python("-m", "gradc", "build", "missing.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error[GC911]: there is no file `missing.py`\n"


# build ------------------------------------------------------------------------------------------


def test_build_says_what_each_stage_did(run: Run) -> None:
    status, out, err = run("build", "model.py:step")
    assert (status, out) == (0, "")
    lines = err.splitlines()
    verbs = ["Traced", "Derived", "Planned", "Emitted", "Compiled", "Finished"]
    assert [line[:12].strip() for line in lines] == verbs
    for line, verb in zip(lines, verbs, strict=True):
        assert line[:13] == f"{verb:>12} "
    assert "2 parameters (4 scalars)" in lines[0]
    assert re.search(r" \d+\.\d m?s$", lines[0])
    assert "\x1b" not in err


def test_build_as_json_and_into_a_folder(run: Run, model: Path) -> None:
    status, out, err = run("build", "model.py", "-o", "built", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["name"] == "line"
    assert Path(data["library"]).is_file()
    assert [s["verb"] for s in data["stages"]][:2] == ["Traced", "Derived"]
    assert {"line.c", "line.h", "main.c"} <= {p.name for p in (model / "built").iterdir()}
    written = sorted(str(Path("built") / p.name) for p in (model / "built").iterdir())
    assert sorted(data["files"]) == written
    assert err.splitlines()[-1].split() == ["Finished", "built"]


def test_a_compiled_object_can_be_named(run: Run) -> None:
    status, out, _ = run("build", "model.py:compiled", "--json")
    assert (status, json.loads(out)["name"]) == (0, "twice")


# train ------------------------------------------------------------------------------------------


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
        (("samples(43, 0), samples(11, 1)", "samples(43, 0)[:1]"), "data has 1 arrays"),
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


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_saves_says_how_to_resume_and_is_status_130(model: Path) -> None:
    words = ["-m", "gradc", "train", "model.py", "--epochs", "100000", "--out", "parts"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command, options = [sys.executable, *words], {"cwd": model, "env": env, "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch=3 "):
                process.send_signal(signal.SIGINT)
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


# inspect ----------------------------------------------------------------------------------------


def test_inspect_shows_the_c(run: Run) -> None:
    status, out, err = run("inspect", "model.py:step", "--c")
    assert (status, err) == (0, "")
    assert out.startswith("/* line.c: generated by gradc")
    status, as_json, _ = run("inspect", "model.py:step", "--c", "--json")
    data = json.loads(as_json)
    assert data["source"] == out
    assert "line_step(" in data["header"]


def test_inspect_needs_no_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("gradc.toolchain.compilers._zig_command", lambda: ("zig", "cc"))
    assert run("inspect", "model.py")[0] == 0
    status, _, err = run("build", "model.py")
    assert status == 1
    assert "no C compiler was found" in err
    assert "apt-get install gcc" in err


def test_inspect_shows_graph_memory_kernels_and_nodes(run: Run) -> None:
    shown = {}
    for option in ("graph", "memory", "kernels"):
        status, out, _ = run("inspect", "model.py", f"--{option}")
        status_json, as_json, _ = run("inspect", "model.py", f"--{option}", "--json")
        assert status == status_json == 0
        shown[option] = (out, json.loads(as_json))
    text, graph = shown["graph"]
    assert len(text.splitlines()) == len(graph["nodes"]) + 1
    assert f"model.py:{line_of('error = x @')}" in text
    text, memory = shown["memory"]
    assert all(b["name"] in text for b in memory["buffers"])
    text, kernels = shown["kernels"]
    assert all(k["name"] in text for k in kernels["kernels"])

    node = next(n for n in graph["nodes"] if n["op"] == "dot")
    _, out, _ = run("inspect", "model.py", "--node", str(node["id"]))
    assert out.startswith(f"#{node['id']} dot")
    assert "error = x @" in out
    _, out, _ = run("inspect", "model.py", "--node", str(node["id"]), "--json")
    assert json.loads(out)["nodes"] == [node]

    line = line_of("error = x @")
    _, out, _ = run("inspect", "model.py", "--at", f"model.py:{line}")
    assert out.count("\n\n") >= 1
    _, out, _ = run("inspect", "model.py", "--at", f"model.py:{line}", "--json")
    found = json.loads(out)["nodes"]
    assert node in found
    assert all(n["source"]["line"] == line for n in found)


def test_the_summary_and_one_entry_point(run: Run) -> None:
    _, out, _ = run("inspect", "model.py")
    assert [line.split()[0] for line in out.splitlines()] == [
        "line:",
        "entry",
        "step",
        "evaluate",
        "predict",
        "more:",
    ]
    _, out, _ = run("inspect", "model.py", "--json")
    assert list(json.loads(out)["entries"]) == ["step", "evaluate", "predict"]
    _, out, _ = run("inspect", "model.py", "--entry", "predict")
    assert out.startswith("predict\n")
    _, out, _ = run("inspect", "model.py", "--entry", "predict", "--graph")
    assert " mul " not in out  # the squares of the loss


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--node", "9999"], "has no node 9999"),
        (["--at", "model.py:1"], f"lines that do: {line_of('error = x @')}, "),
        (["--at", "other.py:1"], "no node comes from that file"),
        (["--entry", "fly"], "it has `step`, `evaluate`, `predict`"),
    ],
)
def test_what_is_not_there_is_an_error(run: Run, words: list[str], message: str) -> None:
    status, out, err = run("inspect", "model.py", *words)
    assert (status, out) == (1, "")
    assert message in err


@pytest.mark.skipif(os.name != "posix", reason="a pipe of POSIX")
def test_a_reader_that_leaves_early_is_no_error(model: Path) -> None:
    command = f"{sys.executable} -m gradc inspect model.py --c | head -n 1"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["sh", "-c", command], cwd=model, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("/* line.c")
    assert done.stderr == ""


# check and doctor -------------------------------------------------------------------------------


def test_check_compares_gradients_and_c(run: Run) -> None:
    status, out, _ = run("check", "model.py")
    assert status == 0
    assert "all ok" in out
    status, out, _ = run("check", "model.py", "--json")
    data = json.loads(out)
    assert (status, data["ok"]) == (0, True)
    assert {r["kind"] for r in data["rows"]} == {"gradient", "C"}
    assert {"w", "b"} <= {r["name"] for r in data["rows"]}


def test_a_check_that_fails_is_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradc.program import TrainStep
    from gradc.program.check import CheckReport, CheckRow

    report = CheckReport((CheckRow("w", "gradient", 0.5, False),))
    monkeypatch.setattr(TrainStep, "check", lambda self: report)
    status, out, _ = run("check", "model.py")
    assert status == 1
    assert "WRONG" in out


def test_the_doctor_finds_all_well(run: Run) -> None:
    status, out, _ = run("doctor")
    assert status == 0, out
    names = [line.split()[1] for line in out.splitlines()]
    assert {"python", "numpy", "compiler", "flags", "cache", "program", "speed"} <= set(names)
    status, out, _ = run("doctor", "--json")
    data = json.loads(out)
    assert data["ok"]
    assert all(f["ok"] for f in data["findings"])


def test_the_doctor_says_how_to_mend_what_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("gradc.cli.doctor.PACKAGES", ("numpy", "no-such-package"))
    status, out, _ = run("doctor", "--json")
    findings = {f["name"]: f for f in json.loads(out)["findings"]}
    assert status == 1
    assert findings["numpy"]["ok"]
    for name in ("compiler", "flags", "cache", "program", "speed", "no-such-package"):
        assert not findings[name]["ok"], name
    assert "`/nowhere/cc` (from `$CC`) was not found" in findings["compiler"]["value"]
    assert "GRADC_CACHE_DIR" in findings["cache"]["help"]
    assert findings["no-such-package"]["help"] == "install it: `pip install no-such-package`"
    status, out, _ = run("doctor")
    assert "MISSING  compiler" in out


# The user's mistakes ------------------------------------------------------------------------------


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


# Colour -----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_on_the_verb_only_and_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    consoles.Console(json=False).stage("Traced", "loss", "19 nodes", 0.0015)
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("\x1b[1;32m      Traced\x1b[0m loss ")
    assert text.count("\x1b") == 2
    monkeypatch.setenv("NO_COLOR", "1")
    assert not consoles.wants_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    assert consoles.wants_colour(Terminal())
    assert not consoles.wants_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not consoles.wants_colour(Terminal())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0015, "1.5 ms"), (0.78, "0.78 s"), (125.0, "2 min 5 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert consoles.duration(seconds) == text
