"""A plan that is too large or too slow ends by itself, clearly, and nothing of it is lost or sent."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from exporter.domain.drop import Source
from exporter.domain.run import RunState
from exporter.steps import plan as planning
from tests.builders import a_connection, addresses, an_export
from tests.fakes.clock import SimulatedLoop
from tests.fakes.drops import FakeDropStore
from tests.fakes.world import World
from tests.runs.site import ROOT
