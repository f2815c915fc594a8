"""What every test shares: a private build cache, one hypothesis profile, golden files, skips.

The build cache is a temporary folder that lives as long as the test run (all its processes), so
that a program built by two tests is compiled once and the user's own cache is neither read nor
written. Hypothesis draws the same examples on every run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parent
CACHE_VARIABLE = "GRADC_CACHE_DIR"

settings.register_profile(
    "gradc",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gradc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-golden",
        action="store_true",
        help="write what the compiler emits now into tests/golden/ instead of comparing with it",
    )


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist, which inherits its parent's cache."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if not is_worker(config):
        os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="gradc-test-cache-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not is_worker(config) and (cache := os.environ.pop(CACHE_VARIABLE, None)):
        shutil.rmtree(cache, ignore_errors=True)


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`check_golden(name, text)`: assert that `text` is the content of tests/golden/`name`.

    With `--renew-golden` the file is written instead; the difference then shows in git.
    """
    renew = request.config.getoption("--renew-golden")

    def compare(name: str, text: str) -> None:
        path = TESTS / "golden" / name
        if renew:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: run pytest with --renew-golden"
        assert text == path.read_text(encoding="utf-8"), (
            f"{name} changed; if that is meant, run pytest with --renew-golden and commit it"
        )

    return compare
