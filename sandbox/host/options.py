"""What a local host is told on its command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How to run the host."""

    app_dir: Path = Path()
    port: int = 0  # 0: a free one
    instances: Mapping[str, int] = field(default_factory=dict)  # worker processes by queue function
    function_key: str | None = None  # without one, no key is asked for
    quiet: bool = False  # log only warnings and worse
    grace_seconds: float = 5.0  # for running calls, once told to stop
    lease_seconds: float = 600.0  # how long a taken message stays hidden; fixed on the platform
    list_seconds: float = 1.0  # between two looks for new blobs
    init_seconds: float = 30.0  # for importing the app; fixed on Flex Consumption
    end_with_stdin: bool = False  # stop when stdin ends, for a parent that may be killed
