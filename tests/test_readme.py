"""What the README shows works: each block of it is run, and what it shows is compared."""

from __future__ import annotations

import functools
import importlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from readme import Block, blocks, run_python, run_shell

import gradc as gd
from gradc.ops import OPS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = list(blocks(README))

RUN = "run"
HOW = {
    "Install and train 1": "run by .ci/run in a fresh environment",
    "Install and test 1": "run by .ci/run in a fresh environment",
    "A model 1": RUN,
    "A model 2": RUN,
    "Any function 1": RUN,
    "What the C looks like 1": "compared with what is generated",
    "In a C or C++ program 1": "compiled against the header that is generated",
    "The command line 1": RUN,
    "How it works 1": "a picture",
    "Contributing 1": "compared with the file it is in",
}
"""Every block, and how it is tested or why not; blocks that are run share names and files with
those before them under the same heading."""


def the_block(name: str) -> Block:
    return next(b for b in BLOCKS if b.name == name)


def test_every_block_is_run_or_says_why_not() -> None:
    assert [b.name for b in BLOCKS] == list(HOW), "give each block its line in HOW"


@pytest.mark.parametrize("heading", dict.fromkeys(b.heading for b in BLOCKS if HOW[b.name] == RUN))
def test_blocks_run_and_show_what_they_say(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=skip)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if block.heading == heading and HOW[block.name] == RUN:
            if block.language == "python":
                run_python(block, names)
            else:
                run_shell(block, tmp_path)


@pytest.mark.parametrize("name", [n for n, how in HOW.items() if ".ci/run" in how])
def test_the_check_of_a_change_takes_its_commands_from_here(name: str) -> None:
    block, checks = the_block(name), (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'readme_command "{block.heading}"' in checks
    assert block.number == 1
    assert block.language == "sh"
    assert block.text.startswith("pip install ")
    assert block.text.count("\n") == 1


def excerpt_of(source: str) -> str:
    """One kernel of the C of examples/mnist.py, and the calls of `mnist_step` from its first on."""
    kernel = re.search(r"/\* fc1_relu .*?\n}\n", source, flags=re.DOTALL)
    calls = re.search(r"int mnist_step\(.*?(    /\* Forward pass.*?\n}\n)", source, flags=re.DOTALL)
    assert kernel is not None
    assert calls is not None
    return f"{kernel[0]}\n...\n\n{calls[1]}"


def test_the_c_of_the_readme_is_what_is_generated(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    mnist = importlib.import_module("mnist")
    avx512: Callable[..., gd.TrainStep] = functools.partial(gd.train_step, target="avx512")
    monkeypatch.setattr(gd, "train_step", avx512)
    block = the_block("What the C looks like 1")
    excerpt = excerpt_of(mnist.step().source)
    if request.config.getoption("--renew-golden"):
        text = README.replace(block.text, excerpt)
        (ROOT / "README.md").write_text(text, encoding="utf-8")
    else:
        assert block.text == excerpt, "the C changed; if that is meant, run with --renew-golden"


def test_the_row_of_the_readme_is_all_there_is_to_its_op() -> None:
    row = the_block("Contributing 1").text
    (name,) = re.findall(r'^op\("(\w+)"', row)
    assert row in (ROOT / "gradc" / "ops" / "elementwise.py").read_text(encoding="utf-8")
    words = {name, OPS[name].reference.__name__}
    for file in (ROOT / "gradc").rglob("*.py"):
        found = words & set(re.findall(r"\w+", file.read_text(encoding="utf-8")))
        where = f"{file.parent.name}/{file.name}"
        # The second file lists what a name in C must not hide.
        assert not found or where in ("ops/elementwise.py", "lower/reserved.py"), where
    assert callable(getattr(gd, name))


@pytest.mark.parametrize(
    ("shown", "got"),
    [("1 + 1  # -> 3", "2"), ("print('a')  # -> b", "a"), ("(1,\n 2)  # -> (1, 3)", r"\(1, 2\)")],
)
def test_a_result_that_is_shown_wrongly_is_noticed(shown: str, got: str) -> None:
    (block,) = blocks(f"## Heading\n\n```python\n{shown}\n```\n")
    with pytest.raises(AssertionError, match=f"which is {got}"):
        run_python(block, {})


def test_blocks_are_found() -> None:
    text = "## One\n\n    a\n      b\n\ntext\n\n```sh\nc\n\n    d\n```\n\n## Two\n```\ne\n```"
    found = [(b.name, b.language, b.text, b.line) for b in blocks(text)]
    assert found == [
        ("One 1", "", "a\n  b\n", 3),
        ("One 2", "sh", "c\n\n    d\n", 9),
        ("Two 1", "text", "e\n", 16),
    ]


def test_the_c_program_of_the_readme_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    monkeypatch.syspath_prepend(ROOT / "examples")
    importlib.import_module("mnist").step().export(tmp_path)
    (tmp_path / "own.c").write_text(the_block("In a C or C++ program 1").text, encoding="utf-8")
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "own.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
