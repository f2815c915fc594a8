"""Every example runs by itself, and the main one learns what it promises to."""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import gradc as gd

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py"))


@pytest.fixture(autouse=True)
def import_from_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_by_itself_from_any_folder(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "\n" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_a_program_that_the_command_line_can_compile(name):
    step = importlib.import_module(name).step()
    assert f"{step.name}_step(" in step.source
    assert step.build().path.exists()


def test_the_digits_are_learnt_to_93_percent_in_the_median_of_three_seeds():
    mnist = importlib.import_module("mnist")
    train, test = mnist.data()
    assert (len(train[0]), len(test[0])) == (4000, 1000)
    accuracies = []
    for seed in range(3):
        trainer = gd.Trainer(mnist.step(seed=seed))
        trainer.fit(train, shuffle=True, seed=seed, progress=False, **mnist.fit)
        accuracies.append(trainer.evaluate(test)["accuracy"])
    assert statistics.median(accuracies) > 0.93


def test_a_transformer_reads_digits_and_its_average_too():
    transformer = importlib.import_module("transformer")
    train, test = transformer.data()
    trainer = gd.Trainer(transformer.step())
    trainer.fit(train, shuffle=True, seed=0, progress=False, **transformer.fit)
    assert trainer.evaluate(test)["accuracy"] > 0.92
    for name in trainer.step.params:
        trainer.step.params[name] = trainer.step.state[f"opt.average.{name}"]
    assert trainer.evaluate(test)["accuracy"] > 0.92
