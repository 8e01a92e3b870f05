"""A connection that ActiveCampaign refuses pauses at once, and goes on by itself where that can be seen.

Thousands of requests would meet the same refusal; so nothing is asked over the connection any more, its runs
wait, and nothing of them is lost.
"""

from exporter.domain.configuration import Connection
from exporter.domain.pause import EXPORTER, MAX_REASON_CHARACTERS, Pause, Pauses
from exporter.domain.run import Run
from exporter.errors import ConfigurationError, RefusedConnectionError, SecretUnavailableError
from exporter.steps.control import let_go_on
from exporter.steps.events import Event
from exporter.steps.ports import Ports

LIST_CODES = frozenset({"list_missing", "list_denied"})
"""Refusals of a list: who is in a batch that was accepted may not have joined it."""


async def present_connection(run: Run, ports: Ports) -> Connection | None:
    """A run's connection with the secret that holds its key now; host and account stay those of the plan."""
    planned = run.connection
    if planned is None:
        return None
    stored = (await ports.registry.connections()).get(planned.id)
    return stored.value if stored is not None and stored.value.host == planned.host else planned


async def pause_refused(connection: Connection, error: RefusedConnectionError, ports: Ports) -> None:
    """Let no run use a connection until what ActiveCampaign refuses is mended.

    A person's pause that stands there stays that person's to end.
    """
    pause = Pause(
        since=ports.clock.now(),
        by=EXPORTER,
        reason=str(error)[:MAX_REASON_CHARACTERS],
        refused=error.code,
        refused_key=error.key_mark or None,
        refused_list=error.list_id,
    )

    def change(pauses: Pauses) -> Pauses:
        before = pauses.connections.get(connection.id)
        if before is not None and before.refused:
            return pauses
        return pauses.with_connection(connection.id, before.with_refusal(pause) if before else pause)

    await ports.pauses.update(change)
    ports.telemetry.event(Event.SENDING_PAUSED, connection=connection.id, why=error.code)


def note_unreadable(
    connection: Connection, error: ConfigurationError | SecretUnavailableError, ports: Ports
) -> None:
    """Tell that the key of a connection can't be had just now; the error names secret and vault, no key."""
    ports.telemetry.event(Event.SECRET_UNREADABLE, connection=connection.id, why=str(error))


async def lift_refusals(pauses: Pauses, ports: Ports) -> bool:
    """End refusals of keys that have been replaced since; False where there was none to look at."""
    refused = {
        connection_id: pause.refused_key
        for connection_id, pause in pauses.connections.items()
        if pause.refused_key is not None
    }
    if not refused:
        return False
    connections = await ports.registry.connections()
    for connection_id in sorted(refused.keys() & connections.keys()):
        try:
            mark = await ports.destinations.key_mark(connections[connection_id].value)
        except (
            ConfigurationError,
            SecretUnavailableError,
        ):  # nobody can read it now; that is looked at again
            continue
        if mark != refused[connection_id]:
            await _lift(connection_id, refused[connection_id], ports)
    return True


async def _lift(connection_id: str, refused_key: str | None, ports: Ports) -> None:
    """End the refusal of a key, if it still stands; a pause that a person has added stays."""

    def change(pauses: Pauses) -> Pauses:
        pause = pauses.connections.get(connection_id)
        if pause is None or pause.refused_key != refused_key:
            return pauses
        by_person = None if pause.by == EXPORTER else pause.with_refusal(None)
        return pauses.with_connection(connection_id, by_person)

    now = await ports.pauses.update(change)
    if connection_id not in now.connections:
        await let_go_on(connection_id, ports)
