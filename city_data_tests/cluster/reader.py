"""Clients of the release's API that count every answer.

Belongs here: reading. Does not: what is done to the release meanwhile (the tests).
"""

from __future__ import annotations

import threading
import time

import httpx

from city_data_tests.api.issuer import Issuer, bearer
from city_data_tests.cluster.release import RELEASE, Release

ROUTE = "/api/v1/cities/madrid/data-availability"


def address(release: Release) -> str:
    """The API's Service; this process is on a node's network."""
    (service,) = [one for one in release.items("services") if one["metadata"]["name"] == f"{RELEASE}-api"]
    return f"http://{service['spec']['clusterIP']}"


class Reader:
    """Clients that count every answer, each on one connection as long as it is kept."""

    def __init__(self, url: str, issuer: Issuer, clients: int = 6) -> None:
        self._url, self._headers = url, bearer(issuer.token())
        self.answers, self.lost = 0, list[str]()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(clients)]

    def __enter__(self) -> Reader:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.wait(0.1):
                try:
                    status = client.get(self._url, headers=self._headers).status_code
                except httpx.TransportError as error:
                    self.lost.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
                    continue
                self.answers += 1
                if status != 200:
                    self.lost.append(str(status))
