"""`train_step`: from a loss, a model and an optimizer to a compiled step.

Enters: a loss, a model, an optimizer and the specs of a batch. Leaves: a `TrainStep`. Always holds:
what was given is checked before anything is traced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import user_errors
from .entries import StateLeaves, state_leaves
from .ingredients import batch_specs, check_ingredients
from .names import program_name
from .options import make_options
from .recipe import Recipe
from .step import TrainStep, make_step


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
    """Compile `loss(model, *batch)`, its gradients and the optimizer's update into one step.

    `loss` returns a scalar of float32 or float64, or (scalar, {name: metric}), where a metric is a
    scalar too. `model` is an `nn.Module` or any nesting of arrays, whose values are the initial
    parameters; those of float32 and float64 are trained. `optimizer` is one of `gd.optim`, or any
    object with their `init(params)` and `update(params, grads, state, lr)`; a number as its `lr` is
    the default of an argument of the step, a function of the step counter is traced in.

    `specs` are the shapes and dtypes of a batch, one for each further argument of the loss
    (`gd.f32[64, 784], gd.i32[64]`); a first extent that all share is the number of rows.
    `predict(model, x, ...)` becomes `step.predict`; its arguments are the first of the batch.

    `name` is what the C functions are called, a C identifier. `target` is "native" (the vector unit
    of this machine) or "portable" (plain ISO C). `compiler` is a command, such as "clang" or "zig";
    without it `$CC` decides, else what is found. `cflags` are added to gradc's own flags.
    `cache_dir` is where builds are kept.

    Returns a `gd.TrainStep`. Raises `TraceError` for a loss that is no scalar or a parameter that
    no gradient reaches; `ShapeError`, `DTypeError` or `UnsupportedError` at the line that cannot be
    traced; `ArgumentError` for an argument that means nothing. The first call raises `BuildError`
    if there is no C compiler or it refuses.
    """
    options = make_options(program_name(name), target, compiler, cflags, cache_dir)
    check_ingredients(loss, model, optimizer, specs, predict)
    recipe = Recipe(loss, model, optimizer, batch_specs(specs), predict)
    known = state_leaves(recipe.state, _display)
    return make_step(recipe, _placed(known, recipe.sections()), options, None)


def _display(path: str) -> str:
    """What C calls a leaf: `fc1.weight`, `momentum.fc1.weight`, `step`."""
    return path.removeprefix("params.").removeprefix("opt.")


def _placed(known: StateLeaves, sections: Mapping[str, tuple[str, str]]) -> StateLeaves:
    """The leaves with the struct each belongs to; `seed` is set when the state is initialised.

    A struct is made only where none of its arrays is tied to one that lies elsewhere.
    """
    found = [sections.get(leaf.name, ("", "")) for leaf in known.leaves]
    counts = Counter(section for section, _ in found)
    whole = {section for section, n in counts.items() if n == counts["params"]}
    placed = []
    for leaf, (section, field) in zip(known.leaves, found, strict=True):
        if section in whole:
            leaf = replace(leaf, section=section, field=field)
        placed.append(replace(leaf, recipe=("seed",)) if leaf.name == "seed" else leaf)
    parameters = [k for k, (section, _) in enumerate(found) if section == "params"]
    return replace(known, leaves=tuple(placed), parameters=tuple(parameters))
