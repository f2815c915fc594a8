"""The package as a user gets it: what an import loads, its names, its headers, its command."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gradc
import gradc.nn
import gradc.optim
from gradc.emit.needs import RUNTIME

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"networkx", "cffi", "safetensors", "tqdm", "platformdirs", "filelock", "torch", "jax"}


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`, its output unseen."""
    script = (
        f"import contextlib, io, json, sys\nwith contextlib.redirect_stdout(io.StringIO()):\n"
        f"    {code}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_import_loads_nothing_heavy() -> None:
    assert modules_after("import gradc") & HEAVY == set()


def test_defining_a_model_loads_nothing_heavy() -> None:
    code = "from gradc import f32, nn, optim; nn.Linear(2, 3); optim.SGD(lr=0.1); f32[2, 3]"
    assert modules_after(code) & HEAVY == set()


def test_help_loads_neither_numpy_nor_networkx() -> None:
    code = "import gradc.cli\n    with contextlib.suppress(SystemExit): gradc.cli.main(['--help'])"
    loaded = modules_after(code)
    assert "gradc" in loaded
    assert loaded & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize("name", [n for n in dir(gradc) if not n.startswith("_")])
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(gradc, name) is not None or name == "newaxis"


def test_the_documented_names_are_public() -> None:
    documented = """
        f32 f64 i32 i64 u8 bool_ spec Spec trace compile jit grad value_and_grad vjp stop_gradient
        check_grad train_step program query update Trainer nn optim exp log sum max matmul
        permute_dims where reshape GradcError TraceError ShapeError DTypeError UnsupportedError
        DataError CheckpointError BuildError NonFiniteError
    """.split()
    assert [n for n in documented if n not in dir(gradc)] == []


SURFACES = (gradc, gradc.nn, gradc.optim, gradc.nn.init)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda m: m.__name__)
def test_dir_shows_the_interface_alone(surface: ModuleType) -> None:
    importlib.import_module("gradc.cli.doctor")  # whatever else has been imported
    public = [name for name in dir(surface) if name != "__version__"]
    assert sorted(set(public)) == sorted(public)
    for name in public:
        found = getattr(surface, name)
        assert not name.startswith("_")
        package = f"{surface.__name__}."
        assert not isinstance(found, ModuleType) or name in ("nn", "optim", "init", "schedules"), (
            name
        )
        own = getattr(found, "__module__", package)
        assert own.startswith(("gradc", "builtins", "collections")), (name, own)


@pytest.mark.parametrize(
    ("surface", "name", "near"),
    [
        (gradc, "no_such_name", None),
        (gradc, "tensor", None),
        (gradc, "sofmax", "softmax"),
        (gradc, "trainer", "Trainer"),
        (gradc, "concatenate", "concat"),  # as NumPy calls it
        (gradc, "arccos", "acos"),
        (gradc, "true_divide", "divide"),
        (gradc.nn, "Conv2d", None),
        (gradc.nn, "Lineer", "Linear"),
        (gradc.nn, "cross_entropi", "cross_entropy"),
        (gradc.optim, "Adm", "Adam"),
        (gradc.optim, "Shampoo", None),
        (gradc.nn.init, "he_unifrom", "he_uniform"),
    ],
)
def test_an_unknown_name_lists_what_there_is(
    surface: ModuleType, name: str, near: str | None
) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(surface, name)
    first, *listed = str(caught.value).splitlines()
    advice = "" if near is None else f"; use `{near}`"
    assert first == f"module `{surface.__name__}` has no attribute `{name}`{advice}"
    words = {word for line in listed for word in line.split()}
    assert {n for n in dir(surface) if n != "__version__"} <= words


def test_names_that_only_tools_ask_for_are_refused_without_a_word() -> None:
    for surface in SURFACES:
        with pytest.raises(AttributeError) as caught:
            surface.__wrapped__  # noqa: B018
        assert "\n" not in str(caught.value)


def test_the_headers_are_found_as_package_resources() -> None:
    folder = importlib.resources.files("gradc.runtime")
    found = {f.name for f in folder.iterdir() if f.name.endswith(".h")}
    assert found == {f.name for f in (ROOT / "runtime").glob("*.h")}
    assert "gradc_math.h" in found


def test_it_is_known_which_headers_of_the_runtime_include_which() -> None:
    texts = {f.name: f.read_text(encoding="utf-8") for f in (ROOT / "runtime").glob("*.h")}
    found = {name: re.findall(r'#include "(.*)"', text) for name, text in texts.items()}
    assert found == {name: list(inner) for name, inner in RUNTIME.items()}


def test_run_time_dependencies_are_the_documented_ones() -> None:
    requires = importlib.metadata.requires("gradc") or []
    names = {re.split(r"[^\w-]", r)[0] for r in requires if "extra ==" not in r}
    assert names == HEAVY - {"torch", "jax"} | {"numpy"}


def test_the_command_is_installed() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="gradc")
    assert script.value == "gradc.cli:main"
