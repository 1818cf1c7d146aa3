"""The committed OpenAPI document. `python -m api.contract.document` rewrites it; a test checks that it is current."""

from __future__ import annotations

import json
from pathlib import Path

from api.app import create_app
from api.settings import Settings

FILE = Path(__file__).with_name("openapi.json")


def render() -> str:
    """The OpenAPI document of this code, as it is committed. Opens no connection."""
    settings = Settings.model_validate({"database_url": "postgresql://nobody@127.0.0.1/none", "auth_mode": "none"})
    return json.dumps(create_app(settings).openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
