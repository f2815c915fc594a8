"""The edges of every function: where it is compared with PyTorch, and shown in the documentation.

An edge is a point where mathematics leaves a value or a derivative open: kinks, ends of a domain,
ties, infinities, NaN. `UNARY` functions are looked at in the points `EDGES`, `BINARY` ones at
`PAIRS`, and those of whole arrays at the arrays beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradc as gd
from gradc import nn

Array = np.ndarray[Any, Any]
INF, NAN = np.inf, np.nan
EDGES = (-INF, -1.0, -0.0, 0.0, 1.0, INF, NAN)
PAIRS = (
    (0, 0), (0, -1), (0, 1), (0, 2), (-0.0, 0), (2, 0), (1, 1), (-1, 2), (-1, 0.5), (1, INF),
    (INF, 0), (INF, -1), (INF, INF), (-INF, INF), (-INF, -INF), (NAN, 0), (0, NAN), (NAN, 1),
    (1, NAN),
)  # fmt: skip

UNARY: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(gd, name)
        for name in (
            "abs sign square reciprocal sqrt exp expm1 exp2 log log1p log2 log10 sin cos tan asin "
            "acos atan sinh cosh tanh asinh acosh atanh erf sigmoid floor ceil round trunc"
        ).split()
    },
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "softplus": nn.softplus,
    "log_sigmoid": nn.log_sigmoid,
    "silu": nn.silu,
    "gelu": nn.gelu,
    'gelu, "tanh"': lambda x: nn.gelu(x, "tanh"),
    "clip to [-1, 1]": lambda x: gd.clip(x, -1.0, 1.0),
    "clip to [0, ...]": lambda x: gd.clip(x, 0.0),
    "x**0": lambda x: x**0,
    "x**1": lambda x: x**1,
    "x**2": lambda x: x**2,
    "x**3": lambda x: x**3,
    "x**-1": lambda x: x**-1,
    "x**-2": lambda x: x**-2,
    "x**0.5": lambda x: x**0.5,
    "x**1.5": lambda x: x**1.5,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(gd, name)
    for name in "div pow remainder maximum minimum hypot atan2 logaddexp".split()
}

OWN: dict[tuple[str, str], str] = {
    ("abs", "nan"): "NaN stays visible in the gradient",
    ("sign", "nan"): "NaN stays NaN, as in NumPy",
    ("x**1.5", "-inf"): "as C's `pow` has it",
    ("prod", "inf, 2"): "each gradient is the product of the others",
    ("var", "inf, 1"): "the gradient by way of the mean, 0 where all is finite, is NaN",
    ("binary cross-entropy", "-inf"): "no difference of infinities is formed",
}
"""Where gradc differs from PyTorch, by function and argument, and why."""
ROWS = np.array([[0.0, 0.0], [3.0, 4.0]])
FIVES = np.full(4, 5.0)
ARRAYS: dict[str, tuple[Callable[[Any], Any], tuple[Array, ...]]] = {
    "max": (gd.max, (np.array([1.0, 3, 3]), np.array([1, NAN, 3]), np.array([INF, INF]))),
    "min": (gd.min, (np.array([3.0, 1, 1]), np.array([1, NAN, 3]), np.array([-INF, 0]))),
    "prod": (gd.prod, (np.array([2.0, 0, 3]), np.array([0.0, 0, 3]), np.array([INF, 2]))),
    "norm": (np.linalg.norm, (np.zeros(2), np.array([INF, 1]), np.array([NAN, 1]))),
    "norm of rows": (lambda x: np.linalg.norm(x, axis=1), (ROWS,)),
    "norm, order 1": (lambda x: np.linalg.norm(x, 1), (np.array([0.0, -2]),)),
    "norm, order inf": (lambda x: np.linalg.norm(x, np.inf), (np.array([2.0, -2, 1]),)),
    "var": (gd.var, (FIVES, np.array([INF, 1]))),
    "std": (gd.std, (FIVES, np.array([INF, 1]), np.array([NAN, 1]))),
    "logsumexp": (
        gd.logsumexp, (np.zeros(2), np.full(2, -INF), np.array([INF, 0]), np.array([NAN, 0])),
    ),
    "softmax": (gd.softmax, (np.array([-INF, 0]), np.array([INF, 0]))),
    "log_softmax": (gd.log_softmax, (np.array([-INF, 0]), np.array([1e4, 0]))),
    "huber": (
        lambda x: nn.huber(x, np.zeros(np.shape(x))),
        (np.array([0.0, 1, -1, 2]), np.array([INF]), np.array([-INF]), np.array([NAN])),
    ),
    "l1": (lambda x: nn.l1(x, np.zeros(np.shape(x))), (np.array([0.0, -0.0, -3, INF]),)),
    "mse": (lambda x: nn.mse(x, np.zeros(np.shape(x))), (np.array([INF]), np.array([NAN]))),
    "binary cross-entropy": (
        lambda x: nn.binary_cross_entropy_with_logits(x, np.ones(np.shape(x))),
        (np.zeros(1), np.array([INF]), np.array([-INF]), np.array([NAN])),
    ),
}  # fmt: skip


def spelt(values: Any) -> str:
    """Numbers as the documentation shows them: `-inf, 0.5`."""
    flat = np.asarray(values, np.float64).reshape(-1)
    return ", ".join(f"{v:.4g}" for v in flat)


def torch_functions() -> dict[str, Callable[..., Any]]:
    """The same functions in PyTorch."""
    import torch
    from torch.nn import functional

    names = {"log_sigmoid": "logsigmoid"}
    found: dict[str, Callable[..., Any]] = {
        name: getattr(torch, name, None) or getattr(functional, names.get(name, name))
        for name in (*UNARY, *BINARY)
        if hasattr(torch, name) or hasattr(functional, names.get(name, name))
    }
    return found | {
        'gelu, "tanh"': lambda x: functional.gelu(x, approximate="tanh"),
        "clip to [-1, 1]": lambda x: x.clamp(-1.0, 1.0),
        "clip to [0, ...]": lambda x: x.clamp(min=0.0),
        **{
            f"x**{n}": lambda x, n=n: x**n for n in (0, 1, 2, 3, -1, -2, 0.5, 1.5)
        },
        "max": torch.amax, "min": torch.amin, "prod": torch.prod,
        "norm": torch.linalg.norm,
        "norm of rows": lambda x: torch.linalg.norm(x, dim=1),
        "norm, order 1": lambda x: torch.linalg.vector_norm(x, 1),
        "norm, order inf": lambda x: torch.linalg.vector_norm(x, np.inf),
        "var": lambda x: torch.var(x, correction=0),
        "std": lambda x: torch.std(x, correction=0),
        "logsumexp": lambda x: torch.logsumexp(x, 0),
        "softmax": lambda x: torch.softmax(x, 0),
        "log_softmax": lambda x: torch.log_softmax(x, 0),
        "huber": lambda x: functional.huber_loss(x, torch.zeros_like(x)),
        "l1": lambda x: functional.l1_loss(x, torch.zeros_like(x)),
        "mse": lambda x: functional.mse_loss(x, torch.zeros_like(x)),
        "div": torch.div,
        "binary cross-entropy": lambda x: functional.binary_cross_entropy_with_logits(
            x, torch.ones_like(x)
        ),
    }  # fmt: skip
