"""Where things live: the course, the data, the models, the cache.

Each folder can be moved with an environment variable; nothing is created here.
"""

import os
from pathlib import Path


def course_folder() -> Path:
    """The folder that holds ``notebooks/`` and ``data/`` (``IMGCLF_HOME`` overrides it).

    An editable installation uses the checkout; any other uses the current folder.
    """
    if "IMGCLF_HOME" in os.environ:
        return Path(os.environ["IMGCLF_HOME"])
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


def data_folder() -> Path:
    """Data sets with a known name, one folder each (``IMGCLF_DATA`` overrides it)."""
    return Path(os.environ.get("IMGCLF_DATA", course_folder() / "data"))


def models_folder() -> Path:
    """Trained models, one folder a run (``IMGCLF_MODELS`` overrides it)."""
    return Path(os.environ.get("IMGCLF_MODELS", course_folder() / "models"))


def cache_folder() -> Path:
    """Decoded images, safe to delete at any time (``IMGCLF_CACHE`` overrides it)."""
    return Path(os.environ.get("IMGCLF_CACHE", data_folder() / ".cache"))
