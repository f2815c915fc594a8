"""What the objects that users hold have in common: looking into them, building, calling.

Enters: a `Core`. Leaves: the bases of `Function`, `Program` and `TrainStep`. Always holds: nothing
but `build`, and the first call, needs a C compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..inspect.describe import Stage
from ..inspect.visible import Visible
from ..pipeline import Compiled
from .core import Core

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo


class Held(Visible):
    """The base of what the user holds."""

    _core: Core

    @property
    def compiled(self) -> Compiled:
        """The result of the pipeline: every entry point's graph, groups, kernels and plan."""
        return self._core.compiled

    @property
    def stages(self) -> list[Stage]:
        """What each stage of the compilation did."""
        return self._core.stages

    def build(self) -> BuildInfo:
        """Compile to native code now; otherwise the first call does."""
        return self._core.build()

    def export(self, directory: str | Path) -> list[Path]:
        """Write the C into a folder, `directory`, which is made if missing; the paths of the files.

        They are the source, the header, the runtime headers it uses and an example,
        `NAME_example.c`.
        """
        return self._core.export(directory)


class Quick:
    """Base of what is called through a function of its own.

    Python looks `__call__` up on the class and there finds the slot, which gives the function that
    the instance holds: no layer of Python lies between `step(x, y)` and the generated function.
    """

    __slots__ = ("__call__",)
    if TYPE_CHECKING:

        def __call__(self, *args: Any, **options: Any) -> Any: ...

    def _called_through(self, function: Callable[..., Any]) -> None:
        self.__call__ = function  # type: ignore[method-assign]
