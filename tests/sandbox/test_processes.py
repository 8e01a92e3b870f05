"""Child processes: what they say is dropped without a fault, however soon they end."""

import sys
import threading
import time

from sandbox.processes import Child


class LateReader(Child):
    """A child whose output is read some time after it has ended, as on a busy machine."""

    def _drop_output(self) -> None:
        self._process.wait()
        time.sleep(0.2)
        super()._drop_output()


def test_a_childs_pipe_is_not_closed_under_the_thread_that_reads_it() -> None:
    child = LateReader([sys.executable, "-c", "pass"])
    child.drain()
    child.stop()

    assert f"drain-{child.pid}" not in {thread.name for thread in threading.enumerate()}
