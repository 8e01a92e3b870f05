"""How the files of a CDM folder are written: its format settings, as a dialect."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from exporter.domain.dialect import Dialect, Encoding, Escape, Format, Quote, can_delimit
from exporter.domain.json_place import JsonPlace

CSV_SETTINGS: Final = "CsvFormatSettings"
PARQUET_SETTINGS: Final = "ParquetFormatSettings"
CSV_TRAIT: Final = "is.partition.format.csv"
PARQUET_TRAIT: Final = "is.partition.format.parquet"
_ENCODINGS: Final[Mapping[str, Encoding]] = MappingProxyType(
    {
        "utf-8": "utf-8",
        "utf8": "utf-8",
        "us-ascii": "utf-8",
        "utf-16": "utf-16",
        "utf16": "utf-16",
        "iso-8859-1": "latin-1",
        "latin1": "latin-1",
        "latin-1": "latin-1",
        "windows-1252": "windows-1252",
        "cp1252": "windows-1252",
    }
)
_QUOTES: Final[Mapping[str, Quote]] = MappingProxyType(
    {'"': '"', "'": "'", "quotestyle.csv": '"', "quotestyle.none": "none"}
)
_ESCAPES: Final[Mapping[str, Escape]] = MappingProxyType({"\\": "backslash", '"': "double"})


def settings_dialect(partition: JsonPlace, columns: tuple[str, ...]) -> Dialect:
    """What `fileFormatSettings` of a partition in a `model.json` declare.

    CDM's own default is a file without a header, but what is not declared is left to be found out: the names
    of the columns are known. `csvStyle` says which values are quoted, which no reader needs.
    """
    settings = partition.get("fileFormatSettings")
    if settings is None:
        return Dialect(columns=columns)
    kind = settings.get("$type")
    if kind is not None and kind.value == PARQUET_SETTINGS:
        return Dialect(format="parquet")
    names = ("columnHeaders", "delimiter", "quoteStyle", "encoding")
    given = {name: place for name in names if (place := settings.get(name)) is not None}
    return _csv(given, columns, "csv" if kind is not None and kind.value == CSV_SETTINGS else None)


def traits_dialect(partition: JsonPlace, columns: tuple[str, ...]) -> Dialect:
    """What the traits of a partition in a `*.manifest.cdm.json` declare."""
    for key in ("exhibitsTraits", "traits"):
        for trait in partition.items(key):
            name = trait.get("traitReference") if isinstance(trait.value, dict) else trait
            if name is None or not isinstance(name.value, str):
                continue
            if name.value.lower() == PARQUET_TRAIT:
                return Dialect(format="parquet")
            if name.value.lower() == CSV_TRAIT:
                return _csv(_arguments(trait), columns, "csv")
    return Dialect(columns=columns)


def _arguments(trait: JsonPlace) -> dict[str, JsonPlace]:
    """The named arguments of a trait; those without a name say nothing that is read."""
    arguments = {}
    for argument in trait.items("arguments") if isinstance(trait.value, dict) else ():
        if isinstance(argument.value, dict) and (name := argument.get("name")) is not None:
            value = argument.get("value")
            if value is not None:
                arguments[name.text()] = value
    return arguments


def _csv(given: Mapping[str, JsonPlace], columns: tuple[str, ...], kind: Format | None) -> Dialect:
    quote = given.get("quote") or given.get("quoteStyle")
    return Dialect(
        format=kind,
        columns=columns,
        header=_truth(given.get("columnHeaders")),
        delimiter=_character(given.get("delimiter")),
        encoding=_known(given.get("encoding"), _ENCODINGS, "a known encoding"),
        quote=_known(quote, _QUOTES, "a known way of quoting"),
        escape=_known(given.get("escape"), _ESCAPES, "a known escape"),
    )


def _truth(place: JsonPlace | None) -> bool | None:
    """True or false, which the tools of CDM also write as a text."""
    if place is None or isinstance(place.value, bool):
        return None if place is None else bool(place.value)
    text = str(place.value).lower()
    if text not in {"true", "false"}:
        raise place.wrong("true or false")
    return text == "true"


def _character(place: JsonPlace | None) -> str | None:
    if place is None:
        return None
    if not isinstance(place.value, str) or len(place.value) != 1:
        raise place.wrong("a single character")
    if not can_delimit(place.value):
        raise place.wrong("a sign that values seldom hold (no letter, digit, quote or line end)")
    return place.value


def _known(place: JsonPlace | None, known: Mapping[str, Any], expected: str) -> Any:
    """What a word means; None where none is given."""
    if place is None:
        return None
    meaning = known.get(place.value.strip().lower()) if isinstance(place.value, str) else None
    if meaning is None:
        raise place.wrong(f"{expected} (known: {' '.join(known)})")
    return meaning
