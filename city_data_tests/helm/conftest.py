"""What the chart's tests share: the manifests of three sets of values."""

from __future__ import annotations

import pytest

from city_data_tests.helm.charting import render
from city_data_tests.helm.cluster import Manifest


@pytest.fixture(params=[None, "minimal", "production"])
def rendered(request: pytest.FixtureRequest) -> list[Manifest]:
    """The manifests of one set of values after the other; None stands for the defaults."""
    return render(values=request.param)


@pytest.fixture
def production() -> list[Manifest]:
    return render(values="production")
