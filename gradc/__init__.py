"""A model written as NumPy-style Python becomes one plain C training step.

    import gradc as gd
    from gradc import nn, optim

To train: `train_step` compiles a loss, a model (`nn`) and an optimizer (`optim`) into one step,
`Trainer` fits it to data. To compile: `compile` and `jit` make functions, `program` makes several
that share a state. To differentiate: `grad`, `value_and_grad`, `vjp`, and `check_grad` to be sure.
Specs of arrays are written `gd.f32[64, 784]`; the array functions have the names of the Array API
(2024.12) and compute at once, by NumPy, when no argument is traced. `help` of each says what it
takes, computes and raises, and what its gradient is.
"""

# This file holds the public names and nothing else. A name is looked up where it is defined the
# first time it is used, so that `import gradc` costs next to nothing; every function of the op
# table is a public name as well, without being listed here.

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each name is defined: module, then its public names. All other names are array functions.
_DEFINED_IN = {
    "program": "compile jit train_step program query update Function Program TrainStep",
    "trace": "trace",
    "graph": "Graph Node",
    "autodiff": "grad value_and_grad vjp stop_gradient check_grad GradientCheck GradientError",
    "train": "Trainer",
    "dtypes": "spec Spec bool bool_ f32 f64 float32 float64 i8 i16 i32 i64 int8 int16 int32 int64 "
    "u8 u16 u32 u64 uint8 uint16 uint32 uint64",
    "errors": "GradcError TraceError ShapeError DTypeError UnsupportedError ArgumentError "
    "DataError CheckpointError BuildError NonFiniteError NoAttributeError UnknownNameError "
    "Diagnostic",
}
_MODULE_OF = {name: module for module, names in _DEFINED_IN.items() for name in names.split()}
_PACKAGES = ("nn", "optim")
_CONSTANTS = {
    "e": 2.718281828459045,
    "inf": float("inf"),
    "nan": float("nan"),
    "newaxis": None,
    "pi": 3.141592653589793,
}

if TYPE_CHECKING:
    from . import nn as nn
    from . import optim as optim
    from .autodiff import GradientCheck as GradientCheck
    from .autodiff import GradientError as GradientError
    from .autodiff import check_grad as check_grad
    from .autodiff import grad as grad
    from .autodiff import stop_gradient as stop_gradient
    from .autodiff import value_and_grad as value_and_grad
    from .autodiff import vjp as vjp
    from .dtypes import Spec as Spec
    from .dtypes import bool_ as bool_
    from .dtypes import f32 as f32
    from .dtypes import f64 as f64
    from .dtypes import float32 as float32
    from .dtypes import float64 as float64
    from .dtypes import i8 as i8
    from .dtypes import i16 as i16
    from .dtypes import i32 as i32
    from .dtypes import i64 as i64
    from .dtypes import int8 as int8
    from .dtypes import int16 as int16
    from .dtypes import int32 as int32
    from .dtypes import int64 as int64
    from .dtypes import spec as spec
    from .dtypes import u8 as u8
    from .dtypes import u16 as u16
    from .dtypes import u32 as u32
    from .dtypes import u64 as u64
    from .dtypes import uint8 as uint8
    from .dtypes import uint16 as uint16
    from .dtypes import uint32 as uint32
    from .dtypes import uint64 as uint64
    from .errors import ArgumentError as ArgumentError
    from .errors import BuildError as BuildError
    from .errors import CheckpointError as CheckpointError
    from .errors import DataError as DataError
    from .errors import Diagnostic as Diagnostic
    from .errors import DTypeError as DTypeError
    from .errors import GradcError as GradcError
    from .errors import NoAttributeError as NoAttributeError
    from .errors import NonFiniteError as NonFiniteError
    from .errors import ShapeError as ShapeError
    from .errors import TraceError as TraceError
    from .errors import UnknownNameError as UnknownNameError
    from .errors import UnsupportedError as UnsupportedError
    from .functions import *  # noqa: F403 (the Array API names)
    from .graph import Graph as Graph
    from .graph import Node as Node
    from .program import Function as Function
    from .program import Program as Program
    from .program import TrainStep as TrainStep
    from .program import compile as compile  # noqa: A004 (as NumPy-like compilers call it)
    from .program import jit as jit
    from .program import program as program
    from .program import query as query
    from .program import train_step as train_step
    from .program import update as update
    from .trace import trace as trace
    from .train import Trainer as Trainer


def __getattr__(name: str) -> Any:
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name == "__all__":  # what `help` and a star ask for
        return [public for public in __dir__() if not public.startswith("_")]
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name.startswith("_") or (name not in _MODULE_OF and _is_submodule(name)):
        raise AttributeError(f"module `gradc` has no attribute `{name}`")
    functions = import_module(".functions", __name__)
    if name in _MODULE_OF:
        own = "bool_" if name == "bool" else name  # a module must not hide Python's own `bool`
        found = getattr(import_module(f".{_MODULE_OF[name]}", __name__), own)
    elif name in functions.__all__ or name in functions.ROWS:
        found = getattr(functions, name)
    else:
        unknown_name = import_module(".namespace", __name__).unknown_name
        raise unknown_name(__name__, name, _groups(), functions.called_by_numpy(name))
    globals()[name] = found
    return found


def _groups() -> dict[str, list[str]]:
    """The public names under a title each."""
    functions = import_module(".functions", __name__).__all__
    own = {module: names.split() for module, names in _DEFINED_IN.items()}
    return {
        "compile": [*own["program"], *own["trace"], *own["graph"]],
        "differentiate": own["autodiff"],
        "train": [*own["train"], *_PACKAGES],
        "dtypes": own["dtypes"],
        "arrays": sorted(set(functions) - set(_MODULE_OF)),
        "constants": [*_CONSTANTS],
        "errors": own["errors"],
    }


def _is_submodule(name: str) -> bool:
    """Submodules are found by the import system alone, which asks here first."""
    return find_spec(f".{name}", __name__) is not None


def __dir__() -> list[str]:
    return sorted({"__version__", *(name for names in _groups().values() for name in names)})


class _Package(ModuleType):
    """Importing the submodule `gradc.trace` must not hide the function `gradc.trace`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _MODULE_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
