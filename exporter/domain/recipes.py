"""The built-in recipes."""

from typing import Final

from exporter.domain.recipe import Completeness, Recipe

BUILT_IN: Final = (
    Recipe(
        id="folder",
        pattern="{segment}/{drop}/{part:path}",
        complete=(Completeness.COMMITTED, Completeness.MARKER),
    ),
    Recipe(id="file", pattern="{segment}/{file}", complete=(Completeness.AT_ONCE,)),
)
