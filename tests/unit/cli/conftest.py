"""Every test of the command line may ask for a world."""

from tests.unit.cli.world import world

__all__ = ["world"]
