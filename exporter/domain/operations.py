"""Operation columns: what each row of a delta drop asks for, in the words of those who write such files.

The names and words are those of
Delta Lake's change data feed (docs.delta.io/delta-change-data-feed: `_change_type`),
Debezium's flattened events (redhat.com, "Debezium event flattening": `__op` c, u, d, r; `__deleted`),
AWS DMS (docs.aws.amazon.com/dms, S3Settings: `Op` I, U, D),
Fivetran (fivetran.com/docs, "Soft delete mode": `_fivetran_deleted`),
Airbyte (docs.airbyte.com, "Change data capture": `_ab_cdc_deleted_at`, a moment) and
Adobe (experienceleague.adobe.com, "Activate audiences to batch profile export destinations":
`segmentMembership.status` Active, Expired; in its schemas realized, existing, exited).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.domain.wording import shown, shown_list
from exporter.errors import StopRunError

MAX_WORD_SHOWN: Final = 30


class Operation(Enum):
    """What a row asks for."""

    UPSERT = "upsert"
    LEAVE = "leave"
    """The person is in the segment no more."""
    NOTHING = "nothing"
    """The row shows how a person was before a change; the change has a row of its own."""


def _each(words: str, operation: Operation) -> dict[str, Operation]:
    return dict.fromkeys(words.split(), operation)


_WORDS: Final[Mapping[str, Operation]] = {
    "": Operation.UPSERT,
    **_each("insert inserted create created add added c i", Operation.UPSERT),
    **_each("update updated update_postimage change changed modify modified u", Operation.UPSERT),
    **_each("upsert upserted merge merged read snapshot r", Operation.UPSERT),
    **_each("realized existing entered active", Operation.UPSERT),
    **_each("delete deleted remove removed d", Operation.LEAVE),
    **_each("exit exited leave left expired", Operation.LEAVE),
    "update_preimage": Operation.NOTHING,
}
_FLAGS: Final[Mapping[str, Operation]] = {
    **_each("true t 1 yes y", Operation.LEAVE),
    "": Operation.UPSERT,
    **_each("false f 0 no n", Operation.UPSERT),
}
_NAMES: Final = frozenset(
    {"_op", "op", "__op", "operation", "_operation", "operation_type"}
    | {"change_type", "_change_type", "__change_type", "segmentmembership.status"}
    | {"__deleted", "_deleted", "deleted", "is_deleted", "_is_deleted"}
    | {"_fivetran_deleted", "_ab_cdc_deleted_at"}
)
_PERHAPS: Final = frozenset({"status", "_status"})
"""Customers have such a column as well: it counts only where its first word can't be theirs."""
_KNOWN: Final = _NAMES | _PERHAPS
_WORDS_OF_CUSTOMERS: Final = frozenset({"", "active", "expired", "existing", "left", "read", *"cuird"})


def may_be_operation(column: str) -> bool:
    """Whether a column of this name, in any case, may say what became of each row."""
    return _folded(column) in _KNOWN


def operation_of_word(word: str) -> Operation | None:
    """What a word of an operation column asks for, in any case; None for one that nobody knows."""
    return _WORDS.get(word.strip().casefold())


def operation_of_flag(word: str) -> Operation | None:
    """What a column asks for that is true where a person was deleted."""
    return _FLAGS.get(word.strip().casefold())


def operation_of_moment(word: str) -> Operation | None:
    """What a column asks for that holds the moment when a person was deleted, or nothing."""
    return Operation.LEAVE if word.strip() else Operation.UPSERT


def reader_for(column: str) -> Callable[[str], Operation | None]:
    """How the values of a column of this name are read."""
    name = _folded(column)
    if name.endswith(("deleted_at", "removed_at")):
        return operation_of_moment
    if name.endswith(("deleted", "removed")):
        return operation_of_flag
    return operation_of_word


@dataclass(frozen=True, slots=True)
class OperationColumn:
    """Where the operations of a file stand, and how they are read."""

    name: str
    read: Callable[[str], Operation | None]


def find_operation_column(
    name: str, header: Sequence[str], row: Sequence[str], declared: str | None
) -> OperationColumn | None:
    """The operation column of the file `name`: the declared one, else the one that is known by its name.

    `row` is the first row that can be read; it decides whether a column like `status` counts. None where
    there is none: then all rows are added or changed. Raises StopRunError("ambiguous_operation") for more
    than one.
    """
    if declared is not None:
        return OperationColumn(declared, reader_for(declared))
    found = [
        OperationColumn(column, reader_for(column))
        for column, cell in zip(header, row, strict=True)
        if _folded(column) in _NAMES or (_folded(column) in _PERHAPS and _is_operation(cell))
    ]
    if len(found) > 1:
        raise StopRunError(
            "ambiguous_operation",
            f"{shown(name)} has more than one column that may say what became of a row:"
            f" {shown_list([column.name for column in found])}. Nothing was sent. Name the right one as"
            " `operation` in the mapping of the export, then drop the file again.",
        )
    return found[0] if found else None


def is_surely_removal(word: str) -> bool:
    """Whether a word asks to leave, and can't be the status of a customer."""
    return _is_operation(word) and operation_of_word(word) is Operation.LEAVE


def undecided_columns(header: Sequence[str]) -> list[str]:
    """The columns that would say what became of a row, if their first word could not be a customer's."""
    return [column for column in header if _folded(column) in _PERHAPS]


def refuse_late_removal(name: str, column: str) -> StopRunError:
    """What to tell where such a column did not count by its first row, and a later row asks to leave."""
    return StopRunError(
        "ambiguous_operation",
        f"{shown(name)} may say in the column {shown_list([column])} what became of a row: its first word is"
        " no sign of that, a later one is. Nothing was sent. Name it as `operation` in the mapping of the"
        " export, or give the column another name if it is the customers' own; then drop the file again.",
    )


def why_unknown(column: str, word: str) -> str:
    """What to tell about a word that nobody knows; words that may be somebody's data are not shown."""
    word = word.strip()
    harmless = len(word) <= MAX_WORD_SHOWN and word.isprintable() and "@" not in word
    what = f"'{word}'" if harmless else f"a text of {len(word):,} characters"
    return f"column '{shown(column, 60)}' has {what}"


def _folded(column: str) -> str:
    return column.strip().casefold()


def _is_operation(word: str) -> bool:
    word = word.strip().casefold()
    return word in _WORDS and word not in _WORDS_OF_CUSTOMERS
