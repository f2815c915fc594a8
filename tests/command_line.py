"""The command line on a small model file: what its tests share.

`model` and `run` are fixtures: a test file names them as its own. `python` runs a command line in a
process of its own. `MODEL` is the model file's text, `line_of` finds a line in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    """A command line in a process of its own, which has two minutes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = {"timeout": 120, **options}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, **options
    )
