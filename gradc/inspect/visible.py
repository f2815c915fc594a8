"""What every compiled object shows of itself.

Enters: a `Compiled` program. Leaves: the properties that `Function`, `Program` and `TrainStep` have
in common. Always holds: none of them needs a C compiler.
"""

from __future__ import annotations

from ..pipeline import Compiled
from ..plan.memory import MemoryPlan
from .describe import KernelInfo, kernel_infos, plans


class Visible:
    """The base of what can be looked into: whoever derives from it has a `compiled` program."""

    @property
    def compiled(self) -> Compiled:
        """The result of the pipeline: every entry point's graph, groups, kernels and plan."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What it is called."""
        return self.compiled.name

    @property
    def source(self) -> str:
        """The C file."""
        return self.compiled.emitted.source

    @property
    def header(self) -> str:
        """Its header."""
        return self.compiled.emitted.header

    @property
    def plans(self) -> dict[str, MemoryPlan]:
        """The memory plan of each entry point."""
        return plans(self.compiled)

    @property
    def kernels(self) -> list[KernelInfo]:
        """Every C function with its work, in the order of the calls."""
        return kernel_infos(self.compiled)
