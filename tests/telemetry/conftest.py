"""A stand-in for Application Insights for each test."""

from collections.abc import Iterator

import pytest

from tests.telemetry.ingestion import Ingestion, running_ingestion


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    """A stand-in that has received nothing."""
    with running_ingestion() as running:
        yield running
