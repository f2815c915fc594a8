"""Training steps: loss, gradients and update as one compiled call.

Enters: the recipe of a step. Leaves: a `TrainStep`. Always holds: a step is an ordinary program
with the state {params, opt, step, seed}; nothing here is special to the compiler.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Spec
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..graph import Graph
from ..native.call import compile_call, loss_and_metrics, nested
from ..native.many import run_many
from ..native.state import State
from ..plan.memory import MemoryPlan
from .check import CheckReport, check_step
from .core import Core, build_core
from .entries import EntryTrace, StateLeaves
from .held import Held, Quick
from .options import Options
from .parameters import Format, Params, Which, check_tensors, parameter_files
from .recipe import Recipe

Array = np.ndarray[Any, Any]


class TrainStep(Held, Quick):
    """A compiled training step: `step(*batch, lr=None)` takes one step on one batch.

    Made by `gd.train_step`. It returns the loss as a float, or (loss, {name: float}) if the loss
    function returns metrics. `lr` replaces the optimizer's learning rate for this call. The first
    call builds the C. Arrays must have the shapes of the specs; other dtypes are converted by
    NumPy's `same_kind` rule (float64 to float32, int64 to int32, never real numbers to integers),
    and a number that does not fit is an error. A call that raises has changed nothing. `params` and
    `state` are NumPy views of the struct; `source`, `header`, `graph`, `plan`, `kernels` and
    `stages` show what was made.

    `copy.deepcopy` gives a step with a state of its own, `copy.copy` one that shares it. A pickle
    holds the C, for every batch size that was asked for, and the state, but not the Python
    functions: a step that was loaded takes the same steps, bit for bit, and only cannot be compiled
    for further sizes or be checked against finite differences.
    """

    def __init__(
        self,
        core: Core,
        recipe: Recipe,
        known: StateLeaves | None,
        traces: Mapping[str, EntryTrace],
        family: dict[int, TrainStep] | None = None,
    ) -> None:
        self._core = core
        self._recipe = recipe
        self._known = known
        self._traces = traces
        self._family: dict[int, TrainStep] = {} if family is None else family
        self.batch = next(j.batch for j in core.compiled.jobs if j.name == "step")
        if self.batch is not None:
            self._family[self.batch] = self
        self._metrics = traces["step"].results.keys[1:]
        self._calls: dict[str, Callable[..., Any]] = {}
        self._called_through(self._first_step)

    def __getstate__(self) -> dict[str, Any]:
        left: dict[str, Any] = {
            "_recipe": self._recipe.without_functions(),
            "_known": None,
            "_calls": {},
        }
        return {**vars(self), **left}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._called_through(self._first_step)

    def __copy__(self) -> TrainStep:
        return TrainStep(self._core, self._recipe, self._known, self._traces, dict(self._family))

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainStep:
        family: dict[int, TrainStep] = {}
        for step in {id(s): s for s in (*self._family.values(), self)}.values():
            core = copy.deepcopy(step._core, memo)  # of one new state, by the memo
            memo[id(step)] = TrainStep(core, step._recipe, step._known, step._traces, family)
        copied: TrainStep = memo[id(self)]
        return copied

    @user_errors
    def _first_step(self, *batch: Any, **options: Any) -> Any:
        """Build, then be called without this step in between."""
        run = self._entry("step")
        self._called_through(run)
        return user_errors(run)(*batch, **options)

    def _entry(self, name: str) -> Callable[..., Any]:
        """An entry point as a Python function."""
        if name not in self._calls:
            rate = {} if self.lr is None or name != "step" else {"lr": self.lr}
            results = self._traces[name].results
            form = nested(results) if name == "predict" else loss_and_metrics(self._metrics)
            hint = "" if self.batch is None else "use `step.for_batch({0})` for {0} rows"
            run = compile_call(self._core.entry(name), form, rate, hint)
            self._calls[name] = _without_rate(run) if name == "step" and not rate else run
        return self._calls[name]

    @property
    def lr(self) -> float | None:
        """The learning rate of a call that gives none; None if a schedule decides it."""
        return None if self._recipe.lr is None else float(self._recipe.lr)

    @user_errors
    def evaluate(self, *batch: Any) -> Any:
        """The loss (and metrics) of one batch, without changing anything.

        `batch` is what a call takes. Raises `ShapeError`, `DTypeError` or `DataError` if it does
        not fit.
        """
        return self._entry("evaluate")(*batch)

    @user_errors
    def predict(self, *args: Any) -> Any:
        """The function given as `predict=`, for one batch of inputs.

        `args` are its arguments after the model. Raises `ArgumentError` if the step was made
        without one, `ShapeError`, `DTypeError` or `DataError` if an input does not fit.
        """
        if "predict" not in self._traces:
            raise fail(
                ArgumentError,
                "GC411",
                "this step was made without `predict`",
                helps=("pass `predict=Model.__call__` to `gd.train_step`",),
            )
        return self._entry("predict")(*args)

    @user_errors
    def many(
        self, data: Sequence[Any], order: Any, lr: float | None = None, metrics: bool = False
    ) -> Any:
        """Run a step for each row of `order`, an array (K, batch) of sample numbers, in one C call.

        `data` holds one array for each argument of the loss, with equal numbers of rows; `lr`
        replaces the optimizer's learning rate. Returns the K losses as an array; with
        `metrics=True` also {name: array of K}. Raises `ShapeError`, `DTypeError` or `DataError` for
        data or an order that does not fit, `ArgumentError` for an `lr` where a schedule decides.
        """
        self._need_batch()
        if lr is not None and self.lr is None:
            raise _no_rate()
        rate = [] if self.lr is None else [self.lr if lr is None else lr]
        native = self._core.entry("step")
        losses, *others = run_many(native, data, order, rate)
        return (losses, dict(zip(self._metrics, others, strict=True))) if metrics else losses

    @user_errors
    def for_batch(self, rows: int) -> TrainStep:
        """The same step compiled for `rows` rows; it shares this one's state.

        Raises `ShapeError` if the arguments of the loss share no first axis, `ArgumentError` for a
        number that is none.
        """
        self._need_batch()
        if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 1:
            message = f"a batch has a whole number of rows, at least one, got {rows!r}"
            raise fail(ArgumentError, "GC413", message, helps=("pass an integer",))
        if rows not in self._family:
            known = self._definition(f"compiled for batches of {rows} rows")
            recipe = copy.copy(self._recipe)
            recipe.specs = tuple(
                Spec((int(rows), *s.shape[1:]), s.dtype) if s.shape else s for s in recipe.specs
            )
            self._family[int(rows)] = make_step(recipe, known, self._core.options, self)
        return self._family[rows]

    def _definition(self, wanted: str) -> StateLeaves:
        """What tracing anew starts from; a step out of a pickle has none."""
        if self._known is None:
            sizes = ", ".join(map(str, sorted(self._family)))
            raise fail(
                ArgumentError,
                "GC433",
                f"`{self.name}` comes from a pickle, which holds its C and no Python functions: "
                f"it cannot be {wanted}",
                notes=(f"it is compiled for batches of {sizes} rows",) if sizes else (),
                helps=(
                    "call `step.for_batch(...)` for every size before pickling",
                    "or make the step by `gd.train_step`, and give it this one's state: "
                    "`step.load_state_dict(loaded.state_dict())`",
                ),
            )
        return self._known

    def _need_batch(self) -> None:
        if self.batch is None:
            raise fail(
                ShapeError,
                "GC412",
                "the arguments of the loss share no leading axis that could be a batch",
                helps=("give every spec of `train_step` the same first extent",),
            )

    # State

    @property
    def state(self) -> State:
        """Everything in the struct: `params.*`, `opt.*`, `step` and `seed`."""
        assert self._core.state is not None
        return self._core.state

    @property
    def params(self) -> Params:
        """NumPy views of the parameters in the C struct; assigning to one copies into it."""
        owner = self._recipe.owner
        return Params(self.state, {p: f"params.{owner[p]}" for p in self._recipe.paths})

    def state_dict(self) -> dict[str, Array]:
        """Copies of everything in the state, in logical order."""
        with self.state.lock:
            return {name: np.array(view, order="C") for name, view in self.state.items()}

    @user_errors
    def load_state_dict(self, tensors: Mapping[str, Any]) -> None:
        """Replace the whole state by `tensors`, named arrays such as `state_dict` gives.

        Raises `CheckpointError`, and changes nothing, if their names, shapes or dtypes differ.
        """
        arrays = {name: np.asarray(value) for name, value in tensors.items()}
        check_tensors(arrays, self.state)
        with self.state.lock:
            for name, value in arrays.items():
                self.state[name][...] = value

    # Files

    @user_errors
    def export(
        self,
        directory: str | Path,
        parameters: Which = "current",
        *,
        parameters_format: Format = "c",
        target: str | None = None,
        batch: int | None = None,
    ) -> list[Path]:
        """Write the C and the parameters into a folder, `directory`; the paths of the files.

        They are the source, the header, the runtime headers it uses, an example `NAME_example.c`,
        and `parameters`: those that the step has now ("current"), those of the model's definition
        ("initial") or none ("none"). With `parameters_format` "c" they are constants,
        `NAME_parameters` in `NAME_parameters.c`, that `NAME_predict` and `NAME_evaluate` read where
        they are, in flash too; with "bin" a file `NAME_parameters.bin` for `NAME_load`, the same
        for every target and batch size. The folder is made if it is missing.

        `target` and `batch` compile the C for another instruction set and another number of rows;
        the parameters follow along. This step stays as it is. Raises `ArgumentError` for an option
        that means nothing, or a step out of a pickle that would have to be compiled anew,
        `ShapeError` for a `batch` where the arguments of the loss share no first axis, `BuildError`
        for a folder that cannot be written.
        """
        core = self._core_for(target, batch)
        data = parameter_files(core, self.state, parameters, parameters_format)
        return core.export(directory, data)

    def _core_for(self, target: str | None, batch: int | None) -> Core:
        """The program for another target, over a state of its own, and for another batch."""
        step = self if batch is None else self.for_batch(batch)
        options = step._core.options
        if target is None or target == options.target:
            return step._core
        options = replace(options, target=target)
        known = step._definition(f"compiled for the target {target!r}")
        return make_step(step._recipe, known, options, None)._core

    # What can be seen

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The specs of a batch."""
        return self._recipe.specs

    @property
    def graph(self) -> Graph:
        """The graph of the whole step, after all passes."""
        return self._core.graph("step")

    @property
    def plan(self) -> MemoryPlan:
        """The memory plan of the step; `plans` has those of all entry points."""
        return self.plans["step"]

    def check(self, seed: int = 0) -> CheckReport:
        """Gradients against finite differences in float64, the C against its meaning in NumPy.

        The batch is drawn from `seed`. Returns a report; its `ok` says whether all is well.
        """
        known = self._definition("checked against finite differences")
        traced = self._traces["step"].traced
        assert traced is not None, "a step that has its definition has its trace"
        return check_step(self._core, self._recipe, known, traced, seed)

    def __repr__(self) -> str:
        specs = ", ".join(map(repr, self.specs))
        owners = dict.fromkeys(self._recipe.owner.values())
        scalars = sum(self.params[path].size for path in owners)
        plan = self.plan
        return (
            f"gradc.TrainStep {self.name}({specs}): {scalars:,} parameters\n"
            f"  {len(plan.order)} kernels, arena {plan.arena_bytes:,} B,"
            f" state {plan.state_bytes:,} B"
        )


def make_step(
    recipe: Recipe, known: StateLeaves, options: Options, share: TrainStep | None
) -> TrainStep:
    shared = share._core if share else None
    core, traces = build_core(recipe.entries(), known, options, shared)
    what = getattr(recipe.loss, "__name__", "loss")
    core.stages[0] = replace(core.stages[0], what=what)
    return TrainStep(core, recipe, known, traces, share._family if share else None)


def _without_rate(run: Callable[..., Any]) -> Callable[..., Any]:
    """The step of a program whose learning rate is no argument."""

    @user_errors
    def step(*batch: Any, lr: float | None = None) -> Any:
        if lr is not None:
            raise _no_rate()
        return run(*batch)

    return step


def _no_rate() -> ArgumentError:
    message = "`lr` cannot be given: the optimizer decides the learning rate"
    return fail(ArgumentError, "GC410", message)
