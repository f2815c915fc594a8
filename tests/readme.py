"""The blocks of a Markdown file, and what it takes to run them as a reader would.

`blocks` finds them: fenced ones, and indented ones, which have no language. `run_python` executes
one and compares what it shows: a comment that begins with `->` is the value of the expression
before it, or what that line prints. `run_shell` runs a block's lines one after the other.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULT = "->"


@dataclass(frozen=True)
class Block:
    """One block: the heading it stands under, its number there, its language, text and line."""

    heading: str
    number: int
    language: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """`A model 2`: the second block under that heading."""
        return f"{self.heading} {self.number}"


def blocks(markdown: str) -> Iterator[Block]:
    """Every block of code, in order."""
    heading, number = "", 0
    language: str | None = None  # of the block that is open; "" is an indented one
    lines: list[str] = []
    start = 0
    for at, line in enumerate([*markdown.splitlines(), "."], 1):
        fenced, indented = line.startswith("```"), line.startswith("    ")
        if language is None and fenced:
            language, lines, start = line[3:].strip() or "text", [], at + 1
        elif language is None and indented:
            language, lines, start = "", [line[4:]], at
        elif (language and fenced) or (language == "" and line and not indented):
            number += 1
            yield Block(heading, number, language, "\n".join(lines).rstrip() + "\n", start)
            language = None
        elif language is not None:
            lines.append(line[4:] if language == "" else line)
        if language is None and line.startswith("## "):
            heading, number = line[3:], 0


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Execute a block in the namespace `names`, and compare the results that it shows."""
    file = f"README.md:{block.line}"
    comments = _comments(block.text)
    for statement in ast.parse(block.text, file).body:
        printed = io.StringIO()
        value = None
        with contextlib.redirect_stdout(printed):
            if isinstance(statement, ast.Expr):
                expression = ast.Expression(statement.value)
                value = eval(compile(expression, file, "eval"), names)
            else:
                exec(compile(ast.Module([statement], []), file, "exec"), names)
        comment = comments.get(statement.end_lineno or 0, "")
        if comment.startswith(RESULT):
            line = block.line + (statement.end_lineno or 1) - 1
            shown = comment.removeprefix(RESULT).strip()
            got = printed.getvalue().strip() or repr(value)
            assert got == shown, f"README.md:{line} shows {shown}, which is {got}"


def _comments(source: str) -> dict[int, str]:
    """The comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string[1:].strip() for t in tokens if t.type == tokenize.COMMENT}


def run_shell(block: Block, folder: Path) -> None:
    """Run the lines of a block in `folder`; the commands are those of the running Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for line in re.split(r"(?<!\\)\n", block.text.strip()):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
