"""Why a host does not start: everything that is wrong, at once."""

from collections.abc import Sequence


class StartProblemsError(Exception):
    """What the real host would refuse in this app, one line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
