"""A connection that ActiveCampaign refuses pauses at once, and goes on by itself where that can be seen.

Thousands of requests would meet the same refusal; so nothing is asked over the connection any more, its runs
wait, and nothing of them is lost.
"""

from exporter.domain.configuration import Connection
from exporter.domain.pause import MAX_REASON_CHARACTERS, Pause, Pauses
from exporter.domain.run import Run
from exporter.errors import ConfigurationError, RefusedConnectionError
from exporter.steps.control import resume_connection
from exporter.steps.events import Event
from exporter.steps.ports import Ports

BY = "the exporter"
LIST_CODES = frozenset({"list_missing", "list_denied"})
"""Refusals of a list: who is in a batch that was accepted may not have joined it."""


async def present_connection(run: Run, ports: Ports) -> Connection | None:
    """A run's connection with the secret that holds its key now; host and account stay those of the plan."""
    planned = run.connection
    if planned is None:
        return None
    stored = (await ports.registry.connections()).get(planned.id)
    return stored.value if stored is not None and stored.value.host == planned.host else planned


async def pause_refused(
    connection: Connection, error: RefusedConnectionError, key_mark: str, ports: Ports
) -> None:
    """Let no run use a connection until what ActiveCampaign refuses is mended.

    A person's pause that stands there stays that person's to end.
    """
    pause = Pause(
        since=ports.clock.now(),
        by=BY,
        reason=str(error)[:MAX_REASON_CHARACTERS],
        refused=error.code,
        refused_key=key_mark if error.code != "list_missing" else None,
    )

    def change(pauses: Pauses) -> Pauses:
        before = pauses.connections.get(connection.id)
        if before is None:
            return pauses.with_connection(connection.id, pause)
        if before.refused:
            return pauses
        return pauses.with_connection(connection.id, before.model_copy(update={"refused": error.code}))

    await ports.pauses.update(change)
    ports.telemetry.event(Event.SENDING_PAUSED, connection=connection.id, why=error.code)


async def lift_refusals(pauses: Pauses, ports: Ports) -> bool:
    """End the pauses of connections whose refused key has been replaced since; False where there is none."""
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
        except ConfigurationError:  # nobody can read it now; that is looked at again
            continue
        if mark != refused[connection_id]:
            await resume_connection(connection_id, ports)
    return True
