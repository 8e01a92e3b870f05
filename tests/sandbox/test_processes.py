"""Child processes: what they say is read or dropped, and nothing is left behind when they end."""

import sys
import threading

import pytest

from sandbox.processes import Child


@pytest.mark.parametrize("number", range(20))
def test_a_child_may_end_as_soon_as_its_output_is_dropped(number: int) -> None:
    """Its pipe must not be closed under the thread that reads it, which would end in an error."""
    del number
    child = Child([sys.executable, "-c", "pass"])
    child.drain()
    child.stop()

    assert f"drain-{child.pid}" not in {thread.name for thread in threading.enumerate()}
