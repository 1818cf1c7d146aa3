"""The ports of the platform on one machine, from environment variables.

Belongs here: validation, and the check that a port is free. Does not: the processes that listen on them
(local/platform.py).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from city_data import environment
from city_data.errors import CityDataError


class PortInUse(CityDataError):
    """Another process listens on a port that the platform needs."""


@dataclass(frozen=True)
class Ports:
    api: int
    ui: int

    @classmethod
    def of_environment(cls) -> Ports:
        """Raises ConfigurationError."""
        return cls(api=_port(environment.API_PORT), ui=_port(environment.UI_PORT))

    def refuse_busy(self) -> None:
        """Raises PortInUse naming every busy port and its variable, before anything is started."""
        busy = [
            f"port {port} is in use; set {variable} to another"
            for variable, port in ((environment.API_PORT, self.api), (environment.UI_PORT, self.ui))
            if not is_free(port)
        ]
        if busy:
            raise PortInUse("; ".join(busy))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _port(variable: environment.Variable) -> int:
    return variable.whole_number("a port from 1 to 65535", 1, 65535)
