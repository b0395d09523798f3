"""Where this machine keeps what can be computed again, and what it alone knows: $STUDY_CACHE."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$STUDY_CACHE, or else a folder of the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("STUDY_CACHE") or base / "attention-or-convolution").expanduser()
