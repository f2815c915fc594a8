"""What every compiled object shows of itself.

Enters: a `Core`. Leaves: the properties that `Function`, `Program` and `TrainStep` have in common.
Always holds: none of them but `build` needs a C compiler.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..pipeline import Compiled
from ..plan.memory import MemoryPlan
from .core import Core
from .describe import KernelInfo, Stage

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo


class Visible:
    """The base of what the user holds."""

    _core: Core

    @property
    def compiled(self) -> Compiled:
        """The result of the pipeline: every entry point's graph, groups, kernels and plan."""
        return self._core.compiled

    @property
    def source(self) -> str:
        """The C file."""
        return self._core.source

    @property
    def header(self) -> str:
        """Its header."""
        return self._core.header

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

    def export(self, directory: str | Path) -> list[Path]:
        """Write the C into a folder, `directory`, which is made if missing; the paths of the files.

        They are the source, the header, the runtime headers it uses and an example,
        `NAME_example.c`.
        """
        return self._core.export(directory)
