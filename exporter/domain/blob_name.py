"""A blob as people name it: as in its container, with the container in front, or by its whole address."""

from urllib.parse import unquote, urlsplit

from exporter.errors import ConfigurationError


def blob_in(container: str, text: str) -> str:
    """The name in the container of a blob that is given by its address; any other text as it is.

    Addresses are those of the blob and the Data Lake endpoint, of an emulator, and `abfss://`. What follows a
    question mark, as a signature does, is left out. Raises ConfigurationError for an address elsewhere and
    for no name at all.
    """
    if not text:
        raise ConfigurationError(
            "there is no blob without a name: give its name in the container, or its address"
        )
    scheme, separator, _ = text.partition("://")
    if not separator or scheme.lower() not in {"http", "https", "abfs", "abfss", "wasb", "wasbs"}:
        return text
    address = urlsplit(text)
    if "@" in address.netloc:
        user, _, _ = address.netloc.partition("@")
        path = f"{user}{address.path}"
    else:
        path = address.path.lstrip("/")
    # An emulator has the account's name in front of the container's.
    for start in (path, path.partition("/")[2]):
        found, _, blob = start.partition("/")
        if found == container and blob:
            return unquote(blob)
    raise ConfigurationError(f"this is not the address of a blob in the container '{container}'")
