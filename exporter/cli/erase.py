"""`exporter erase ADDRESS`: a person goes from everything that is kept, and does not come back."""

import sys
from typing import Annotated, Any

import typer
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.running import ExitCode, JsonOption, open_session, pick, run
from exporter.cli.wording import moment, plural
from exporter.steps.erase import Erasure
from exporter.steps.erase import erase as erase_person

_FOUND = (
    ("rows", "row", "of segment files"),
    ("contacts", "contact", "of plans"),
    ("rejects", "reject", "of plans and reports"),
    ("messages", "dead message", ""),
    ("activecampaign", "contact", "deleted in ActiveCampaign"),
)


def erase(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The person's e-mail address.")],
    connection: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Keep the person from this connection; all where none is named."),
    ] = None,
    in_activecampaign: Annotated[
        bool, typer.Option("--in-activecampaign", help="Delete the contact there as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a person from files, plans, rejects and dead messages, and never send them again."""
    if "@" not in address:
        raise typer.BadParameter("this is no e-mail address: there is no @", param_hint="ADDRESS")
    _confirm(in_activecampaign=in_activecampaign, yes=yes)

    async def work(output: Output) -> int:
        async with open_session() as session:
            known = await session.ports.registry.connections()
            chosen = [pick(known, name, "connection").value for name in connection or sorted(known)]
            erasure = await erase_person(
                address, chosen, session.ports, in_activecampaign=in_activecampaign, say=output.note
            )
        output.document(_as_json(erasure))
        _show(erasure, output)
        needs_somebody = any(left.until is None for left in erasure.left)
        return ExitCode.PARTLY_FAILED if needs_somebody else ExitCode.DONE

    run(work, as_json=as_json)


def _confirm(*, in_activecampaign: bool, yes: bool) -> None:
    """Have a person agree."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("erasing needs --yes where nobody can be asked", param_hint="--yes")
    there = " and the contact in ActiveCampaign" if in_activecampaign else ""
    typer.confirm(
        f"This rewrites the landed files, plans and rejects without this person{there}, for good. Go on?",
        abort=True,
        err=True,
    )


def _as_json(erasure: Erasure) -> dict[str, Any]:
    return {
        "erased_at": erasure.at.isoformat(),
        "suppressed_since": {name: since.isoformat() for name, since in erasure.suppressed_since.items()},
        "files": erasure.counts["files"],
        **{name: erasure.counts[name] for name, _, _ in _FOUND},
        "left": [
            {"what": left.what, "until": left.until.isoformat() if left.until else None}
            for left in erasure.left
        ],
    }


def _show(erasure: Erasure, output: Output) -> None:
    found = [
        f"{plural(erasure.counts[name], noun)} {where}".strip()
        for name, noun, where in _FOUND
        if erasure.counts[name]
    ]
    output.show(Text(f"Erased: {', '.join(found)}." if found else "Nothing of the person was found."))
    connections = ", ".join(erasure.suppressed_since)
    output.show(Text(f"Never sent again over: {connections or 'no connection, for there is none yet'}."))
    for left in erasure.left:
        until = f" (gone by {moment(left.until)})" if left.until else ""
        output.show(Text(f"Left: {left.what}{until}", style="dim" if left.until else "yellow"))
