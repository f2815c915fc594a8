"""`help()` of everything public says what it takes, gives and raises."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import gradc as gd
from gradc import functions, nn, optim

MADE_BY_A_FUNCTION = (gd.Function, gd.Program, gd.TrainStep, gd.Graph, gd.Node, gd.GradientCheck)
"""Classes whose objects are made by functions, and never by the user."""
RAISE_NOTHING = {"positive", "ravel", "stop_gradient", "Module", "update"}
NOT_DIFFERENTIATED = set(
    "zeros ones zeros_like ones_like arange linspace eye broadcast_arrays asarray".split()
)


def surface() -> Iterator[tuple[str, Any]]:
    """Every public callable with its dotted name; exceptions and parts of them say less."""
    modules: dict[str, ModuleType] = {"gd": gd, "nn": nn, "nn.init": nn.init, "optim": optim}
    modules["optim.schedules"] = optim.schedules
    for prefix, module in modules.items():
        for name in dir(module):
            found = getattr(module, name)
            if inspect.isroutine(found) or (inspect.isclass(found) and not is_error(found)):
                yield f"{prefix}.{name}", found


def methods() -> Iterator[tuple[str, Any]]:
    """The public methods of what the user holds."""
    for kind in (gd.Function, gd.Program, gd.TrainStep, gd.Trainer, nn.Module, optim.SGD):
        for name, method in inspect.getmembers(kind, callable):
            if not name.startswith(("_", "tree_")):
                yield f"{kind.__name__}.{name}", method


def is_error(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, (Exception, gd.Diagnostic))


def parameters(function: Callable[..., Any]) -> list[str]:
    if function in MADE_BY_A_FUNCTION:
        return []
    names = inspect.signature(function).parameters
    return [n for n in names if n != "self" and not n.startswith("_")]


SURFACE = dict(surface())
METHODS = dict(methods())
ARRAY_FUNCTIONS = [f"gd.{name}" for name in functions.__all__]


@pytest.mark.parametrize("name", SURFACE | METHODS)
def test_the_first_line_says_what_it_is(name: str) -> None:
    text = inspect.getdoc((SURFACE | METHODS)[name])
    assert text, f"{name} has no docstring"
    first, *_ = text.splitlines()
    assert len(first) > 10
    assert first[-1] in ".:,"


@pytest.mark.parametrize("name", SURFACE | METHODS)
def test_each_parameter_is_named(name: str) -> None:
    function = (SURFACE | METHODS)[name]
    words = set(
        re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", inspect.getdoc(function) or "")))
    )
    assert [p for p in parameters(function) if p not in words] == []


@pytest.mark.parametrize("name", SURFACE)
def test_errors_are_named(name: str) -> None:
    function, text = SURFACE[name], inspect.getdoc(SURFACE[name]) or ""
    if function in MADE_BY_A_FUNCTION or name.split(".")[-1] in RAISE_NOTHING:
        return
    assert re.search(r"[Rr]aises?\b", text), f"{name} does not say what it raises"
    named = re.findall(r"`(\w+Error)`", text)
    assert named or name == "nn.Sequential"
    assert [e for e in named if not hasattr(gd, e)] == []


@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_an_array_function_names_dtypes_and_its_gradient(name: str) -> None:
    text = inspect.getdoc(SURFACE[name]) or ""
    assert re.search(r"dtype|float32|bools|integers", text)
    assert (
        name.removeprefix("gd.") in NOT_DIFFERENTIATED or "Gradient" in text or "gradient" in text
    )


@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_an_array_function_takes_arrays(name: str) -> None:
    """Traced values are no type that users name."""
    assert "Value" not in str(inspect.signature(SURFACE[name]))


LAYERS_AND_LOSSES = [n for n in SURFACE if n.startswith("nn.") and n.count(".") == 1]


@pytest.mark.parametrize("name", [n for n in LAYERS_AND_LOSSES if n[3:] not in RAISE_NOTHING])
def test_a_part_of_a_network_names_dtypes_and_its_gradient(name: str) -> None:
    text = inspect.getdoc(SURFACE[name]) or ""
    assert "radient" in text or name == "nn.Sequential"
    assert re.search(r"dtype|float32", text) or name == "nn.Sequential"


@pytest.mark.parametrize("name", SURFACE)
def test_it_is_what_it_is_called(name: str) -> None:
    """Its own name and module lead back to it: help, pickle and editors go by these."""
    found, own = SURFACE[name], name.split(".")[-1]
    if not inspect.isfunction(found) and not inspect.isclass(found):
        return
    renamed = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal"}
    assert found.__name__ == own or own in renamed
    module = inspect.getmodule(found)
    assert module is not None
    assert module.__name__.startswith("gradc")
    assert getattr(module, found.__qualname__) is found


def test_help_of_the_package_lists_the_interface() -> None:
    import pydoc

    text = pydoc.plain(pydoc.render_doc(gd))
    for name in ("train_step", "value_and_grad", "nn", "softmax", "exp", "Trainer"):
        assert re.search(rf"\b{name}\b", text), name
    assert "exp(x" in pydoc.plain(pydoc.render_doc(gd.exp))
