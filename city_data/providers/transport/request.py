"""What is asked of a source, and which parts of it are secret.

Belongs here: `Question`. Does not: how it is asked (http.py), or what is answered (response.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HttpRequest:
    """`headers` (where keys travel) go to the first host alone, `asking` ones to every hop; `secret_params` are of the
    first address alone. A `form` is for a POST."""

    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    secret_params: Mapping[str, str] | None = None
    every_hop_headers: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    method: str = "GET"

    @property
    def query(self) -> Mapping[str, str] | None:
        return {**(self.params or {}), **(self.secret_params or {})} or None

    @property
    def secrets(self) -> list[str]:
        """What no error may repeat: a header's value, and what stands behind its scheme, such as `Bearer`."""
        values = [*(self.headers or {}).values(), *(self.secret_params or {}).values()]
        return [*values, *(value.rpartition(" ")[2] for value in values)]
