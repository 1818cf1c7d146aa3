"""What must come of changed bytes: the oracle's month, a month that says what it lacks, or a typed outcome.

Belongs here: the judgement of one case, within bounds of time and memory. Does not: how bytes are changed
(mutations.py), or the loop over cases (running.py).
"""

from __future__ import annotations

import importlib.util
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polars.exceptions import PanicException

from city_data.datasets import DATASETS
from city_data.providers.base import ParsedMonth, ProviderError
from city_data_tests.fuzz.seeds import Seed
from city_data_tests.oracles.comparing import Difference, differences, parse_bytes
from city_data_tests.oracles.received import Received

MOST_SECONDS = 20.0  # of the processor, since a clock counts other work of the machine; a case takes some hundredths
MOST_MEGABYTES = 400.0  # by which one case may raise the process's peak

Oracle = Callable[[Sequence[bytes], Any], Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Verdict:
    """`kind` is `month`, `finding`, `refused`, or a fault: `silent`, `untyped`, `slow`, `large`, `uncounted`."""

    kind: str
    words: str = ""

    @property
    def is_fault(self) -> bool:
        return self.kind in ("silent", "untyped", "slow", "large", "uncounted")


def oracle_of(provider: str) -> Oracle | None:
    if importlib.util.find_spec(f"city_data_tests.oracles.{provider}") is None:
        return None
    made: Oracle = importlib.import_module(f"city_data_tests.oracles.{provider}").month
    return made


def findings(month: ParsedMonth) -> dict[str, int]:
    """Everything that a month says of rows and values which it does not have."""
    return {**{f"rejected {name}": n for name, n in month.rejected.items()}, **month.nulled}


def judged(seed: Seed, payloads: Sequence[Received], known: Mapping[str, int]) -> Verdict:
    """`known` are the findings of the seed itself, which excuse nothing."""
    started, peak = time.process_time(), _peak_megabytes()
    verdict = _outcome(seed, payloads, known)
    seconds, more = time.process_time() - started, _peak_megabytes() - peak
    if verdict.is_fault:
        return verdict
    if seconds > MOST_SECONDS:
        return Verdict("slow", f"{seconds:.1f} s")
    return Verdict("large", f"{more:.0f} MB") if more > MOST_MEGABYTES else verdict


def _outcome(seed: Seed, payloads: Sequence[Received], known: Mapping[str, int]) -> Verdict:
    try:
        month = parse_bytes(seed.provider, seed.request, payloads)
    except ProviderError as error:
        return _typed(seed, str(error))
    except AssertionError as error:
        return Verdict("uncounted", str(error))
    except (Exception, PanicException) as error:  # noqa: BLE001  any other end is what is looked for
        return Verdict("untyped", f"{type(error).__name__}: {error}"[:500])
    wrong = _differences(seed, month, payloads)
    if not wrong:
        return Verdict("month")
    new = {name: n for name, n in findings(month).items() if n > known.get(name, 0)}
    # A month may say that it lacks a value, and never excuse another value by that.
    if new and all(difference.is_missing for difference in wrong):
        return Verdict("finding", str(new))
    return Verdict("silent", "; ".join(difference.words for difference in wrong[:5]))


def _typed(seed: Seed, words: str) -> Verdict:
    subject = f"{seed.provider.name}: {seed.request.location.city_id} {seed.request.month}: "
    if not words.startswith(subject) or not words.isprintable():
        return Verdict("untyped", f"an outcome without its subject, or that cannot be printed: {words!r}")
    return Verdict("refused", words.removeprefix(subject))


def _differences(seed: Seed, month: ParsedMonth, payloads: Sequence[Received]) -> list[Difference]:
    """Where the month is not the oracle's. What the oracle cannot read must have no values."""
    oracle = oracle_of(seed.provider.name)
    if oracle is None:
        return []
    try:
        expected = oracle(payloads, seed.request)
    except Exception:  # noqa: BLE001  plain code on any bytes: it reads them, or there is nothing to read
        expected = {}
    dataset = DATASETS[seed.provider.capabilities.dataset]
    told = {name for values in expected.values() for name in values}
    columns = [c.name for c in dataset.columns if c.name in month.frame and (c.name in told or c.kind == "number")]
    # Weather's oracles and frames differ in where they round: two digits are published.
    tolerance = 1e-7 if dataset.name == "traffic" else 0.00501
    return differences(month, expected, columns, tolerance, dataset.key[1:])


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
