"""Cases of the fuzzer: made by number, run, made smaller where one fails, kept in a folder.

Belongs here: the loop and what becomes of failures. Does not: arguments of the command (__main__.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from city_data.providers.base import ProviderError
from city_data_tests.fuzz.judging import Verdict, findings, judged
from city_data_tests.fuzz.mutations import mutated
from city_data_tests.fuzz.seeds import Seed, seeds_of
from city_data_tests.oracles.comparing import parse_bytes
from city_data_tests.oracles.received import Received

_SMALLER_TRIES = 150
_ANY_SEED = 0.3  # of recorded files many are refused as they are, and so is most of what is made of them


@dataclass(frozen=True)
class Failure:
    """One case that failed, as small as it could be made."""

    provider: str
    number: int
    seed: Seed
    verdict: Verdict
    payloads: tuple[Received, ...]

    def save(self, folder: Path) -> Path:
        """The payloads, and what was asked and found."""
        place = folder / f"{self.provider}-{self.number}"
        place.mkdir(parents=True, exist_ok=True)
        for count, body in enumerate(self.payloads):
            (place / f"{count}-{body.name}").write_bytes(body)
        told = {
            "provider": self.provider,
            "seed": self.seed.name,
            "month": str(self.seed.request.month),
            "settings": self.seed.request.settings.model_dump(mode="json"),
            "kind": self.verdict.kind,
            "words": self.verdict.words,
        }
        (place / "case.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
        return place


@dataclass
class Tally:
    """What the cases of one provider came to."""

    provider: str
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def run(provider: str, cases: int, seed: int, tell: Callable[[int], object] = lambda _: None) -> Tally:
    """The first `cases` cases of a provider. Equal arguments make equal cases."""
    tally = Tally(provider)
    seeds = [(found, _known(found)) for found in seeds_of(provider)]
    read = [(found, known) for found, known in seeds if known is not None]
    for number in range(cases):
        random = Random(f"{seed}:{provider}:{number}")
        found, known = random.choice(seeds if random.random() < _ANY_SEED else read)
        payloads = list(found.payloads)
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            payloads = mutated(random, payloads)
        verdict = judged(found, payloads, known or {})
        tally.kinds[verdict.kind] += 1
        if verdict.is_fault:
            small = _smaller(found, payloads, known or {}, verdict.kind)
            again = judged(found, small, known or {})
            kept = again if again.kind == verdict.kind else verdict
            tally.failures.append(Failure(provider, number, found, kept, tuple(small)))
        tell(number + 1)
    return tally


def _known(seed: Seed) -> dict[str, int] | None:
    """The findings of a seed; None of one that is refused."""
    try:
        return findings(parse_bytes(seed.provider, seed.request, seed.payloads))
    except ProviderError:
        return None


def _smaller(seed: Seed, payloads: list[Received], known: dict[str, int], kind: str) -> list[Received]:
    """Fewer files, lines and bytes that fail alike."""
    tries = iter(range(_SMALLER_TRIES))
    smaller = True
    while smaller:
        smaller = False
        for candidate in _candidates(payloads):
            if next(tries, None) is None:
                return payloads
            if judged(seed, candidate, known).kind == kind:
                payloads, smaller = candidate, True
                break
    return payloads


def _candidates(payloads: Sequence[Received]) -> Iterator[list[Received]]:
    for place in range(len(payloads)):
        if len(payloads) > 1:
            yield [*payloads[:place], *payloads[place + 1 :]]
    for place, body in enumerate(payloads):
        if body[:2] == b"PK":
            continue
        lines = body.split(b"\n")
        for size in (len(lines) // 2, len(lines) // 4, 1):
            for start in range(1, len(lines), size) if size else []:
                kept = b"\n".join(lines[:start] + lines[start + size :])
                yield [*payloads[:place], Received.of(body.name, kept), *payloads[place + 1 :]]
