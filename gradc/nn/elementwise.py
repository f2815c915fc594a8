"""Activations as layers, for `nn.Sequential` and for those who write them so.

Enters: an activation function. Leaves: a class whose objects hold the function's options and call
it. Always holds: a class has the name and the options of PyTorch's, and nothing to train but
`PReLU`'s weight.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..dtypes import F32
from ..errors import user_errors
from . import activations as act
from .init import constant
from .module import Module


class _Activation(Module):
    """A layer that calls `function` with the options it was made with."""

    function: Callable[..., Any]
    signature: inspect.Signature

    @user_errors
    def __init__(self, *options: Any, **named: Any) -> None:
        given = type(self).signature.bind(*options, **named)
        given.apply_defaults()
        self.options = dict(given.arguments)

    @user_errors
    def __call__(self, x: Any) -> Any:
        return type(self).function(x, **self.options)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({options})"


def _layer(name: str, function: Callable[..., Any]) -> type[_Activation]:
    """The class of an activation, called `name`."""
    _, *options = inspect.signature(function).parameters.values()
    signature = inspect.Signature(options)
    doc = f"`nn.{function.__name__}` as a layer.\n\n{inspect.getdoc(function)}"
    return type(
        name,
        (_Activation,),
        {
            "__doc__": doc,
            "__module__": __name__,
            "__signature__": signature,
            "signature": signature,
            "function": staticmethod(function),
        },
    )


CELU = _layer("CELU", act.celu)
ELU = _layer("ELU", act.elu)
GELU = _layer("GELU", act.gelu)
GLU = _layer("GLU", act.glu)
Hardshrink = _layer("Hardshrink", act.hardshrink)
Hardsigmoid = _layer("Hardsigmoid", act.hardsigmoid)
Hardswish = _layer("Hardswish", act.hardswish)
Hardtanh = _layer("Hardtanh", act.hardtanh)
LeakyReLU = _layer("LeakyReLU", act.leaky_relu)
LogSigmoid = _layer("LogSigmoid", act.log_sigmoid)
LogSoftmax = _layer("LogSoftmax", act.log_softmax)
Mish = _layer("Mish", act.mish)
ReLU = _layer("ReLU", act.relu)
ReLU6 = _layer("ReLU6", act.relu6)
SELU = _layer("SELU", act.selu)
SiLU = _layer("SiLU", act.silu)
Sigmoid = _layer("Sigmoid", act.sigmoid)
Softmax = _layer("Softmax", act.softmax)
Softmin = _layer("Softmin", act.softmin)
Softplus = _layer("Softplus", act.softplus)
Softshrink = _layer("Softshrink", act.softshrink)
Softsign = _layer("Softsign", act.softsign)
Tanh = _layer("Tanh", act.tanh)
Tanhshrink = _layer("Tanhshrink", act.tanhshrink)
Threshold = _layer("Threshold", act.threshold)


class PReLU(Module):
    """A layer that computes `nn.prelu` with a `weight` to train.

    `weight` is [`num_parameters`], of `dtype`, float32 or float64, and starts at `init`. Gradients
    are those of `nn.prelu`. Raises `ShapeError` if the number of weights is neither 1 nor the
    extent of axis 1.
    """

    @user_errors
    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: object = F32) -> None:
        self.weight: Any = constant(num_parameters, init, dtype=dtype)

    @user_errors
    def __call__(self, x: Any) -> Any:
        return act.prelu(x, self.weight)
