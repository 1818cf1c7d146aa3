"""The command of `make chaos`: `python -m city_data_tests.chaos --seed S --minutes M`.

Belongs here: arguments, a line a fault, the table and the exit code, 1 where something did not hold. Does not: the loop
(running.py).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from city_data.cli.stay_up import stop_in_order_on_signals
from city_data_tests.chaos.faults import DISK_FULL, FAULTS
from city_data_tests.chaos.machine import Machine
from city_data_tests.chaos.running import Outcome, order, own_disk, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m city_data_tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the order and of every choice")
    parser.add_argument("--minutes", type=float, default=10.0, help="after the first start")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="all, where none is named")
    parser.add_argument("--count", type=int, help="at most so many faults")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies every deadline, at least")
    parser.add_argument("--prepared", type=Path, help="copy of a loaded home, made where missing: saves its backfill")
    parser.add_argument("--keep", type=Path, help="folder for the home and the logs, which stay there")
    options = parser.parse_args(arguments)
    outcomes: list[Outcome] = []

    def is_over(done: int, seconds: float) -> bool:
        return seconds > options.minutes * 60 or (options.count is not None and done >= options.count)

    stop_in_order_on_signals()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="city_data-chaos-"))
    with own_disk(folder / "home") as has_disk:
        if not has_disk:
            sys.stdout.write(f"{DISK_FULL}: skipped, since only root can give the home a file system of its own\n")
        machine = Machine(folder, patience=options.patience)
        try:
            names = order(options.seed, options.fault or [name for name in FAULTS if has_disk or name != DISK_FULL])
            for outcome in run(machine, options.seed, names, is_over, options.prepared):
                outcomes.append(outcome)
                _print_outcome(len(outcomes), outcome)
                if outcome.failures:
                    shutil.copytree(machine.home / "logs", folder / f"logs-{len(outcomes)}")
        finally:
            machine.kill_all()
    sys.stdout.write(table(options.seed, outcomes))
    if any(outcome.failures for outcome in outcomes):
        sys.stdout.write(f"the logs are in {folder}\n")
        return 1
    if options.keep is None:
        shutil.rmtree(folder)
    return 0


def _print_outcome(number: int, outcome: Outcome) -> None:
    load = "" if outcome.load == "nothing" else f" during a {outcome.load}"
    words = "holds" if not outcome.failures else "FAILED"
    sys.stdout.write(f"{number} {outcome.name}{load}: {words}, {outcome.seconds:.0f} s\n")
    sys.stdout.writelines(f"    {failure}\n" for failure in outcome.failures)
    sys.stdout.flush()


def table(seed: int, outcomes: Sequence[Outcome]) -> str:
    """Attempts and failures by fault, second starts and watched reads."""
    by_name: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_name[outcome.name].append(outcome)
    lines = [f"seed {seed}", f"{'fault':<28}attempts  failures  longest"]
    for name, of in [*sorted(by_name.items()), ("all", list(outcomes))]:
        failed, longest = sum(bool(each.failures) for each in of), max((each.seconds for each in of), default=0.0)
        lines.append(f"{name:<28}{len(of):>8}{failed:>10}{longest:>7.0f} s")
    reads = sum((Counter(outcome.reads) for outcome in outcomes), Counter[str]())
    lines.append(f"reads: {reads['right']} right, {reads['away']} away, {reads['wrong']} wrong")
    if starts := sorted(outcome.ready_s for outcome in outcomes if outcome.ready_s is not None):
        lines.append(f"second starts: {len(starts)}, median {median(starts):.0f} s, longest {starts[-1]:.0f} s")
    return "\n".join(["", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
