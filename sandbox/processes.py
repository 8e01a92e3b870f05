"""Child processes that never outlive their parent.

The parent keeps the child's stdin open and writes nothing to it: however the parent ends, even by SIGKILL,
the child reads the end of the file and leaves. Unlike `PR_SET_PDEATHSIG`, which fires when the *thread* that
started the child ends, this works from any thread and on every system; `end_with_parent` is for children that
may be too busy to read.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

PR_SET_PDEATHSIG = 1
_DRAIN_SECONDS = 5.0


class StartError(RuntimeError):
    """A child process did not come up; the text says why."""


def end_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A child process with a lifeline on stdin and its stdout read line by line."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        self._draining: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def read_line(self, deadline: float) -> str:
        """Read the next line of stdout, or "" at its end; a child silent until the deadline is killed."""
        out = self._process.stdout
        if out is None or out.closed:
            return ""
        watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            return out.readline().decode("utf-8", "replace")
        finally:
            watchdog.cancel()

    def drain(self) -> None:
        """Read and drop the rest of stdout in the background, so that the pipe never fills."""
        self._draining = threading.Thread(target=self._drop_output, name=f"drain-{self.pid}", daemon=True)
        self._draining.start()

    def _drop_output(self) -> None:
        out = self._process.stdout
        while out is not None and out.read(65_536):
            pass

    def stop(self, patience_seconds: float = 10.0) -> int:
        """Ask the child to end (SIGTERM), wait, kill it if it does not, and return its exit code."""
        if self.running:
            self._process.terminate()
        try:
            code = self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._close_pipes()
        return code

    def kill(self) -> None:
        """End the child as a crash would (SIGKILL)."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        pipes = [self._process.stdin, self._process.stdout]
        if self._draining is not None:  # it sees the end of the file, unless a grandchild holds the pipe open
            self._draining.join(_DRAIN_SECONDS)
            if self._draining.is_alive():
                pipes.pop()
        for pipe in pipes:
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(OSError, ValueError):  # a pipe already torn down is closed enough
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def scratch_file() -> IO[bytes]:
    """Open a nameless file that takes a child's stderr, to be quoted if the child fails to start."""
    return tempfile.TemporaryFile()


def tail(scratch: IO[bytes], size: int = 4_000) -> str:
    """Return the last bytes of a scratch file as text."""
    end = scratch.seek(0, os.SEEK_END)
    scratch.seek(max(0, end - size))
    return scratch.read().decode("utf-8", "replace").strip()
