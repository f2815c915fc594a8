"""`Module`: an object that holds arrays, and other modules.

Enters: attributes, set as on any Python object. Leaves: the arrays among them by dotted path.
Always holds: there is no registration; whatever array can be reached through attributes, lists,
tuples and dicts is a parameter, and everything else is configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ..dtypes import short
from ..errors import UnsupportedError, user_errors
from ..trace import error, spec_of
from ..tree import leaves_with_paths


class Module:
    """Base class of layers and models: an object that holds arrays, and other modules.

        class MLP(nn.Module):
            def __init__(self, rng):
                self.fc1 = nn.Linear(784, 128, rng=rng)
                self.fc2 = nn.Linear(128, 10, rng=rng)

            def __call__(self, x):
                return self.fc2(nn.relu(self.fc1(x)))

    There is nothing to register: every array among its attributes, also in lists, tuples, dicts and
    other modules there, is a parameter under its dotted path, such as `fc1.weight`. An array
    reached by two paths is one parameter (tied weights). Numbers, strings and functions are
    configuration.
    """

    @user_errors
    def __call__(self, *args: Any, **options: Any) -> Any:
        """A model that is written as PyTorch's are has a `forward` in the place of `__call__`."""
        forward = getattr(self, "forward", None)
        if forward is None:
            raise error(
                UnsupportedError,
                "GC329",
                f"`{type(self).__name__}` does not say what it computes",
                helps=("write `def __call__(self, x): ...` in the class",),
            )
        return forward(*args, **options)

    def tree_children(self) -> Mapping[str, Any]:
        return vars(self)

    def tree_rebuild(self, parts: Mapping[str, Any]) -> Self:
        rebuilt = object.__new__(type(self))
        vars(rebuilt).update(parts)
        return rebuilt

    def parameters(self) -> dict[str, Any]:
        """The arrays by dotted path: `{"fc1.weight": ..., "fc1.bias": ...}`."""
        return dict(leaves_with_paths(self))

    def __repr__(self) -> str:
        lines = []
        for path, array in self.parameters().items():
            spec = spec_of(array)
            lines.append(f"\n  {path}: {short(spec.dtype, spec.shape)}")
        return f"{type(self).__name__}({''.join(lines)}\n)" if lines else f"{type(self).__name__}()"
