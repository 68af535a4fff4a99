"""The folders below the cache: made complete or not at all, listed, and cleared."""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from imgclf_lib.errors import InputError
from imgclf_lib.paths import cache_folder

MARK = "data.json"  # a folder that holds it is complete, and ours
SPARE = 50_000_000  # bytes that stay free on the disk
PIECE = 16_000_000  # bytes copied at a time
TEMPORARY = "building-"
UNPACKING = "unpacking-"
DERIVED = ("unpacked-", "features-")  # named after their data; they are complete or grow


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A new folder that gets its name only when it is complete.

    What a killed process has left of the same folder is cleared away first.

    Args:
        folder: The folder to be.

    Yields:
        An empty folder on the same disk, to write into.

    Raises:
        InputError: If something cannot be written, for example because the disk is full; nothing
            is left then.
    """
    prefix = f"{TEMPORARY}{folder.name}-"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            yield new
            shutil.rmtree(folder, ignore_errors=True)
            new.replace(folder)
    except OSError as error:
        raise InputError(
            f"The decoded images cannot be written into {str(folder.parent)!r}: {error}",
            do="Free some disk space (imgclf cache --clear), name another folder in the"
            " environment variable IMGCLF_CACHE, or choose a smaller image_size",
        ) from error


def need_room(folder: Path, size: int) -> None:
    """See that the disk has room, before the work begins.

    Args:
        folder: A folder on that disk.
        size: What will be written, in bytes.

    Raises:
        OSError: If there is not enough.
    """
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise OSError(f"{size / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} GB are free")


class DiskImages:
    """Images of an array on disk, read one by one.

    A memory-mapped array would hold on to every page that was ever read from it, and to its
    neighbours, so that memory would grow with the folder.

    Args:
        path: ``.npy`` file of shape ``(n, height, width, channels)``, of ``uint8``.
    """

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.path, self.shape, self.offset = path, mapped.shape, mapped.offset

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | np.ndarray) -> np.ndarray:
        chosen = np.atleast_1d(np.asarray(rows, "int64"))
        images = np.empty((len(chosen), *self.shape[1:]), "uint8")
        length = math.prod(self.shape[1:])
        with self.path.open("rb", buffering=0) as file:
            for image, row in zip(images, chosen.tolist(), strict=True):
                file.seek(self.offset + row * length)
                file.readinto(image.data)
        return images if np.ndim(rows) else images[0]


def copy_images(images: Path, rows: np.ndarray, out: Path) -> None:
    """Write some images of an array on disk into another one, with flat memory.

    Args:
        images: ``.npy`` file of shape ``(n, height, width, channels)``.
        rows: Which of them, in which order.
        out: The ``.npy`` file to write.
    """
    source = DiskImages(images)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *source.shape[1:])}
    length = max(1, PIECE // math.prod(source.shape[1:]))
    with out.open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, len(rows), length):
            file.write(source[rows[start : start + length]].data)


def write_facts(folder: Path, **facts: Any) -> None:
    """Mark a folder as complete, and say what it is.

    Args:
        folder: A folder of the cache.
        **facts: What JSON can hold.
    """
    (folder / MARK).write_text(json.dumps(facts, indent=2), encoding="utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``write_facts`` wrote; also notes that the folder is in use today.

    Args:
        folder: A complete folder of the cache.

    Returns:
        The facts.
    """
    mark = folder / MARK
    mark.touch()
    return json.loads(mark.read_text(encoding="utf-8"))


def list_caches() -> pd.DataFrame:
    """What the cache holds; all of it can be made again from the data.

    Returns:
        A row a folder, the largest first, with the columns ``name`` (of the data), ``place``
        (where the data is), ``bytes``, ``used`` (seconds since 1970) and ``folder``.
    """
    rows = []
    for folder in sorted(cache_folder().glob("*/")):
        unmarked = (TEMPORARY, UNPACKING, *DERIVED)
        if not ((folder / MARK).is_file() or folder.name.startswith(unmarked)):
            continue  # not ours
        files = [path for path in folder.rglob("*") if path.is_file()]
        facts = {"name": "left by a process that was killed", "place": ""}
        if folder.name.startswith(DERIVED):
            facts["name"] = folder.name.partition("-")[2].rpartition("-")[0]
        used = folder.stat().st_mtime
        if (folder / MARK).is_file():
            facts = json.loads((folder / MARK).read_text(encoding="utf-8"))
            used = (folder / MARK).stat().st_mtime
        size = sum(path.stat().st_size for path in files)
        rows.append((facts["name"], facts["place"], size, used, folder.name))
    table = pd.DataFrame(rows, columns=["name", "place", "bytes", "used", "folder"])
    return table.sort_values("bytes", ascending=False, ignore_index=True)


def clear_caches(names: Sequence[str] = ()) -> int:
    """Delete decoded images; the files that they were made from are not touched.

    Args:
        names: Names of data sets, or of folders of the cache; everything if empty.

    Returns:
        How many bytes are free now that were not.

    Raises:
        InputError: If there is no such name, or a folder is just being made.
    """
    table = list_caches()
    chosen = table[table["name"].isin(names) | table["folder"].isin(names)] if names else table
    known = {*table["name"], *table["folder"]}
    for name in names:
        if name not in known:
            raise InputError(
                "The cache holds no such data",
                allowed=", ".join(sorted(set(table["name"]))) or "nothing is there",
                received=name,
            )
    for name in chosen["folder"]:
        folder = cache_folder() / name
        lock = folder.with_name(f"{_locked(name)}.lock")
        try:
            with FileLock(lock, timeout=1):
                shutil.rmtree(folder)
        except Timeout:
            raise InputError(
                f"{str(folder)!r} is being made by another process", do="Try again when it is done"
            ) from None
        lock.unlink(missing_ok=True)
    return int(chosen["bytes"].sum())


def _locked(name: str) -> str:
    """The name of the folder whose lock guards this one."""
    for prefix in (TEMPORARY, UNPACKING):
        if name.startswith(prefix):
            return name.removeprefix(prefix).rpartition("-")[0]
    return name
