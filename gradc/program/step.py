"""Training steps: loss, gradients and update as one compiled call.

Enters: a loss, a model, an optimizer and the specs of a batch. Leaves: a `TrainStep`. Always holds:
a step is an ordinary program with the state {params, opt, step, seed}; nothing here is special to
the compiler.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff import gradient_of
from ..dtypes import Spec, as_dtype
from ..errors import (
    CheckpointError,
    DataError,
    DTypeError,
    ShapeError,
    TraceError,
    fail,
    user_errors,
)
from ..graph import Graph
from ..lower.pointwise import identifier
from ..passes.memory import MemoryPlan
from ..trace import Traced, spec_of
from ..tree import flatten
from .check import CheckReport, check_step
from .core import Core, Options
from .describe import KernelInfo, Stage
from .general import EntryDef, StateLeaves, build_core, state_leaves
from .many import run_many
from .native import State

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo

Array = np.ndarray[Any, Any]


class Params(Mapping[str, Array]):
    """The model's parameters by name, as views of the C struct; a tied array has all its names."""

    def __init__(self, state: State, names: Mapping[str, str]) -> None:
        self._state = state
        self._names = dict(names)

    def __getitem__(self, name: str) -> Array:
        try:
            return self._state[self._names[name]]
        except KeyError:
            raise KeyError(f"{name!r}; the model has {', '.join(self._names)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        rows = [f"  {n}: {Spec(v.shape, v.dtype)!r}" for n, v in self.items()]
        more = [f"  ... {len(rows) - 10} more"] if len(rows) > 10 else []
        return "\n".join(["parameters", *rows[:10], *more])


class Recipe:
    """What a training step is made of, apart from the extent of its batch."""

    def __init__(
        self,
        loss: Callable[..., Any],
        model: Any,
        optimizer: Any,
        specs: tuple[Spec, ...],
        predict: Callable[..., Any] | None,
    ) -> None:
        self.loss = loss
        self.optimizer = optimizer
        self.specs = specs
        self.predict = predict
        leaves, self.tree = flatten(model)
        self.paths = self.tree.paths()
        first: dict[int, str] = {}
        self.owner: dict[str, str] = {}
        params: dict[str, Any] = {}
        for path, leaf in zip(self.paths, leaves, strict=True):
            self.owner[path] = first.setdefault(id(leaf), path)
            if self.owner[path] == path:
                params[path] = leaf
        self.trained = [p for p, v in params.items() if spec_of(v).dtype.kind == "f"]
        if not self.trained:
            raise fail(TraceError, "GC508", "the model has no floating-point parameters to train")
        opt = optimizer.init({p: params[p] for p in self.trained})
        self.state = {
            "params": params,
            "opt": opt,
            "step": np.zeros((), np.uint64),
            "seed": np.zeros((), np.uint64),
        }  # fmt: skip

    def rebuild(self, params: Mapping[str, Any]) -> Any:
        """The model around given parameters."""
        return self.tree.unflatten([params[self.owner[p]] for p in self.paths])

    def losses(self, params: Mapping[str, Any], *batch: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its metrics."""
        result = self.loss(self.rebuild(params), *batch)
        if not isinstance(result, tuple):
            return result, {}
        if len(result) != 2 or not isinstance(result[1], dict):
            raise fail(
                TraceError, "GC509", "a loss returns a scalar, or a scalar and a dict of metrics"
            )
        return result

    def step(self, state: dict[str, Any], *batch: Any) -> tuple[Any, Any]:
        """One step of training: the program's update."""
        *data, lr = batch if self.has_lr else (*batch, None)
        trained = {p: state["params"][p] for p in self.trained}
        rest = {p: v for p, v in state["params"].items() if p not in trained}

        def of_trained(values: dict[str, Any], *data: Any) -> Any:
            return self.losses({**rest, **values}, *data)

        found = gradient_of(of_trained, (trained, *data), 0, has_aux=True)
        self._refuse_unreached(found.reach)
        if lr is None:
            lr = self.optimizer.lr
            lr = lr(state["step"].astype(np.float32)) if callable(lr) else lr
        new, opt = self.optimizer.update(trained, found.gradients, state["opt"], lr)
        params = {p: new.get(p, v) for p, v in state["params"].items()}
        counted = {"params": params, "opt": opt, "step": state["step"] + 1, "seed": state["seed"]}
        return counted, {"loss": found.value, **found.aux}

    def _refuse_unreached(self, reach: Mapping[str, str]) -> None:
        """A parameter that no gradient reaches would never be trained: that is a mistake."""
        for path, how in zip(self.trained, reach.values(), strict=True):
            if how == "unreached":
                raise fail(
                    TraceError,
                    "GC510",
                    f"no gradient reaches parameter `{path}`: the loss does not use it",
                    helps=("use it in the loss, or leave it out of the model",),
                )

    @property
    def has_lr(self) -> bool:
        """Whether the learning rate is an argument of the step."""
        return isinstance(getattr(self.optimizer, "lr", None), (int, float))

    def entries(self) -> dict[str, EntryDef]:
        """The program's entry points."""
        scalars = {"lr": float(self.optimizer.lr)} if self.has_lr else {}
        labels = _labels(self.loss, len(self.specs))
        entries = {
            "step": EntryDef(_labelled(self.step, labels), self.specs, True, scalars),
            "evaluate": EntryDef(_labelled(self._evaluate, labels), self.specs, False),
        }
        if self.predict is not None:
            count = max(1, _arity(self.predict) - 1)
            labels = _labels(self.predict, count)
            entries["predict"] = EntryDef(
                _labelled(self._predict, labels), self.specs[:count], False
            )
        return entries

    def _evaluate(self, state: dict[str, Any], *batch: Any) -> Any:
        value, metrics = self.losses(state["params"], *batch)
        return {"loss": value, **metrics}

    def _predict(self, state: dict[str, Any], *args: Any) -> Any:
        assert self.predict is not None
        return self.predict(self.rebuild(state["params"]), *args)


def _arity(fn: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fn).parameters.values()
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


def _labels(fn: Callable[..., Any], count: int) -> list[str]:
    from ..trace.tracing import argument_names

    return argument_names(fn, count + 1)[1:]


def _labelled(fn: Callable[..., Any], labels: Sequence[str]) -> Callable[..., Any]:
    """`fn`, whose arguments after the state are called `labels` in messages and in the C."""

    def called(state: Any, *args: Any) -> Any:
        return fn(state, *args)

    kind = inspect.Parameter.POSITIONAL_ONLY
    names = ["state", *dict.fromkeys(n for n in labels if n.isidentifier() and n != "state")]
    names += [f"arg{k}" for k in range(len(labels) + 1 - len(names))]
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, kind) for n in names]
    )
    return called


class TrainStep:
    """A compiled training step; call it with a batch.

    `step(x, y)` returns the loss, or (loss, {metric: value}) if the loss function returns metrics.
    """

    def __init__(
        self,
        core: Core,
        recipe: Recipe,
        known: StateLeaves,
        traced: Mapping[str, Traced],
        family: dict[int, TrainStep] | None = None,
    ) -> None:
        self._core = core
        self._recipe = recipe
        self._known = known
        self._family: dict[int, TrainStep] = {} if family is None else family
        self._traced = traced
        self.batch = next(j.batch for j in core.compiled.jobs if j.name == "step")
        if self.batch is not None:
            self._family[self.batch] = self
        self.lr = float(recipe.optimizer.lr) if recipe.has_lr else None
        self._metrics = [
            a.name for a in next(e for e in core.compiled.entries if e.name == "step").outputs[1:]
        ]
        self._calls: dict[str, Callable[..., list[Any]]] = {}

    def _entry(self, name: str) -> Callable[..., list[Any]]:
        if name not in self._calls:
            defaults = {"lr": self.lr} if self.lr is not None and name == "step" else {}
            self._calls[name] = self._core.entry(name).fast(defaults)
        return self._calls[name]

    def __call__(self, *batch: Any, lr: float | None = None) -> Any:
        """One step on one batch; `lr` replaces the optimizer's learning rate for this call."""
        try:
            call = self._calls["step"]
        except KeyError:
            call = self._entry("step")
        out = call(*batch) if lr is None else call(*batch, self._rate(lr))
        if not self._metrics:
            return out[0]
        return out[0], dict(zip(self._metrics, map(float, out[1:]), strict=True))

    def _rate(self, lr: float) -> float:
        if self.lr is None:
            raise fail(
                DataError, "GC410", "the learning rate is a schedule and cannot be given by call"
            )
        if not isinstance(lr, (int, float, np.floating)):
            raise fail(DTypeError, "GC405", f"`lr` must be a number, got {type(lr).__name__}")
        return float(lr)

    def evaluate(self, *batch: Any) -> Any:
        """The loss (and metrics) of one batch, without changing anything."""
        out = self._entry("evaluate")(*batch)
        if not self._metrics:
            return out[0]
        return out[0], dict(zip(self._metrics, map(float, out[1:]), strict=True))

    def predict(self, *args: Any) -> Any:
        """The function given as `predict=`, for one batch of inputs."""
        if self._recipe.predict is None:
            raise fail(
                TraceError, "GC411", "this step was made without `predict`",
                helps=("pass `predict=Model.__call__` to `gd.train_step`",),
            )  # fmt: skip
        outputs = self._entry("predict")(*args)
        return self._traced["predict"].out_tree.unflatten(outputs)

    def many(
        self, data: Sequence[Any], order: Any, lr: float | None = None, metrics: bool = False
    ) -> Any:
        """Run a step for each row of `order` (K, batch) of sample indices, in one C call.

        `data` holds one array for each argument of the loss, with equal numbers of rows. Returns
        the K losses as an array; with `metrics=True` also {name: array of K}.
        """
        lr = self.lr if lr is None else self._rate(lr)
        outputs = run_many(self._core.entry("step"), self._core.module, self.batch, data, order, lr)
        if not metrics:
            return outputs[0]
        return outputs[0], dict(zip(self._metrics, outputs[1:], strict=True))

    def for_batch(self, rows: int) -> TrainStep:
        """The same step compiled for another number of rows; it shares this one's state."""
        if self.batch is None:
            raise fail(
                ShapeError, "GC412", "the arguments share no leading axis that could be a batch"
            )
        if rows < 1:
            raise fail(DataError, "GC413", f"a batch has at least one row, got {rows}")
        if rows not in self._family:
            r = self._recipe
            specs = tuple(Spec((rows, *s.shape[1:]), s.dtype) if s.shape else s for s in r.specs)
            recipe = Recipe.__new__(Recipe)
            recipe.__dict__.update(r.__dict__, specs=specs)
            self._family[rows] = _make(recipe, self._known, self._core.options, self)
        return self._family[rows]

    # State

    @property
    def state(self) -> State:
        """Everything in the struct: `params.*`, `opt.*`, `step` and `seed`."""
        assert self._core.state is not None
        return self._core.state

    @property
    def params(self) -> Params:
        """NumPy views of the parameters in the C struct; assign with `[...] =`."""
        owner = self._recipe.owner
        return Params(self.state, {p: f"params.{owner[p]}" for p in self._recipe.paths})

    def state_dict(self) -> dict[str, Array]:
        """Copies of everything in the state, in logical order."""
        return {name: np.array(view, order="C") for name, view in self.state.items()}

    def load_state_dict(self, tensors: Mapping[str, Any]) -> None:
        """Replace the whole state; raises `CheckpointError` and changes nothing if anything is
        amiss.
        """
        arrays = {name: np.asarray(value) for name, value in tensors.items()}
        for name in (*self.state, *arrays):
            if name not in arrays:
                raise fail(CheckpointError, "GC420", f"tensor `{name}` is missing")
            if name not in self.state:
                raise fail(CheckpointError, "GC420", f"tensor `{name}` is not of this program")
            here, there = self.state[name], arrays[name]
            if here.shape != there.shape or here.dtype != there.dtype:
                expected, got = (
                    Spec(here.shape, here.dtype),
                    Spec(there.shape, as_dtype(there.dtype)),
                )
                raise fail(
                    CheckpointError,
                    "GC421",
                    f"tensor `{name}` is {got}, the program has {expected}",
                )
        for name, value in arrays.items():
            self.state[name][...] = value

    # What can be seen

    @property
    def name(self) -> str:
        return self._core.compiled.name

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The specs of a batch."""
        return self._recipe.specs

    @property
    def source(self) -> str:
        """The C file."""
        return self._core.source

    @property
    def header(self) -> str:
        """Its header."""
        return self._core.header

    @property
    def graph(self) -> Graph:
        """The graph of the whole step, after all passes."""
        return self._core.graph("step")

    @property
    def plan(self) -> MemoryPlan:
        """The memory plan of the step; `plans` has those of all entry points."""
        return self._core.plans["step"]

    @property
    def plans(self) -> dict[str, MemoryPlan]:
        """The memory plan of each entry point."""
        return self._core.plans

    @property
    def kernels(self) -> list[KernelInfo]:
        """Every C function with its work, in the order of the calls."""
        return self._core.kernels

    @property
    def stages(self) -> list[Stage]:
        """What each stage of the compilation did."""
        return self._core.stages

    def build(self) -> BuildInfo:
        """Compile to native code now; otherwise the first call does."""
        return self._core.build()

    def check(self, seed: int = 0) -> CheckReport:
        """Gradients against finite differences in float64, the C against its meaning in NumPy."""
        return check_step(self, self._recipe, self._core, seed)

    def export(self, directory: str | Path) -> list[Path]:
        """Write the C, the header, the runtime headers it uses and an example `main.c`."""
        return self._core.export(directory)

    def __repr__(self) -> str:
        specs = ", ".join(map(repr, self.specs))
        scalars = sum(v.size for v in self.params.values())
        plan = self.plan
        return (
            f"gradc.TrainStep {self.name}({specs}): {scalars:,} parameters\n"
            f"  {len(plan.order)} kernels, arena {plan.arena_bytes:,} B,"
            f" state {plan.state_bytes:,} B"
        )


@user_errors
def train_step(
    loss: Callable[..., Any],
    model: Any,
    optimizer: Any,
    *specs: Any,
    predict: Callable[..., Any] | None = None,
    name: str = "model",
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
) -> TrainStep:
    """Compile `loss(model, *batch)` with its gradients and the optimizer's update into one step.

    `loss` returns a scalar, or (scalar, {name: metric}). `model` is a module or any nesting of
    arrays, whose values are the initial parameters. `specs` describe a batch. `predict(model, x,
    ...)` becomes `step.predict`. A numeric `optimizer.lr` is the default of an argument of the
    step, a callable one is traced in. Options as in `compile`. Raises `TraceError` for a parameter
    that no gradient reaches.
    """
    options = Options(identifier(name), target, compiler, tuple(cflags), cache_dir)
    recipe = Recipe(loss, model, optimizer, tuple(spec_of(s) for s in specs), predict)
    known = state_leaves(recipe.state, _display)
    known = StateLeaves(
        tuple(_seeded(leaf) for leaf in known.leaves), known.tree, known.paths, known.position
    )
    return _make(recipe, known, options, None)


def _make(
    recipe: Recipe, known: StateLeaves, options: Options, share: TrainStep | None
) -> TrainStep:
    shared = share._core if share else None
    core, traced = build_core(recipe.entries(), recipe.state, known, options, shared)
    return TrainStep(core, recipe, known, traced, share._family if share else None)


def _display(path: str) -> str:
    """What C calls a leaf: `fc1.weight`, `momentum.fc1.weight`, `step`."""
    return path.removeprefix("params.").removeprefix("opt.")


def _seeded(leaf: Any) -> Any:
    from dataclasses import replace

    return replace(leaf, recipe=("seed",)) if leaf.name == "seed" else leaf
