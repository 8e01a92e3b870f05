"""Where a manifest says that a file lies, as a blob in the landing container.

A manifest names its files as its producer saw them: by the address of another endpoint, of another container
that was copied from, or from the manifest's own folder. That folder is in each such address, so what follows
it is what counts.
"""

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_NAMESPACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?=/)")
"""The name of a mounted storage before a path of CDM, as in `adls:/Customer/part.csv`."""


def blob_of(location: str, manifest: str) -> str | None:
    """The blob that `location`, found in the blob `manifest`, means; None if it is outside of its folder."""
    folder = manifest.split("/")[:-1]
    parts = _parts_of_address(location, folder) if "://" in location else _parts_of_path(location, folder)
    if parts is None:
        return None
    parts = [part for part in parts if part != "."]
    if not parts or ".." in parts or "" in parts:
        return None
    return "/".join([*folder, *parts])


def shown_location(location: str) -> str:
    """A location without its query, which may be a signature that opens the storage."""
    return location.partition("?")[0]


def _parts_of_address(location: str, folder: list[str]) -> list[str] | None:
    """The parts of an address's path below `folder`."""
    try:
        address = urlsplit(location)
        host = address.hostname or ""
    except ValueError:
        return None
    path = unquote(address.path).lstrip("/").split("/")
    starts = _starts(address, host, known_folder=bool(folder))
    for start in starts:
        if path[start : start + len(folder)] == folder:
            return path[start + len(folder) :]
    # All of it may have been copied into a folder that its producer knows nothing of.
    for skipped in range(1, len(folder)):
        end = starts[0] + len(folder) - skipped
        if path[starts[0] : end] == folder[skipped:]:
            return path[end:]
    return None


def _starts(address: SplitResult, host: str, *, known_folder: bool) -> tuple[int, ...]:
    """How many parts of the path may stand before the blob's name, the most likely first.

    `https://account.blob.core.windows.net/container/…` has one, `http://127.0.0.1:10000/account/container/…`
    two, and `abfss://container@account.dfs.core.windows.net/…` none.
    """
    if "@" in address.netloc:
        return (0,)
    emulated = "." not in host or ":" in host or host.replace(".", "").isdigit()
    likely = 2 if emulated else 1
    return (likely, 3 - likely, 0) if known_folder else (likely,)


def _parts_of_path(location: str, folder: list[str]) -> list[str]:
    """The parts of a path below `folder`: it begins there, or, with a slash, perhaps at the container."""
    path = _NAMESPACE.sub("", location, count=1)
    parts = path.lstrip("/").split("/")
    if path.startswith("/") and folder and parts[: len(folder)] == folder:
        return parts[len(folder) :]
    return parts
