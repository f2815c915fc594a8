"""A source file to point at: the fixture `source`, which a test file names as its own."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """`source(text)` writes model.py into the working directory and returns its full path."""
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "model.py")

    def write(text: str) -> str:
        Path(path).write_text(text, encoding="utf-8")
        linecache.checkcache(path)
        return path

    yield write
    linecache.cache.pop(path, None)
