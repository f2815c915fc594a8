"""Wrong inputs as tables: what was typed, which error it gets, what the error says.

A `Wrong` is a few lines of Python as a user would write them, of which the one at fault ends in
`# here`. `check` runs them as a file of their own and asks of every error the same: that it points
at that line, shows no frame of gradc, names no class of gradc's inside, and says what to do.
"""

from __future__ import annotations

import linecache
import re
import textwrap
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

import gradc
from gradc.errors import GradcError

PACKAGE = str(Path(gradc.__file__).parent)

# Classes that a user of gradc never meets.
INTERNAL = re.compile(
    r"\b(Value|Leaf|Tree|Trace|Traced|Recipe|Core|Columns|Batches|EntryDef|EntryTrace|ScalarType"
    r"|NativeEntry|StateLeaves|Nesting|Quick|Builder|ArrayMethods|_\w+Error|dispatch|apply_\w+)\b"
)

# A help is an action: it begins with one of these verbs.
ACTIONS = set(
    """
    add call cast choose combine compare compile compute convert count do draw drop exchange
    flatten give install keep leave look lower make mend move name pass pick put raise read reduce
    remove repeat reshape return round run set sort split stack subtract take train trace transpose
    turn use write
    """.split()
)

PREAMBLE = """
import functools, math, operator
import numpy as np
import gradc as gd
from gradc import nn, optim

class MLP(nn.Module):
    def __init__(self):
        self.fc1 = nn.Linear(6, 5, rng=0)
        self.fc2 = nn.Linear(5, 3, rng=1)
    def __call__(self, x):
        return self.fc2(nn.relu(self.fc1(x)))

def loss(model, x, y):
    return nn.cross_entropy(model(x), y)

X = np.zeros((4, 6), np.float32)
Y = np.zeros(4, np.int32)
SPECS = gd.f32[4, 6], gd.i32[4]

def training_step(**options):
    return gd.train_step(loss, MLP(), optim.SGD(lr=0.1), *SPECS, name="wrong", **options)
"""


@dataclass(frozen=True)
class Wrong:
    """One wrong input: `typed` names it, `source` is the code, `says` are parts of the message."""

    typed: str
    source: str
    kind: type[BaseException]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


def in_function(typed: str, kind: type[BaseException], *says: str, before: str = "") -> Wrong:
    """A statement in a traced function of x f32[4, 3], n i32[], i i32[4] and table f32[10, 3]."""
    lines = ["def traced(x, n, i, table):", *(f"    {line}" for line in before.splitlines())]
    lines += [f"    {typed}  # here", "    return x"]
    specs = "gd.f32[4, 3], gd.i32[()], gd.i32[4], gd.f32[10, 3]"
    return Wrong(typed, "\n".join([*lines, f"gd.trace(traced, {specs})"]), kind, says)


def step_of(typed: str, kind: type[BaseException], *says: str, before: str = "", **never) -> Wrong:
    """A training step made of `typed`, the arguments of `gd.train_step`."""
    return Wrong(typed, f"{before}\ngd.train_step({typed})  # here", kind, says, **never)


def line(typed: str, kind: type[BaseException], *says: str, before: str = "") -> Wrong:
    """A statement of its own."""
    return Wrong(typed, f"{before}\n{typed}  # here", kind, says)


def raised(case: Wrong, folder: Path) -> BaseException | None:
    """What running the case as a file raises."""
    source = PREAMBLE + textwrap.dedent(case.source).strip() + "\n"
    file = folder / "wrong.py"
    file.write_text(source, encoding="utf-8")
    linecache.checkcache(str(file))
    module = types.ModuleType("wrong")
    module.__file__ = str(file)
    try:
        exec(compile(source, str(file), "exec"), vars(module))
    except BaseException as error:
        return error
    return None


def check(case: Wrong, folder: Path) -> None:
    """All that an error must be."""
    error = check_plain(case, folder)
    assert isinstance(error, GradcError)
    assert re.fullmatch(r"GC\d{3}", error.diagnostic.code)
    helps = error.diagnostic.helps
    assert helps, "an error says what to do"
    for text in helps:
        assert re.split(r"\W", text)[0] in ACTIONS, text
    assert "# here" in place(error, folder), text


def check_plain(case: Wrong, folder: Path) -> BaseException:
    """What an error must be that Python itself raised in the user's code."""
    error = raised(case, folder)
    assert isinstance(error, case.kind), repr(error)
    text = str(error)
    for part in case.says:
        assert part in text
    for part in case.never:
        assert part not in text
    shown = "".join(traceback.format_exception(error))
    assert not [line for line in shown.splitlines() if f'File "{PACKAGE}' in line]
    assert not INTERNAL.search(text)
    return error


def place(error: GradcError, folder: Path) -> str:
    """The user's line that an error points at: its label's, else that of the traceback's end."""
    file = str(folder / "wrong.py")
    if error.diagnostic.labels:
        span = error.diagnostic.labels[0].span
        assert span.file == file
        return linecache.getline(file, span.end_line) + linecache.getline(file, span.line)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return "".join(linecache.getline(file, f.lineno or 0) for f in frames)
