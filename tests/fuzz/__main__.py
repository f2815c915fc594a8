"""Random programs under the sanitizers, or with default flags: a target of its own.

    python -m tests.fuzz --programs 2000 --compiler gcc --seed 0
    python -m tests.fuzz --programs 2000 --compiler clang --seed 1 --target avx2
    python -m tests.fuzz --programs 1000 --compiler gcc --default-flags

Run it from the repository's folder. It prints what failed with the seed that makes it again (for
`--only KIND SEED`) and ends with 1 if anything did. The test suite runs a sample.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from batches import KINDS, Way, failures  # noqa: E402
from sanitized import TARGETS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--programs", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--batch", type=int, default=40, help="programs to a C file (default: 40)")
    parser.add_argument("--compiler", default="gcc", help="gcc, clang or another (default: gcc)")
    parser.add_argument("--target", default="native", choices=sorted(TARGETS))
    parser.add_argument("--seed", default="0", help="begins the seed of every program")
    parser.add_argument("--default-flags", action="store_true", help="gradc's own, no sanitizer")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "SEED"), help="one program, again")
    given = parser.parse_args()
    way = Way(given.compiler, given.target, not given.default_flags)
    seeds = [(KINDS[k % len(KINDS)], f"{given.seed} {k}") for k in range(given.programs)]
    if given.only:
        seeds = [tuple(given.only)]
    found, start = 0, time.monotonic()
    for first in range(0, len(seeds), given.batch):
        batch = seeds[first : first + given.batch]
        for failure in failures(batch, way):
            found += 1
            print(f"FAILED: {failure.kind} {failure.seed!r}\n{failure.report}", flush=True)
        done, seconds = first + len(batch), time.monotonic() - start
        print(f"{done} programs, {found} findings, {seconds:.0f} s ({way})", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
