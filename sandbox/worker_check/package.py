"""What a deployment takes along of a folder: all but what `.funcignore` names."""

import fnmatch
import shutil
from collections.abc import Callable
from pathlib import Path


def pack(app_dir: Path, target: Path) -> Path:
    """Copy what would be deployed into a new folder, and return that folder.

    Raises ValueError for a pattern that is about more than names directly in the folder.
    """
    shutil.copytree(app_dir, target, ignore=_left_out(app_dir))
    return target


def _left_out(app_dir: Path) -> Callable[[str, list[str]], set[str]]:
    ignored = app_dir / ".funcignore"
    lines = ignored.read_text("utf-8").splitlines() if ignored.is_file() else []
    patterns = [line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#")]
    if odd := [pattern for pattern in patterns if "/" in pattern or pattern.startswith("!")]:
        raise ValueError(f".funcignore: only names of this folder are understood, not {', '.join(odd)}")

    def ignore(folder: str, names: list[str]) -> set[str]:
        left_out = {name for name in names if name == "__pycache__"}
        if Path(folder) == app_dir:
            left_out |= {name for name in names for pattern in patterns if fnmatch.fnmatch(name, pattern)}
        return left_out

    return ignore
