"""The part of `exporter doctor` that looks at a deployment in Azure."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import typer

from exporter.domain.deployment import PARTS
from exporter.domain.wording import shown
from exporter.steps.deployment import (
    Deployment,
    ResourceManager,
    ask_about,
    find_deployment,
    find_subscription,
)
from exporter.steps.deployment_checks import Planned, checks_of
from exporter.steps.doctor import Code, Examination, TroubleError

DEPLOYMENT_SECONDS: Final = 300.0
"""So long all questions to Azure may take together."""
_SUBSCRIPTION_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

_GROUP: Final = re.compile(r"[\w.()-]{1,90}")
"""learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""


def resource_group(value: str | None) -> str | None:
    """A resource group's name as an option. Raises typer.BadParameter."""
    if value and not _GROUP.fullmatch(value):
        raise typer.BadParameter("should be a resource group's name; `az group list` shows it")
    return value or None


def subscription_id(value: str | None) -> str | None:
    """A subscription's id as an option. Raises typer.BadParameter."""
    if value and not _SUBSCRIPTION_ID.fullmatch(value):
        raise typer.BadParameter("should be the subscription's id; `az account list` shows it")
    return value or None


@asynccontextmanager
async def open_manager() -> AsyncIterator[ResourceManager]:
    """Azure Resource Manager with the operator's own identity."""
    from exporter.adapters.deployment import open_resource_manager

    async with open_resource_manager() as manager:
        yield manager


async def examine_deployment(
    examination: Examination, group: str, subscription: str | None
) -> Deployment | None:
    """All checks of the deployment in a group; None where it can't be looked at as a whole."""
    found: list[Deployment] = []

    async def look() -> str:
        async with asyncio.timeout(DEPLOYMENT_SECONDS), open_manager() as manager:
            in_subscription = subscription or await find_subscription(manager, group)
            environment = os.environ.get("AZURE_ENV_NAME") or None
            deployment = await find_deployment(manager, in_subscription, group, environment)
            await ask_about(manager, deployment)
        found.append(deployment)
        return _told(deployment)

    async def bounded() -> str:
        try:
            return await look()
        except TimeoutError:
            problem = f"Azure did not answer everything within {DEPLOYMENT_SECONDS:.0f} s"
            raise TroubleError(Code.AZURE_UNREACHABLE, problem, "run it again") from None

    await examination.look("deployment", bounded)
    if not found:
        return None
    for planned in checks_of(found[0]):
        await examination.look(planned.name, partial(_look, planned, found[0]), needs=planned.needs)
    return found[0]


async def _look(planned: Planned, deployment: Deployment) -> str:
    return planned.look(deployment)


def _told(deployment: Deployment) -> str:
    place = deployment.place
    count = sum(len(deployment.all_of(part)) for part in PARTS)
    named = f" of environment '{shown(place.environment)}'" if place.environment else ""
    return f"{count} resources{named} in group '{shown(place.group)}' of subscription {place.subscription_id}"
