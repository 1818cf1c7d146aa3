"""Call budgets as the HTTP client sees them.

Belongs here: the protocol, and no budget at all. Does not: the budget of all runs (store/budget.py), or when the client
waits (http.py).
"""

from __future__ import annotations

from typing import Protocol

from city_data.providers.capabilities import RateLimit


class Budget(Protocol):
    """Shared by all runs where its state is."""

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:
        """The seconds to wait before a call, which is reserved only where they are at most `patience`."""
        ...

    def block(self, name: str, seconds: float) -> None:
        """No call of any run for so long: the source has said that its quota is used up."""
        ...


class Unlimited:
    """No budget: for servers of our own."""

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:  # noqa: ARG002  the protocol's signature
        return 0.0

    def block(self, name: str, seconds: float) -> None:
        """Nothing is shared."""
