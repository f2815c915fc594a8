"""An entry point as C sees it: its arguments, its result, its signature, its description.

Enters: a planned entry point. Leaves: the parts of its declaration. Always holds: the declaration
in the header, the definition in the source and the one for cffi come from the same place, this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import DType, c_name, is_float, item_bytes, short
from ..lower.bind import EntryPlan
from .writer import Writer


def aligned(n: int) -> int:
    """`n` bytes rounded up to whole cache lines."""
    return -(-n // 64) * 64


@dataclass(frozen=True)
class Argument:
    """An input or output of an entry point: the C name, and what the user calls it."""

    identifier: str
    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        total = 1
        for n in self.shape:
            total *= n
        return total


@dataclass(frozen=True)
class Check:
    """Integers of argument `position` must satisfy lower <= x < upper."""

    position: int
    lower: int
    upper: int


@dataclass(frozen=True)
class Entry:
    """One entry point: `args` and `outputs` in order; `batch` rows if it can be run many times."""

    name: str
    plan: EntryPlan
    args: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    updates: bool
    checks: tuple[Check, ...] = ()
    batch: int | None = None
    has_state: bool = True

    @property
    def returns_value(self) -> bool:
        """Whether the first output, a floating-point scalar, is the C function's result."""
        return bool(self.outputs) and not self.outputs[0].shape and is_float(self.outputs[0].dtype)

    @property
    def pointers(self) -> tuple[Argument, ...]:
        return self.outputs[1:] if self.returns_value else self.outputs

    @property
    def returns(self) -> str:
        if self.returns_value:
            return c_name(self.outputs[0].dtype)
        return "int" if self.checks else "void"

    @property
    def repeats(self) -> bool:
        """Whether there is a function that runs it many times."""
        return self.updates and self.batch is not None

    @property
    def staging_bytes(self) -> int:
        """Room for one gathered batch, after the step's own arena."""
        if self.batch in (None, 1):
            return 0
        return sum(aligned(a.size * item_bytes(a.dtype)) for a in self.args if a.shape)


@dataclass(frozen=True)
class Declarations:
    """The C declarations of a program's entry points."""

    name: str

    def describe(self, e: Entry) -> str:
        args = ", ".join(f"{a.identifier} {short(a.dtype, a.shape)}" for a in e.args)
        outs = ", ".join(f"{a.identifier} {short(a.dtype, a.shape)}" for a in e.outputs)
        text = f"{e.name or self.name}: takes {args or 'nothing'}; gives {outs or 'nothing'}"
        if e.updates:
            text += ", and replaces the state"
        for c in e.checks:
            text += f"; {e.args[c.position].identifier} must lie in {c.lower}..{c.upper - 1}"
        if e.checks:
            failed = "NAN" if e.returns_value else "1 + the argument's position (else 0)"
            text += f", else nothing is done and the result is {failed}"
        return text

    def describe_many(self, e: Entry) -> str:
        results = ", ".join(a.identifier for a in e.outputs) or "result"
        rows = f"rows order[k * {e.batch}] ..." if e.batch != 1 else "row order[k]"
        return (
            f"{e.name}s: `count` steps; step k takes the {rows} of the data,"
            f" which has `samples` rows; one {results} a step; returns the number of steps done,"
            " fewer than `count` only when `order` names a row that is not there"
        )

    def function_name(self, e: Entry) -> str:
        return f"{self.name}_{e.name}" if e.name else self.name

    def params(self, e: Entry) -> list[str]:
        params: list[str] = []
        if e.has_state:
            params.append(f"{'' if e.updates else 'const '}{self.name}_state *state")
        for a in e.args:
            star = "*" if a.shape else ""
            params.append(f"const {c_name(a.dtype)} {star}{a.identifier}".replace("* ", "*"))
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.pointers]
        return [*params, "void *arena"]

    def signature(self, w: Writer, e: Entry, end: str) -> None:
        w.call(f"{e.returns} {self.function_name(e)}", self.params(e), end)

    def many_params(self, e: Entry) -> list[str]:
        params = [f"{self.name}_state *state"]
        params += [f"const {c_name(a.dtype)} *{a.identifier}" for a in e.args if a.shape]
        params += ["size_t samples", "const uint32_t *order", "size_t count"]
        params += [f"const {c_name(a.dtype)} {a.identifier}" for a in e.args if not a.shape]
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.outputs]
        return [*params, "void *arena"]

    def many_signature(self, w: Writer, e: Entry, end: str) -> None:
        w.call(f"size_t {self.function_name(e)}s", self.many_params(e), end)
