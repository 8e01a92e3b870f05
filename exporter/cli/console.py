"""Where output goes: one JSON document or a few lines for people on stdout, everything else on stderr."""

import os
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from exporter.domain.wording import escaped

_WIDTH_WITHOUT_TERMINAL: Final = 10_000
_CONTROLS: Final = re.compile(r"[\x7f-\x9f]")
"""What JSON leaves as it is and some terminals obey."""


class Output:
    """What a command has to say; colours and a fitted width on a terminal only."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    @property
    def progress_console(self) -> Console:
        """The console for progress: stderr."""
        return self._err

    def document(self, value: Any) -> None:
        """The command's result for programs, as one line of JSON; nothing without --json."""
        if self.as_json:
            text = orjson.dumps(value).decode()
            sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
            sys.stdout.flush()

    def show(self, *parts: RenderableType) -> None:
        """The command's result for people; nothing with --json."""
        if not self.as_json:
            for part in parts:
                self._out.print(part)

    def show_command(self, command: str) -> None:
        """A command line to be copied: never broken into lines; nothing with --json."""
        if not self.as_json:
            self._out.print(Text(f"  {command}", style="bold"), soft_wrap=True)

    def note(self, text: str) -> None:
        """Something worth knowing on the way."""
        self._err.print(Text(text))

    def warn(self, text: str) -> None:
        """Something that may not be what the user wants."""
        self._err.print(Text.assemble(("Warning: ", "bold yellow"), text))

    def fail(self, code: str, message: str) -> None:
        """The command did not do what it should; for people on stderr, for programs on stdout."""
        if self.as_json:
            self.document({"error": {"code": code, "message": message}})
        else:
            self._err.print(Text.assemble(("Error: ", "bold red"), message))


class _Console(Console):
    """A console on which no text can do more than be read.

    Names of blobs, values of rows and answers of ActiveCampaign are a stranger's words: what a terminal
    would obey is shown escaped. Rich's own colours and movements are styles and control segments.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, those of text made harmless."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text, keep="\n"), segment.style)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # Files and pipes have no width: ids and sentences stay whole in them.
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
