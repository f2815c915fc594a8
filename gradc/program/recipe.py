"""What a training step computes: the model around the loss, its gradients, the update.

Enters: a loss, a model, an optimizer, the specs of a batch. Leaves: the entry points of an ordinary
program with the state {params, opt, step, seed}. Always holds: a parameter that no gradient reaches
is an error; tied arrays are one parameter with one buffer in the optimizer.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import gradient_of
from ..dtypes import Spec, is_float, item_bytes
from ..errors import ArgumentError, ShapeError, TraceError, fail
from ..native.arguments import is_number
from ..trace import argument_names, error, spec_of
from ..tree import Tree, flatten
from .entries import EntryDef
from .ingredients import loss_and_metrics, new_parameters


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
        self.paths = [path or "value" for path in self.tree.paths()]
        first: dict[int, str] = {}
        self.owner: dict[str, str] = {}
        params: dict[str, Any] = {}
        for path, leaf in zip(self.paths, leaves, strict=True):
            tied = isinstance(leaf, np.ndarray)  # a number is a value, not a place
            self.owner[path] = first.setdefault(id(leaf), path) if tied else path
            if self.owner[path] == path:
                params[path] = leaf if tied else np.asarray(leaf, spec_of(leaf, path).dtype)
        dtypes = {path: spec_of(leaf, path).dtype for path, leaf in params.items()}
        self.trained = [path for path, dtype in dtypes.items() if is_float(dtype)]
        if not self.trained:
            raise fail(
                TraceError,
                "GC508",
                "the model has no floating-point parameters to train",
                helps=("keep its arrays in attributes, lists or dicts of an `nn.Module`",),
            )
        widest = max((dtypes[p] for p in self.trained), key=item_bytes)
        rate = getattr(optimizer, "lr", None)
        self.lr = widest.type(rate) if is_number(rate) else None
        opt = optimizer.init({p: params[p] for p in self.trained})
        counters = {"step": np.zeros((), np.uint64), "seed": np.zeros((), np.uint64)}
        self.state = {"params": params, "opt": opt, **counters}

    def sections(self) -> dict[str, tuple[str, str]]:
        """The struct in the state that a leaf belongs to, and what it is called there, by path.

        These are the parameters, and whatever the optimizer keeps one of for each parameter.
        """
        params = self.state["params"]
        found = {f"params.{path}": ("params", path) for path in params}
        leaves, tree = flatten(self.state["opt"])

        def search(part: Tree, path: str, first: int) -> None:
            arrays = leaves[first : first + part.count]
            if set(part.keys) == set(params) and all(c.kind == "leaf" for c in part.children):
                like = (params[key] for key in part.keys)
                if all(spec_of(a) == spec_of(p) for a, p in zip(arrays, like, strict=True)):
                    name = path.removeprefix("opt.")
                    section = f"opt.{name}" if name == "params" else name
                    found.update({f"{path}.{key}": (section, key) for key in part.keys})
                return
            for key, child in zip(part.keys, part.children, strict=True):
                search(child, f"{path}.{key}", first)
                first += child.count

        search(tree, "opt", 0)
        return found

    def without_functions(self) -> Recipe:
        """What a compiled step needs, without what it was traced from."""
        kept = copy.copy(self)
        vars(kept).update(dict.fromkeys(("loss", "optimizer", "predict", "tree", "state")))
        return kept

    def rebuild(self, params: Mapping[str, Any]) -> Any:
        """The model around given parameters."""
        return self.tree.unflatten([params[self.owner[p]] for p in self.paths])

    def losses(self, params: Mapping[str, Any], *batch: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its metrics."""
        found = loss_and_metrics(self.loss, self.loss(self.rebuild(params), *batch))
        for name, value in found[1].items():
            _check_metric(name, value)
        return found

    def step(self, state: dict[str, Any], *batch: Any) -> tuple[Any, Any]:
        """One step of training: the program's update."""
        data = batch[: len(self.specs)]
        trained = {p: state["params"][p] for p in self.trained}
        rest = {p: v for p, v in state["params"].items() if p not in trained}

        def of_trained(values: dict[str, Any], *data: Any) -> Any:
            return self.losses({**rest, **values}, *data)

        of_trained.__wrapped__ = self.loss  # type: ignore[attr-defined]
        found = gradient_of(of_trained, (trained, *data), 0, has_aux=True)
        self._refuse_unreached(found.reach)
        rate = batch[-1] if self.lr is not None else self._scheduled(state["step"])
        result = self.optimizer.update(trained, found.gradients, state["opt"], rate)
        new, opt = new_parameters(self.optimizer, result, self.trained)
        counted = {
            "params": {p: new.get(p, v) for p, v in state["params"].items()},
            "opt": opt,
            "step": state["step"] + 1,
            "seed": state["seed"],
        }
        return counted, {"loss": found.value.labelled("loss"), **found.aux}

    def _scheduled(self, counter: Any) -> Any:
        """The learning rate as a function of the step; None if the optimizer has none."""
        schedule = getattr(self.optimizer, "lr", None)
        return schedule(counter.astype(np.float32)) if callable(schedule) else schedule

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

    def entries(self) -> dict[str, EntryDef]:
        """The program's entry points."""
        scalars = {} if self.lr is None else {"lr": self.lr}
        labels = argument_names(self.loss, len(self.specs) + 1)[1:]
        entries = {
            "step": EntryDef(_labelled(self.step, labels), self.specs, True, scalars),
            "evaluate": EntryDef(_labelled(self._evaluate, labels), self.specs, False),
        }
        if self.predict is not None:
            count = max(1, _arity(self.predict) - 1)
            if count > len(self.specs):
                message = f"`predict` takes {count} arguments beside the model, the loss "
                message += f"{len(self.specs)}: what a batch is, the loss says"
                helps = ("write a `predict` of the model and inputs that the loss has too",)
                raise fail(ArgumentError, "GC514", message, helps=helps)
            labels = argument_names(self.predict, count + 1)[1:]
            predict = _labelled(self._predict, labels)
            entries["predict"] = EntryDef(predict, self.specs[:count], False)
        return entries

    def _evaluate(self, state: dict[str, Any], *batch: Any) -> Any:
        value, metrics = self.losses(state["params"], *batch)
        return {"loss": value, **metrics}

    def _predict(self, state: dict[str, Any], *args: Any) -> Any:
        assert self.predict is not None
        return self.predict(self.rebuild(state["params"]), *args)


def _check_metric(name: Any, value: Any) -> None:
    """A metric is a scalar with a name of its own."""
    if not isinstance(name, str) or name == "loss":
        message = f"{name!r} cannot name a metric"
        help_ = "the loss is reported as `loss` anyway" if name == "loss" else "use a string"
        raise error(TraceError, "GC517", message, helps=(help_,))
    shape = spec_of(value, name).shape if flatten(value)[1].kind == "leaf" else None
    if shape is None:
        message = f"metric `{name}` must be a scalar, got a `{type(value).__name__}`"
        raise error(TraceError, "GC517", message)
    if shape:
        message = f"metric `{name}` must be a scalar, got {spec_of(value)!r}"
        helps = ("reduce it, for example by `.mean()`",)
        raise error(ShapeError, "GC517", message, helps=helps)


def _arity(fn: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fn).parameters.values()
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


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
