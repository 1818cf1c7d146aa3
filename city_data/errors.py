"""The root of the exceptions, and the two errors that belong to no module: a wrong argument and a wrong setting.

Belongs here: what every module may raise without importing another one. Does not: an exception of one module's own
work, which stands beside that work and derives from `CityDataError`.

The terminal prints a `CityDataError` as one line; anything else is a fault of the code and keeps its stack.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_COMPARED = 80  # characters: a longer text takes long to compare
_TELLING = 3  # characters of a name's beginning that mean it, as `end` means `end_date`


class CityDataError(Exception):
    """An expected failure. Its text says what is wrong and what to do, without a secret."""


class UsageError(CityDataError, ValueError):
    """A wrong argument of a command; the text names the option."""


class ConfigurationError(CityDataError, ValueError):
    """A missing or wrong setting; the text names the environment variable."""


def one_line(error: Exception) -> str:
    """The error's text for a terminal: a parser's or a server's own may have many lines."""
    return " ".join(str(error).split())


def unknown(kind: str, value: str, known: Iterable[str]) -> str:
    """`unknown city 'madird'; did you mean madrid? known: barcelona, madrid`."""
    names = list(known)
    near = nearest(value, names)
    hint = f"did you mean {near}? " if near is not None else ""
    return f"unknown {kind} {value!r}; {hint}known: {', '.join(names) or 'none'}"


def nearest(value: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like `value`, in any case, or the only one that it begins; None where the likeness
    (0..1) of all is less."""
    by_lower_case, written = {name.casefold(): name for name in known}, value[:_COMPARED].casefold()
    begun = [name for name in by_lower_case if len(written) >= _TELLING and name.startswith(written)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(written, by_lower_case, n=1, cutoff=likeness)
    return by_lower_case[close[0]] if close else None
