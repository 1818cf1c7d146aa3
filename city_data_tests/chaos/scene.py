"""The surroundings of one fault: the machine, the seed's choices, and the month that is loaded meanwhile.

Belongs here: what faults of every kind share. Does not: any fault.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from city_data_tests.chaos.machine import Machine


class Scene(NamedTuple):
    """What a fault may use. `random` is the seed's; `month` is one that is loaded."""

    machine: Machine
    random: Random
    month: str

    @property
    def load(self) -> list[str]:
        """The words of the command that loads the month again."""
        city = self.machine.cities[0]["city_id"]
        return ["backfill", "--city", city, "--dataset", "weather", "--from", self.month, "--to", self.month]


# Gives back what went wrong while the fault lasted, in words.
Fault = Callable[[Scene], list[str]]
