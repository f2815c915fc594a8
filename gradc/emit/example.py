"""The example `main.c` that is exported beside a program.

Enters: a program's entry points. Leaves: a C program that calls each of them once, on zeros. Always
holds: it compiles as it is, and shows everything a caller has to provide.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dtypes import c_name
from ..lower.pointwise import Names
from ..lower.reserved import GLOBAL
from .entry import Entry
from .writer import Writer


def example_main(name: str, entries: Sequence[Entry]) -> str:
    """A `main.c` for the program."""
    w, upper = Writer(), name.upper()
    has_state = any(e.has_state for e in entries)
    w.comment(
        f"main.c: how to call {name}.c; build with\n"
        f"cc -std=c11 -O3 -ffp-contract=fast -fno-math-errno main.c {name}.c -lm"
    )
    w.line(f'#include "{name}.h"')
    w.line()
    w.line("#include <stdio.h>")
    w.line()
    if has_state:
        w.line(f"static {name}_state state;")
    w.line("#ifdef __cplusplus")
    w.line("alignas(64)")
    w.line("#else")
    w.line("_Alignas(64)")
    w.line("#endif")
    w.line(f"static unsigned char arena[{upper}_ARENA_BYTES + 1];")
    w.line()
    w.line("int main(void)")
    with w.block(""):
        if has_state:
            w.line(f"{name}_init(&state, 1);")
        for e in entries:
            _call(w, name, e)
        w.line("return 0;")
    return w.text


def _call(w: Writer, name: str, e: Entry) -> None:
    function = f"{name}_{e.name}" if e.name else name
    names = Names(GLOBAL | {function})
    called = {a.identifier: names.fresh(a.identifier) for a in (*e.args, *e.outputs)}
    with w.block(""):
        for a in e.args:
            extent = f"[{max(a.size, 1)}] = {{0}}" if a.shape else " = 0"
            static = "static " if a.shape else ""
            w.line(f"{static}const {c_name(a.dtype)} {called[a.identifier]}{extent};")
        for a in e.pointers:
            w.line(f"static {c_name(a.dtype)} {called[a.identifier]}[{max(a.size, 1)}];")
        args = ["&state"] if e.has_state else []
        args += [called[a.identifier] for a in (*e.args, *e.pointers)]
        call = f"{function}({', '.join([*args, 'arena'])})"
        if e.returns_value:
            result = called[e.outputs[0].identifier]
            w.line(f"const {e.returns} {result} = {call};")
            w.line(f'printf("{function}: %g\\n", (double){result});')
            return
        w.line(f"{'(void)' if e.returns != 'void' else ''}{call};")
        w.line(f'printf("{function}: done\\n");')
