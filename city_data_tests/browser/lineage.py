"""`python -m city_data_tests.browser.lineage FOLDER`: Dagster's lineage of one city and of six, as PNG files.

Belongs here: a platform on this machine with one month, and its pages in Chromium. Does not: tests of the graph
(defs/test_build.py). docs/operating.md shows the files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

from playwright.sync_api import expect, sync_playwright

from city_data.cities import load_registry
from city_data.local import platform
from city_data.local.embedded import free_port
from city_data.local.ports import Ports
from city_data_tests.browser.conftest import FLAGS
from city_data_tests.tools import find_tool

SELECTION = "tag:dataset=weather and (tag:country=ES or tag:country=PT or tag:country=FR)"
CITY = "madrid"
WIDTH, SCALE = 1400, 0.75
# Dagster fetches the state of each node after it has drawn it.
STATE_S = 3.0


def main(folder: Path) -> None:
    ports = Ports(api=free_port(), ui=free_port())
    with tempfile.TemporaryDirectory() as parent, platform.owned(Path(parent) / "home", "demo", print) as own:
        os.environ.update(own.variables)
        platform.prepare_dagster(print)
        with platform.services(own, ports) as children:
            children.await_port("webserver", ports.ui)
            backfill = [sys.executable, "-m", "city_data.cli", "backfill", "--last", "1", "--home", str(own.home)]
            for chosen in (["--city", CITY], ["--dataset", "weather"]):
                subprocess.run([*backfill, *chosen], check=True)
            take(f"http://127.0.0.1:{ports.ui}", folder)


def take(webserver: str, folder: Path) -> None:
    """Write the files, and name the titles of the nodes on them."""
    groups = ",".join(f"global@global:{city.city_id}" for city in load_registry().enabled())
    six = f"/asset-groups~{quote(SELECTION, safe='')}/?{urlencode({'expanded': groups})}"
    pages = {
        "lineage-of-a-city.png": (f"/locations/city_data/asset-groups/{CITY}/lineage", 800),
        "lineage-of-six-cities.png": (six, 1750),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_tool("chromium"), args=FLAGS)
        for name, (path, height) in pages.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": height}, device_scale_factor=SCALE)
            page.goto(f"{webserver}{path}")
            page.locator("foreignObject", has_text="weather_cache").first.wait_for(timeout=60_000)
            page.wait_for_timeout(STATE_S * 1000)
            expect(page.get_by_text("Loading")).to_have_count(0, timeout=60_000)
            page.screenshot(path=folder / name)
            titles = [text.split("Latest event")[0] for text in page.locator("foreignObject").all_text_contents()]
            sys.stdout.write(f"{name}: {', '.join(titles)}\n")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
