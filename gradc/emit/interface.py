"""What a program offers to C: types, status codes, functions and their parameters.

Enters: the layout of the state and the entry points. Leaves: an `Interface`. Always holds: the
header, the definitions and the declarations for cffi come from the same place, this one; parameters
stand in the order state, outputs, inputs, scalars, arena.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..cnames import Names, identifier
from ..dtypes import DType, c_name, is_bool, item_bytes, short, u8
from ..lower.reserved import ACCESS
from ..plan.steps import Guard
from .entry import Argument, Check, Entry, aligned
from .layout import StateLayout
from .writer import Writer


@dataclass(frozen=True)
class Status:
    """One value that functions return: its enumerator, and what it means."""

    enumerator: str
    meaning: str


@dataclass(frozen=True)
class Interface:
    """The names and types by which C uses a program; `layout` is None for one without state."""

    name: str
    layout: StateLayout | None
    entries: Sequence[Entry]

    @property
    def upper(self) -> str:
        return self.name.upper()

    # Status codes

    @property
    def prefix(self) -> str:
        """What enumerators begin with: the program's name, where that gives no known macro."""
        return f"GRADC_{self.upper}" if self.upper in ACCESS else self.upper

    @property
    def ok(self) -> str:
        return f"{self.prefix}_OK"

    @cached_property
    def _ranges(self) -> dict[tuple[str, int, int], Status]:
        """The status of each argument's range; one that differs between entry points has two."""
        names = Names(frozenset({self.ok, self.order_out_of_range}))
        found: dict[tuple[str, int, int], Status] = {}
        for e in self.entries:
            refusals: tuple[Check | Guard, ...] = (*e.checks, *e.guards)
            for c in refusals:
                word = self._refused(e, c)
                key = (word, c.lower, c.upper)
                if key in found:
                    continue
                if any(known == word for known, _, _ in found):
                    word = f"{e.name}_{word}"
                enumerator = names.fresh(f"{self.prefix}_{word.upper()}_OUT_OF_RANGE")
                several = isinstance(c, Guard) or bool(e.args[c.position].shape)
                what = "has an element" if several else "is"
                text = f"`{key[0]}` {what} outside {c.lower}..{c.upper - 1}"
                found[key] = Status(enumerator, text)
        return found

    @property
    def order_out_of_range(self) -> str:
        return f"{self.prefix}_ORDER_OUT_OF_RANGE"

    @property
    def wrong_file(self) -> str:
        return f"{self.prefix}_WRONG_FILE"

    def refusal(self, e: Entry, c: Check | Guard) -> str:
        """The enumerator of a check or a guard that ends the function."""
        return self._ranges[(self._refused(e, c), c.lower, c.upper)].enumerator

    @staticmethod
    def _refused(e: Entry, c: Check | Guard) -> str:
        """The name of what lies outside its range."""
        return identifier(c.what) if isinstance(c, Guard) else e.args[c.position].identifier

    @property
    def statuses(self) -> tuple[Status, ...]:
        """What functions return, from 0 on; none if no function returns a status."""
        if not self.layout and all(e.returns_value for e in self.entries):
            return ()
        file = Status(self.wrong_file, "not the parameters of this model, cut short, or changed")
        order = Status(self.order_out_of_range, "`order` names a row that is not there")
        return (
            Status(self.ok, ""),
            *self._ranges.values(),
            *([order] if any(e.repeats for e in self.entries) else []),
            *([file] if self.has_params else []),
        )

    # Arena

    @property
    def arena_type(self) -> str:
        return f"{self.name}_arena"

    @cached_property
    def arena_members(self) -> tuple[tuple[str, DType, int], ...]:
        """Field, dtype and number of elements of each array in the arena; they share one place."""
        sizes: dict[DType, int] = {}
        for e in self.entries:
            for dtype, size in e.arena.items():
                kind = u8.dtype if is_bool(dtype) else dtype
                sizes[kind] = max(sizes.get(kind, 0), size)
        return tuple(
            (self.arena_field(dtype), dtype, -(-sizes[dtype] // item_bytes(dtype)))
            for dtype in sorted(sizes, key=lambda d: (-sizes[d], d.name))
        )

    @staticmethod
    def arena_field(dtype: DType) -> str:
        """The array of the arena that holds elements of this dtype: `f32`."""
        return short(u8.dtype if is_bool(dtype) else dtype, ()).removesuffix("[]")

    @property
    def arena_bytes(self) -> int:
        """`sizeof` of the arena; 0 if no function needs one."""
        return max((aligned(n * item_bytes(d)) for _, d, n in self.arena_members), default=0)

    def has_steps_arena(self, e: Entry) -> bool:
        """Whether many steps need room beside the arena of one, for the batch they gather."""
        return bool(e.gathered)

    def steps_arena_type(self, e: Entry) -> str:
        return f"{self.function(e)}s_arena"

    def steps_arena_members(self, e: Entry) -> list[tuple[str, Argument]]:
        """The gathered arrays by field."""
        names = Names(frozenset({"step"}))
        return [(names.fresh(a.identifier), a) for a in e.gathered]

    def steps_arena_bytes(self, e: Entry) -> int:
        """What many steps need in all."""
        own = self.arena_bytes if e.arena else 0
        return own + sum(aligned(a.nbytes) for a in e.gathered)

    # Functions

    def function(self, e: Entry) -> str:
        return f"{self.name}_{e.name}" if e.name else self.name

    @property
    def init(self) -> str:
        return f"{self.name}_init"

    # The file of the parameters

    @property
    def has_params(self) -> bool:
        """Whether the parameters are a struct, which can be loaded."""
        return self.layout is not None and self.layout.params is not None

    @property
    def load(self) -> str:
        return f"{self.name}_load"

    @property
    def file_identity(self) -> str:
        return f"{self.prefix}_FILE_ID"

    @property
    def file_size(self) -> str:
        return f"{self.prefix}_FILE_BYTES"

    @property
    def type_names(self) -> dict[str, str]:
        """Every type of the program, and what it is."""
        found: dict[str, str] = {}
        if self.layout is not None:
            found[f"{self.name}_state"] = "struct"
            found |= {s.type: "struct" for s in self.layout.sections}
        if self.arena_members:
            found[self.arena_type] = "struct" if len(self.arena_members) == 1 else "union"
        return found | {
            self.steps_arena_type(e): "struct" for e in self.entries if self.has_steps_arena(e)
        }

    def returns(self, e: Entry) -> str:
        return c_name(e.outputs[0].dtype) if e.returns_value else "int"

    def params(self, e: Entry) -> list[str]:
        params: list[str] = []
        if e.scope:
            params.append(f"{'' if e.updates else 'const '}{self.name}_{e.scope} *{e.scope}")
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.pointers]
        params += [f"const {c_name(a.dtype)} *{a.identifier}" for a in e.arrays]
        params += [f"{c_name(a.dtype)} {a.identifier}" for a in e.scalars]
        return [*params, *([f"{self.arena_type} *arena"] if e.arena else [])]

    def arguments(self, e: Entry) -> list[str]:
        """The names of the parameters, in order."""
        given = [a.identifier for a in (*e.pointers, *e.arrays, *e.scalars)]
        return [*([e.scope] if e.scope else []), *given, *(["arena"] if e.arena else [])]

    def example_call(self, e: Entry, values: Mapping[str, str]) -> str:
        """A call of the function by one who holds `state` and `arena`; `values` are what stands for
        some of the other parameters, by their names.
        """
        where = {"": [], "params": ["&state.params"], "state": ["&state"]}[e.scope]
        named = [(a, values.get(a.identifier, a.identifier)) for a in e.pointers]
        args = [*where, *(name if a.shape else f"&{name}" for a, name in named)]
        args += [values.get(a.identifier, a.identifier) for a in (*e.arrays, *e.scalars)]
        return f"{self.function(e)}({', '.join([*args, *(['&arena'] if e.arena else [])])})"

    def signature(self, w: Writer, e: Entry, end: str) -> None:
        params = self.params(e) or ["void"]
        w.call(f"{self.returns(e)} {self.function(e)}", params, end)

    def many_params(self, e: Entry) -> list[str]:
        params = [f"{self.name}_state *state"]
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.outputs]
        params += ["size_t *done"]
        params += [f"const {c_name(a.dtype)} *{a.identifier}" for a in e.arrays]
        params += ["size_t samples", "const uint32_t *order", "size_t count"]
        params += [f"{c_name(a.dtype)} {a.identifier}" for a in e.scalars]
        if self.has_steps_arena(e):
            return [*params, f"{self.steps_arena_type(e)} *arena"]
        return [*params, *([f"{self.arena_type} *arena"] if e.arena else [])]

    def many_signature(self, w: Writer, e: Entry, end: str) -> None:
        w.call(f"int {self.function(e)}s", self.many_params(e), end)

    # Descriptions

    def describe(self, e: Entry) -> str:
        """One sentence on a function: results, arguments, shapes, ranges."""
        ranges = {c.position: f" within {c.lower}..{c.upper - 1}" for c in e.checks}
        args = [
            f"{a.identifier} {short(a.dtype, a.shape)}{ranges.get(k, '')}"
            for k, a in enumerate(e.args)
        ]
        outs = [f"{a.identifier} {short(a.dtype, a.shape)}" for a in e.outputs]
        text = f"{e.name or self.name}: {', '.join(outs) or 'no result'}"
        text += f" from {', '.join(args)}" if args else ""
        return f"{text}; replaces the state." if e.updates else f"{text}."

    def describe_many(self, e: Entry) -> str:
        results = ", ".join(f"{a.identifier}[k]" for a in e.outputs)
        rows = f"rows order[{e.batch} k], ..." if e.batch != 1 else "row order[k]"
        return (
            f"{e.name}s: `count` steps. Step k takes the {rows} of the data, which has `samples`"
            f" rows{f', and gives {results}' if results else ''}. It stops at a step that fails,"
            " of which nothing is written: `*done` steps were done before it."
        )
