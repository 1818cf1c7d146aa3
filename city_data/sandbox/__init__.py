"""The sandbox: a local server that speaks each source's protocol, for demonstrations, tests and benchmarks.

Belongs here: all synthetic data. Does not: anything that the platform needs; only the demo and tests start it.
"""

from city_data.sandbox.faults import Fault, Faults
from city_data.sandbox.madrid_archive import write_madrid_month
from city_data.sandbox.server import Sandbox, running

__all__ = ["Fault", "Faults", "Sandbox", "running", "write_madrid_month"]
