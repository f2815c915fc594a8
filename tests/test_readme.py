"""What the README shows works: its Python runs as printed, and its contributor's row is enough."""

from __future__ import annotations

import functools
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import gradc as gd

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python_blocks(heading: str) -> list[str]:
    """The Python blocks of the README's section `heading`."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def test_the_model_of_the_readme_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = {
        "x_all": rng.random((128, 784)).astype(np.float32),
        "y_all": rng.integers(0, 10, 128).astype(np.int32),
        "order": np.arange(128).reshape(2, 64),
    }
    names |= {"x_batch": names["x_all"][:64], "y_batch": names["y_all"][:64]}
    for block in python_blocks("A model"):
        exec(compile(block, "README.md", "exec"), names)
    assert np.isfinite(names["loss_value"])
    assert (tmp_path / "out" / "mnist.c").is_file()
    value, gradients = names["f"](3.0, 5.0, 2.0)
    assert (float(value), [float(g) for g in gradients]) == (16.0, [2.0, 2.0, 8.0])
    assert "mul" in capsys.readouterr().out


def excerpt_of(source: str) -> str:
    """One kernel of the C of examples/mnist.py, and the calls of `mnist_step` from its first on."""
    kernel = re.search(r"/\* fc1_relu .*?\n}\n", source, flags=re.DOTALL)
    calls = re.search(r"float mnist_step\(.*?(    float loss;\n.*?\n}\n)", source, flags=re.DOTALL)
    assert kernel is not None
    assert calls is not None
    return f"{kernel[0]}\n...\n\n{calls[1]}"


def test_the_c_of_the_readme_is_what_is_generated(monkeypatch, request):
    monkeypatch.syspath_prepend(ROOT / "examples")
    mnist = importlib.import_module("mnist")
    avx512 = functools.partial(gd.train_step, target="avx512")
    monkeypatch.setattr(gd, "train_step", avx512)
    before, start, rest = README.partition("```c\n")
    shown, end, after = rest.partition("```\n")
    excerpt = excerpt_of(mnist.step().source)
    if request.config.getoption("--renew-golden"):
        text = f"{before}{start}{excerpt}{end}{after}"
        (ROOT / "README.md").write_text(text, encoding="utf-8")
        shown = excerpt
    assert shown == excerpt, "the C changed; if that is meant, run pytest with --renew-golden"


def test_the_two_commands_are_where_the_checks_look_for_them():
    for heading, command in (
        ("Install and train", "pip install . && gradc train examples/mnist.py"),
        ("Install and test", 'pip install -e ".[dev]" && python -m pytest'),
    ):
        assert README.split(f"\n## {heading}\n")[1].split("```sh\n")[1].startswith(command + "\n")


def test_one_row_is_all_there_is_to_a_new_op(tmp_path):
    """The README's `softplus`, put at the end of the file it belongs to, in a copy of the tree."""
    for folder in ("gradc", "runtime", "tests"):
        skip = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copytree(tmp_path / "runtime", tmp_path / "gradc" / "runtime")
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    (row,) = python_blocks("Contributing")
    with (tmp_path / "gradc" / "ops" / "elementwise.py").open("a", encoding="utf-8") as table:
        table.write(f"\n{row}")
    command = [sys.executable, "-m", "pytest", "tests/test_ops.py", "-k", "softplus", "-v"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 3
    use = (
        "import gradc as gd, numpy as np\n"
        "f = gd.compile(gd.grad(lambda x: gd.softplus(x).sum()), gd.f64[2])\n"
        "assert np.allclose(f(np.array([0.0, 1.0])), [0.5, 1 / (1 + np.exp(-1.0))])\n"
        "print(gd.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", use], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=300
    )
    assert done.returncode == 0
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
