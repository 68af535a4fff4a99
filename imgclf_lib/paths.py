"""Where things live: the course, the data, the models, the cache.

Each folder can be moved with an environment variable; nothing is created here.
"""

import hashlib
import os
from pathlib import Path

from imgclf_lib.errors import InputError


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


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch(
    address: str, path: Path, known_hash: str | None, shelf: str, title: str, do: str
) -> None:
    """Download one file with a progress bar; it gets its name when its checksum is right.

    ``known_hash`` is an MD5 (32 digits) or SHA-256 in hexadecimal, or None where none is published.
    ``IMGCLF_MIRROR`` names another server; there the file lies in the folder ``shelf``. An error
    begins with ``title``, such as "CIFAR-10 is", and ends with ``do``.
    """
    import pooch
    import requests

    if mirror := os.environ.get("IMGCLF_MIRROR"):
        address = f"{mirror.rstrip('/')}/{shelf}/{path.name}"
    algorithm = "md5" if known_hash and len(known_hash) == 32 else "sha256"
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            address,
            f"{algorithm}:{known_hash}" if known_hash else None,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
        )
    except (requests.RequestException, ValueError, OSError) as error:
        wrong = "it is not the file that was published: its checksum differs"
        raise InputError(
            f"{title} not on this machine, and {address} could not be downloaded"
            f" ({wrong if isinstance(error, ValueError) else type(error).__name__})",
            do=do,
        ) from error
