"""A simulated ActiveCampaign: the REST API v3 as an integration meets it, limits and quirks included.

    async with SimulatedActiveCampaign(SimulatorSettings(limits_enforced=False)) as sim:
        ...  # send to sim.url with the header Api-Token: sandbox-key
        assert sim.contact("ann@example.org")["lists"] == {"5": 1}

`docs/sandbox.md` describes every setting, fault and control route.
"""

from .account import Account
from .clock import Clock, ManualClock, ScaledClock
from .server import SimulatedActiveCampaign
from .settings import SimulatorSettings

__all__ = [
    "Account",
    "Clock",
    "ManualClock",
    "ScaledClock",
    "SimulatedActiveCampaign",
    "SimulatorSettings",
]
