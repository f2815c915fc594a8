"""One small program to build into a cache, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gradc.toolchain.build import NativeModule, build

PROGRAM = {
    "source": '#include "answer.h"\nint answer(void) { return 42 + OFFSET; }\n',
    "header": "int answer(void);\n",
    "cdef": "int answer(void);",
    "name": "answer",
}
RUNTIME = {"offset.h": ""}
POSIX = pytest.mark.skipif(os.name == "nt", reason="owners and modes are those of POSIX")

# Builds the program in a fresh interpreter and prints what came of it; started with the cache
# directory, the value of OFFSET, and the compiler.
SCRIPT = f"""
import sys
processes = []
sys.addaudithook(lambda event, args: event == "subprocess.Popen" and processes.append(args[1]))
from gradc.toolchain.build import build
directory, offset, compiler = sys.argv[1:]
module = build(**{PROGRAM!r}, runtime_headers={RUNTIME!r}, cflags=("-DOFFSET=" + offset,),
               cache_dir=directory, compiler=compiler or None)
heavy = [name for name in ("cffi", "networkx", "numpy", "filelock") if name in sys.modules]
print([module.lib.answer(), module.info.cached, len(processes), heavy])
"""


def build_answer(cache_dir: Path, offset: int = 0, **changes: Any) -> NativeModule:
    given = {**PROGRAM, "runtime_headers": RUNTIME, "cflags": (f"-DOFFSET={offset}",), **changes}
    return build(cache_dir=cache_dir, **given)


def start(cache_dir: Path, offset: int = 0, compiler: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(cache_dir), str(offset), compiler]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], seconds: int = 120) -> list[Any]:
    """[answer, cached, number of processes started, heavy imports] of a started build."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0
    result: list[Any] = json.loads(output.replace("'", '"').replace("T", "t").replace("F", "f"))
    return result


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry that another process has built; this one has not loaded it."""
    assert finish(start(tmp_path / "cache"))[:2] == [42, False]
    (found,) = (tmp_path / "cache").glob("answer-*")
    return found


def replace(path: Path, content: bytes) -> None:
    """Give a file other content, in a new file: what is loaded may still be in use."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
