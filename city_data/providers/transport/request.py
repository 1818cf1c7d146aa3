"""An HTTP request to a source, and its secret parts.

Belongs here: `HttpRequest`. Does not: sending it (http.py), or the response (response.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HttpRequest:
    """One call. `headers` (where keys travel) go to the first host only, `every_hop_headers` to redirects as well;
    `secret_params` are added to the first address only. A `form` is for a POST."""

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
        """Texts that no error may repeat: each header's value, also without its scheme, such as `Bearer`."""
        values = [*(self.headers or {}).values(), *(self.secret_params or {}).values()]
        return [*values, *(value.rpartition(" ")[2] for value in values)]
