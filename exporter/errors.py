"""Errors, named by what the one who meets them should do.

A rejected row is a value (:class:`exporter.domain.reject.Reject`), not an error.
"""


class ExporterError(Exception):
    """Base of all errors that this package raises on purpose; its text is written for a user."""


class ConfigurationError(ExporterError):
    """Something that a person configured is wrong: fix it, then try again."""


class RetryLaterError(ExporterError):
    """Nothing is wrong with the work itself: the same call may succeed later."""


class NewerVersionError(RetryLaterError):
    """Something was written by a newer version of this app: an instance that runs that version goes on."""


class SecretUnavailableError(RetryLaterError):
    """The vault, or the identity on the way to it, does not answer just now: nobody has refused anything."""


class StopRunError(ExporterError):
    """The run can't go on; its text says what to do. `code` is stable, for programs.

    Raised for a drop that can't be read, a list that vanished, a key that is refused.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RefusedConnectionError(StopRunError):
    """ActiveCampaign refuses the connection: its key, its account's payment, or the list that it feeds.

    Before anything is sent it ends the run at once; in mid-run the connection pauses, and its runs wait.
    `key_mark` tells the key that was refused, `list_id` the list, where it is one of these.
    """

    def __init__(self, code: str, message: str, *, key_mark: str = "", list_id: str | None = None) -> None:
        super().__init__(code, message)
        self.key_mark = key_mark
        self.list_id = list_id


class ConflictError(ExporterError):
    """A document changed between reading and writing it: read it again and repeat."""
