"""Pauses: nothing more may be sent, by a run, over a connection, or at all.

A person says so; or ActiveCampaign refuses a connection, which then waits until that is mended.
"""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Final = 2
"""2: a pause may come from a refusal."""
MAX_REASON_CHARACTERS: Final = 200
EXPORTER: Final = "the exporter"
"""Who pauses a connection that ActiveCampaign refuses."""


class Pause(BaseModel):
    """Who paused, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: datetime
    by: str
    reason: str = Field(default="", max_length=MAX_REASON_CHARACTERS)
    refused: str = ""
    """The code of ActiveCampaign's refusal of the connection, if that is why: then it is asked nothing."""
    refused_key: str | None = None
    """The mark of the key that was refused: the refusal ends once the secret holds another one."""
    refused_list: str | None = None
    """The list that was refused, where it is one: runs that feed others have their answers told."""

    def with_refusal(self, other: "Pause | None") -> "Pause":
        """The same pause with the refusal, or with no refusal, of another one."""
        return self.model_copy(
            update={
                "refused": other.refused if other else "",
                "refused_key": other.refused_key if other else None,
                "refused_list": other.refused_list if other else None,
            }
        )

    def told(self) -> str:
        """Since when, by whom and why, to follow "is paused"."""
        why = f": {self.reason}" if self.reason else ""
        return f"since {self.since:%Y-%m-%d %H:%M:%SZ} by {self.by}{why}"


class Pauses(BaseModel):
    """What is paused beyond single runs; one document, swapped by ETag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_number: int = SCHEMA
    everything: Pause | None = None
    connections: dict[str, Pause] = {}

    def with_connection(self, connection_id: str, pause: Pause | None) -> "Pauses":
        """The same with one connection paused, or with it going on."""
        others = {name: kept for name, kept in self.connections.items() if name != connection_id}
        paused = {} if pause is None else {connection_id: pause}
        return self.model_copy(update={"connections": {**others, **paused}})

    def refused(self, connection_id: str, list_id: str | None) -> Pause | None:
        """The pause of a connection that ActiveCampaign refuses to runs that feed a list."""
        pause = self.connections.get(connection_id)
        if pause is None or not pause.refused or pause.refused_list not in {None, list_id}:
            return None
        return pause

    def over(self, connection_id: str) -> str | None:
        """Why nothing is sent over a connection, and what ends that; None where it may be used."""
        if self.everything is not None:
            return f"all sending is paused {self.everything.told()} (`exporter resume --all` ends that)"
        pause = self.connections.get(connection_id)
        if pause is not None:
            by_itself = "another key there, or " if pause.refused_key and pause.by == EXPORTER else ""
            return (
                f"connection '{connection_id}' is paused {pause.told()} "
                f"({by_itself}`exporter connection resume {connection_id}` ends that)"
            )
        return None
