"""An app that cannot even be imported."""

raise RuntimeError("no configuration")
