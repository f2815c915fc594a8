"""The example that is exported beside a program.

Enters: a program's interface. Leaves: a C program that calls each entry point. Always
holds: it compiles as it is, and shows everything a caller has to provide.
"""

from __future__ import annotations

from ..dtypes import c_name
from ..lower.pointwise import Names
from ..lower.reserved import GLOBAL
from .entry import Entry
from .interface import Interface
from .writer import Writer


def example_main(p: Interface) -> str:
    """The text of the example."""
    w, name = Writer(), p.name
    w.line(f'#include "{name}.h"')
    w.line()
    w.line("#include <stdio.h>")
    w.line()
    if p.layout is not None:
        w.line(f"static {name}_state state;")
    if p.arena_members:
        w.line(f"static {p.arena_type} arena;")
    w.line()
    w.line("int main(void)")
    with w.block(""):
        if p.layout is not None:
            w.line(f"{p.init}(&state, 1);")
        for e in p.entries:
            _call(w, p, e)
        w.line("return 0;")
    return w.text


def _call(w: Writer, p: Interface, e: Entry) -> None:
    function = p.function(e)
    names = Names(GLOBAL | {function})
    called = {a.identifier: names.fresh(a.identifier) for a in (*e.args, *e.outputs)}
    with w.block(""):
        for a in e.args:
            extent = f"[{max(a.size, 1)}]" if a.shape else " = 0"
            static = "static " if a.shape else "const "
            w.line(f"{static}{c_name(a.dtype)} {called[a.identifier]}{extent};")
        for a in e.pointers:
            w.line(f"static {c_name(a.dtype)} {called[a.identifier]}[{max(a.size, 1)}];")
        args = {"": [], "state": ["&state"], "params": ["&state.params"]}[e.scope]
        args += [called[a.identifier] for a in (*e.pointers, *e.arrays, *e.scalars)]
        call = f"{function}({', '.join([*args, *(['&arena'] if e.arena else [])])})"
        w.line(f'printf("{function}: %d\\n", (int){call});')
