"""What a training step is made of, checked before anything is traced.

Enters: what a user gave `train_step`: loss, model, optimizer, specs of a batch, `predict`. Leaves:
nothing, or an error that says what to give instead. Always holds: what passes has the interface
that `Recipe` uses; what it computes shows only when it is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import Spec
from ..errors import ArgumentError, Label, TraceError, fail
from ..trace import spec_of
from ..trace.given import described, dtype_meant, need_arguments, need_function, need_specs
from ..trace.source import place_of_result
from ..tree import flatten, is_array, is_nested


def check_ingredients(
    loss: Any, model: Any, optimizer: Any, specs: Sequence[Any], predict: Any
) -> None:
    """Raise `ArgumentError` unless a training step can be made of these."""
    if is_nested(loss) and callable(model) and not is_nested(model):
        raise fail(
            ArgumentError,
            "GC518",
            "`train_step` takes the loss first, then the model: they are exchanged",
            helps=("write `gd.train_step(loss, model, optimizer, ...)`",),
        )
    need_function(loss, "train_step")
    _check_model(model)
    check_optimizer(optimizer)
    _check_specs(specs)
    need_arguments(loss, len(specs), first="the model")
    if predict is not None:
        _check_predict(predict)


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise fail(
            ArgumentError,
            "GC518",
            f"the model is {described(model)}, not an instance of it",
            helps=(f"make one: `{model.__name__}()`",),
        )
    if type(model).__module__.partition(".")[0] == "torch":
        raise fail(
            ArgumentError,
            "GC518",
            f"the model is a `{type(model).__name__}` of PyTorch, which cannot be traced",
            helps=("write it as an `nn.Module` of gradc: layers have the same names",),
        )
    leaves, tree = flatten(model)
    for path, leaf in zip(tree.paths(), leaves, strict=True):
        if is_array(leaf) and not isinstance(leaf, (np.ndarray, np.generic, Spec)):
            named = f"`{path}` of the model" if path else "the model"
            raise fail(
                ArgumentError,
                "GC518",
                f"{named} is a `{type(leaf).__module__.partition('.')[0]}` array",
                helps=("convert it to a NumPy array: `np.asarray(...)`, after `.detach()`",),
            )


def check_optimizer(optimizer: Any) -> None:
    """Raise unless it has `init` and `update`."""
    if isinstance(optimizer, type):
        name = optimizer.__name__
        raise fail(
            ArgumentError,
            "GC519",
            f"the optimizer is {described(optimizer)}, not an instance of it",
            helps=(f"make one: `{name}()`, or `{name}(lr=0.1)`",),
        )
    if all(callable(getattr(optimizer, name, None)) for name in ("init", "update")):
        return
    example = "`gd.optim.SGD(lr=0.1)`"
    if isinstance(optimizer, Spec) or dtype_meant(optimizer) or is_array(optimizer):
        message = f"`train_step` needs an optimizer after the model, got {_shown(optimizer)}"
    elif type(optimizer).__module__.partition(".")[0] == "torch":
        message = "an optimizer of PyTorch cannot be traced"
    else:
        message = f"{described(optimizer)} is no optimizer: it has no `init` and `update`"
    helps = (f"pass an optimizer: {example}",)
    raise fail(ArgumentError, "GC519", message, helps=helps)


def _shown(value: Any) -> str:
    return f"the spec {value!r}" if isinstance(value, Spec) else described(value)


def _check_specs(specs: Sequence[Any]) -> None:
    """Each argument of the loss is one array by itself."""
    for spec in specs:
        if isinstance(spec, tuple) and spec and all(isinstance(n, int) for n in spec):
            extents = ", ".join(map(str, spec))
            message = f"the tuple {spec} has no dtype, so it is no spec"
            raise fail(ArgumentError, "GC516", message, helps=(f"write `gd.f32[{extents}]`",))
    need_specs(specs, "train_step")
    for position, spec in enumerate(specs):
        if flatten(spec)[1].kind != "leaf":
            got = type(spec).__name__
            message = f"each argument of a training step is one array, got a `{got}`"
            help_ = f"give the parts of argument {position} one by one"
            if isinstance(spec, str):
                help_ = f"write a spec, such as `gd.f32[64, 784]`, instead of {spec!r}"
            raise fail(ArgumentError, "GC516", message, helps=(help_,))


def batch_specs(specs: Sequence[Any]) -> tuple[Spec, ...]:
    """The specs of a batch."""
    return tuple(spec_of(spec, f"spec {k}") for k, spec in enumerate(specs))


def _check_predict(predict: Any) -> None:
    if is_nested(predict) or not callable(predict) or hasattr(predict, "__self__"):
        raise fail(
            ArgumentError,
            "GC514",
            "`predict` is a function of the model and its inputs, which this is not",
            helps=("pass the method of the class: `predict=MLP.__call__`",),
        )


def loss_and_metrics(loss: Callable[..., Any], result: Any) -> tuple[Any, dict[str, Any]]:
    """What a loss returned: a scalar, or a scalar and a dict of metrics."""
    if result is None:
        raise _at_result(
            loss,
            "GC509",
            "the loss returns nothing",
            "return a scalar: `return nn.cross_entropy(model(x), y)`",
        )
    if isinstance(result, (list, dict)):
        raise _at_result(
            loss,
            "GC509",
            f"a loss returns a scalar, or a scalar and a dict of metrics, got {described(result)}",
            'return `loss, {"name": metric}`',
        )
    if not isinstance(result, tuple):
        return result, {}
    if len(result) != 2 or not isinstance(result[1], dict):
        raise _at_result(
            loss,
            "GC509",
            "a loss returns a scalar, or a scalar and a dict of metrics, got a tuple of something "
            "else",
            'return `loss, {"name": metric}`; what is no scalar, `predict=` can give',
        )
    return result


def new_parameters(optimizer: Any, result: Any, trained: Sequence[str]) -> tuple[Any, Any]:
    """What an optimizer's `update` returned: the new parameters, and its own new state."""
    if not (isinstance(result, tuple) and len(result) == 2):
        got = "nothing" if result is None else described(result)
        raise _at_result(
            optimizer.update,
            "GC515",
            f"an optimizer's `update` returns the new parameters and its new state, got {got}",
            "return both: `return new_params, state`",
        )
    new, opt = result
    if not isinstance(new, dict) or set(new) != set(trained):
        odd = ", ".join(f"`{p}`" for p in sorted(set(new) ^ set(trained)))
        raise _at_result(
            optimizer.update,
            "GC515",
            f"an optimizer's `update` must return the parameters it was given: see {odd}",
            "return a dict with the keys of `params`",
        )
    return new, opt


def _at_result(fn: Callable[..., Any], code: str, message: str, help_: str) -> TraceError:
    """An error that points at where a function of the user's returns."""
    place = place_of_result(fn)
    labels = (Label(place),) if place is not None else ()
    return fail(TraceError, code, message, labels=labels, helps=(help_,))
