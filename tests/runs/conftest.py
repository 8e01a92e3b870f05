"""One site for all tests of whole runs; each test brings its own segment."""

import os
from collections.abc import Iterator

import pytest

from tests.runs.site import Site, running_site

# Minutes of waiting, for a site at each write of the flow: `make kills` runs them.
collect_ignore = [] if os.environ.get("CRASH_POINTS") == "all" else ["test_kills.py"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose ActiveCampaign has no limits."""
    with running_site(tmp_path_factory.mktemp("site"), "--no-limits") as running:
        yield running
