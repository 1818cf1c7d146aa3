"""The fuzzer's command: `python -m city_data_tests.fuzz --cases 20000 --provider madrid_opendata --seed 1`.

Belongs here: arguments, progress, the summary and the exit code, 1 where a case failed. Does not: cases (running.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from city_data.providers import discover
from city_data_tests.fuzz.running import run

_TOLD_EVERY = 1_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m city_data_tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000, help="how many, of each provider")
    parser.add_argument("--provider", action="append", choices=sorted(discover()), help="all, where none is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("fuzz-failures"), help="where cases that failed are kept")
    asked = parser.parse_args(arguments)
    failed = 0
    for provider in asked.provider or sorted(discover()):
        started = time.monotonic()

        def tell(done: int, provider: str = provider, started: float = started) -> None:
            if done % _TOLD_EVERY == 0:
                sys.stderr.write(f"{provider}: {done:,} cases in {time.monotonic() - started:.0f} s\n")

        tally = run(provider, asked.cases, asked.seed, tell)
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.kinds.items()))
        sys.stdout.write(f"{provider}: {kinds}; {time.monotonic() - started:.0f} s\n")
        for failure in tally.failures:
            place = failure.save(asked.folder)
            sys.stdout.write(f"  {place}: {failure.verdict.kind}: {failure.verdict.words[:300]}\n")
        failed += len(tally.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
