"""Calls that do not fit the function that is called.

Enters: a public function and the arguments it was given. Leaves: what is wrong with the call, and
what to do about it, in words; or nothing, if the call is right. Always holds: only what Python's
own rules refuse is refused here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .namespace import nearest

F = TypeVar("F", bound=Callable[..., Any])

# What other libraries call an argument.
SYNONYMS = {
    "dim": "axis", "dims": "axis", "keepdim": "keepdims", "learning_rate": "lr", "rate": "lr",
    "random_state": "seed", "validation_data": "validation", "n_epochs": "epochs",
    "max_epochs": "epochs", "input_dim": "in_features", "units": "out_features",
    "use_bias": "bias", "unbiased": "correction", "static_argnums": "argnums",
}  # fmt: skip


def usage(text: str) -> Callable[[F], F]:
    """Decorate a public function: `text` is what to do about a call that does not fit it."""

    def decorate(function: F) -> F:
        function.usage = text  # type: ignore[attr-defined]
        return function

    return decorate


def misfit(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, list[str]] | None:
    """Message and helps for a call with too many, too few, or unknown arguments; else None."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # a function in C that does not say what it takes
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        name = shown_name(function)
        message, advice = _what_is_wrong(name, signature, args, kwargs)
        if advice:
            return message, [advice]
        helps = [function.usage] if hasattr(function, "usage") else []
        return message, [*helps, f"call it as `{call_form(name, signature)}`"]
    return None


def shown_name(function: Callable[..., Any]) -> str:
    """`Trainer.fit`, `SGD` for a constructor, `sum` for a method of arrays."""
    name = getattr(function, "__qualname__", "function").rpartition("<locals>.")[2]
    return name.removesuffix(".__init__").removeprefix("ArrayMethods.")


def call_form(name: str, signature: inspect.Signature) -> str:
    """`Linear(in_features, out_features, bias=..., *, rng=..., dtype=...)`."""
    parts: list[str] = []
    starred = False
    for p in _own(signature):
        if p.kind is p.VAR_POSITIONAL or (p.kind is p.KEYWORD_ONLY and not starred):
            parts.append(f"*{p.name}" if p.kind is p.VAR_POSITIONAL else "*")
            starred = True
        if p.kind is p.VAR_KEYWORD:
            parts.append(f"**{p.name}")
        elif p.kind is not p.VAR_POSITIONAL:
            parts.append(p.name if p.default is p.empty else f"{p.name}=...")
    return f"{name}({', '.join(parts)})"


def _own(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [p for p in signature.parameters.values() if p.name not in ("self", "cls")]


def _what_is_wrong(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, str]:
    """The message, and what to do if that can be said of this very argument."""
    parameters = _own(signature)
    by_name = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    by_position = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    given = len(args) - (len(signature.parameters) - len(parameters))
    for key in kwargs:
        if key in by_position[:given]:
            return f"`{name}` is given `{key}` twice, in its place and by name", ""
        if key not in by_name:
            meant = SYNONYMS.get(key, "")
            near = [meant] if meant in by_name else nearest(key, by_name)
            return (
                f"`{name}` has no argument `{key}`",
                f"write `{near[0]}=` instead of `{key}=`" if near else "",
            )
    if given > len(by_position):
        listed = f" ({', '.join(by_position)})" if by_position else ""
        count = f"{len(by_position)} {'argument' if len(by_position) == 1 else 'arguments'}"
        return f"`{name}` takes {count} in order{listed}, got {given}", ""
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in kwargs
        and p.name not in by_position[:given]
    ]
    return f"`{name}` needs {' and '.join(f'`{m}`' for m in missing)}", ""
