"""`gradc train`: build, fit, test, and leave everything in one folder.

Enters: a file with `step` and `data`. Leaves: <name>.c with its headers, <name>.plan.txt,
<name>.safetensors and metrics.jsonl in a folder. Always holds: the command line wins over the
file's `fit`, which wins over defaults.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import GradcError, fail
from ..program import TrainStep
from ..train import Trainer
from ..train.history import History, Record
from ..train.interrupt import ctrl_c_interrupts
from .build import build
from .console import Console, duration
from .target import call, training_step

DEFAULT_EPOCHS = 10
# What a file's `fit` may say; the rest of `Trainer.fit` is the command's own business.
FIT_OPTIONS = ("epochs", "shuffle", "seed", "drop_last", "lr")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The command."""
    with ctrl_c_interrupts():
        return train(arguments, console)


def train(arguments: argparse.Namespace, console: Console) -> int:
    """Build, fit, test and report; returns the status."""
    path, name = arguments.target
    module, step = training_step(path, name, seed=arguments.seed)
    training, test = data_of(module, path)
    options = fit_options(module, path, arguments)
    if arguments.batch is not None and arguments.batch != step.batch:
        step = step.for_batch(arguments.batch)
    build(step, console)
    out = Path(arguments.out or f"runs/{step.name}")
    files = write_program(step, out)
    files["checkpoint"] = str(out / f"{step.name}.safetensors")
    files["record"] = str(out / "metrics.jsonl")
    trainer = Trainer(step)
    try:
        history = trainer.fit(training, checkpoint=out, resume=arguments.resume, **options)
    except KeyboardInterrupt as stop:
        if trainer.checkpoint is not None:
            stop.__notes__ = [f"continue with `{resume_command(arguments)}`"]
        raise
    tested = None if test is None else trainer.evaluate(test)
    console.stage("Finished", str(out))
    report(console, history, tested, files)
    return 0


def report(
    console: Console, history: History, tested: Record | None, files: dict[str, str]
) -> None:
    """What came of it, and where it is."""
    seconds = sum(history["seconds"])
    rows = {"training time": f"{duration(seconds)}, {plural(len(history), 'epoch')}"}
    last = history.records[-1] if history.records else {}
    measured = {k: v for k, v in last.items() if k not in ("epoch", "seconds") and k[:4] != "val_"}
    for kind, record in (("training", measured), ("test", tested or {})):
        for name, value in record.items():
            rows[f"{kind} {name}"] = percent(value) if name == "accuracy" else f"{value:.4f}"
    rows |= files
    width = max(map(len, rows))
    text = "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())
    data = {"epochs": len(history), "seconds": seconds, "training": last, "test": tested}
    console.data(text, {**data, "files": files})


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def percent(value: float) -> str:
    return f"{value:.2%}"


def write_program(step: TrainStep, out: Path) -> dict[str, str]:
    """Write the C, the headers it needs and the report of the plan; where the two main ones are."""
    step.export(out)
    plan = out / f"{step.name}.plan.txt"
    parts = [f"{entry}\n{memory.report()}" for entry, memory in step.plans.items()]
    plan.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return {"C": str(out / f"{step.name}.c"), "plan": str(plan)}


def data_of(module: ModuleType, path: str) -> tuple[Any, Any]:
    """What to train on and what to test on (or None), from the file's `data()`."""
    if not callable(getattr(module, "data", None)):
        raise fail(
            GradcError,
            "GC921",
            f"`{path}` has no function `data`",
            helps=("let `data()` return `(x_train, y_train), (x_test, y_test)`, or `x, y`",),
        )
    found = call(module.data, path)
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], tuple):
        return found
    return found, None


def fit_options(module: ModuleType, path: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `Trainer.fit`: the file's `fit`, and over it what the command line says."""
    own = getattr(module, "fit", {})
    unknown = [k for k in own if k not in FIT_OPTIONS] if isinstance(own, dict) else [own]
    if unknown:
        raise fail(
            GradcError,
            "GC922",
            f"`fit` of `{path}` may set {', '.join(FIT_OPTIONS)}, got {unknown[0]!r}",
            helps=('write it as a dict, such as `fit = {"epochs": 10}`',),
        )
    said = {"epochs": arguments.epochs, "seed": arguments.seed, "lr": arguments.lr}
    return {"epochs": DEFAULT_EPOCHS, **own, **{k: v for k, v in said.items() if v is not None}}


def resume_command(arguments: argparse.Namespace) -> str:
    """The command that continues this run."""
    path, name = arguments.target
    words = ["gradc", "train", path if name == "step" else f"{path}:{name}"]
    for option in ("epochs", "batch", "seed", "lr", "out"):
        if getattr(arguments, option) is not None:
            words += [f"--{option}", str(getattr(arguments, option))]
    return shlex.join([*words, "--resume"])
