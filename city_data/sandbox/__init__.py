"""A server of our own that speaks each source's protocol, offline, for demonstrations, tests and benchmarks.

Belongs here: everything that is invented. Does not: anything the platform needs; only the demo and tests start it.
"""

from city_data.sandbox.faults import Fault, Faults
from city_data.sandbox.madrid_archive import write_madrid_month
from city_data.sandbox.server import Sandbox, running

__all__ = ["Fault", "Faults", "Sandbox", "running", "write_madrid_month"]
