"""Where things live, and how they are written: whole or not at all, checked, with progress.

Each folder can be moved with an environment variable; nothing is created here.
"""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import psutil
from filelock import FileLock, Timeout
from tqdm import tqdm

from imgclf_lib.errors import InputError, tell

if TYPE_CHECKING:
    import pandas as pd

NO_CELL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # of a CSV: control characters
SILENCE = 30  # seconds without a byte, or with few of them, that end a download
SLOWEST = 1_000  # bytes a second
LARGEST_DOWNLOAD = 10_000_000_000  # bytes; no file that is fetched comes near
SPARE = 50_000_000  # bytes that stay free on the disk
TEMPORARY = "building-"  # so begin the names of folders that are not complete


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


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file beside its place; move it there only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno and str(error.filename or beside) == str(beside):
            error.filename = str(path)  # a full disk names no file, and the other name is ours
        raise
    finally:
        beside.unlink(missing_ok=True)


def clear_left(folder: Path, names: Iterable[str]) -> None:
    """Delete what ``atomic`` of a process that was killed has left beside these files."""
    for name in names:
        path = folder / name
        for left in folder.glob(f".{glob.escape(path.stem)}-*{glob.escape(path.suffix)}"):
            process = left.stem.rpartition("-")[2]
            if process.isdecimal() and not psutil.pid_exists(int(process)):
                left.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """One process at a time; where nothing can be written, nothing is made, and all may read.

    The system takes the lock from a process that ends, however it ends. Who has to wait is told
    why, and is given True; without ``wait`` that is an ``InputError``.
    """
    lock, waited = FileLock(path), False
    with ExitStack() as stack:
        try:
            try:
                stack.enter_context(lock.acquire(timeout=1))
            except Timeout:
                place = path.parent if path.name == ".lock" else path.with_suffix("")
                if not wait:
                    raise InputError(
                        f"Another process is writing into {str(place)!r}",
                        do="Wait until it has ended, or choose another folder with --out",
                    ) from None
                tell(f"Another process is writing into {place}: this one waits until it has ended")
                stack.enter_context(lock.acquire())
                waited = True
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
        yield waited


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write one object as JSON, in one step."""
    with atomic(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV without its index, in one step; see ``safe_cell`` about its texts."""
    with atomic(path) as beside:
        table.map(safe_cell).rename(columns=safe_cell).to_csv(beside, index=False)


def safe_cell(value: Any) -> Any:
    """A cell that neither a spreadsheet nor a terminal takes for an order.

    A text that begins like a formula gets an apostrophe, which spreadsheets do not show, and
    control characters become escapes such as ``\\x1b``.
    """
    if not isinstance(value, str):
        return value
    safe = NO_CELL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return f"'{safe}" if safe.startswith(("=", "+", "-", "@")) else safe


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A new folder that gets its name only when it is complete; what was there is replaced.

    What a killed process has left of the same folder is cleared away first.
    """
    prefix = f"{TEMPORARY}{folder.name}-"
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        new.rename(folder)


def need_room(folder: Path, size: int) -> None:
    """See that the disk has room, before the work begins."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise OSError(f"{size / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} GB are free")


def digest(*parts: str | bytes, end: bytes = b"\0", size: int = 12) -> str:
    """A short text that changes with any of the parts: BLAKE2b of ``size`` bytes, in hexadecimal.

    Names of runs and of cached folders are made here: another ``end`` of each part makes others.
    """
    made = hashlib.blake2b(digest_size=size)
    for part in parts:
        made.update(part if isinstance(part, bytes) else part.encode(errors="surrogatepass"))
        made.update(end)
    return made.hexdigest()


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def stamp_of(state: os.stat_result) -> str:
    """A text that changes whenever a file is written."""
    return f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"


def fetch(
    address: str, path: Path, known_hash: str | None, shelf: str, title: str, do: str
) -> None:
    """Download one file with a progress bar; it gets its name when its checksum is right.

    ``known_hash`` is an MD5 (32 digits) or SHA-256 in hexadecimal, or None where none is published.
    ``IMGCLF_MIRROR`` names another server; there the file lies in the folder ``shelf``. An error
    begins with ``title``, such as "CIFAR-10 is", and ends with ``do``.
    """
    import requests
    from urllib3.exceptions import HTTPError

    if mirror := os.environ.get("IMGCLF_MIRROR"):
        address = f"{mirror.rstrip('/')}/{shelf}/{path.name}"
    algorithm = "md5" if known_hash and len(known_hash) == 32 else "sha256"
    clear_left(path.parent, [path.name])
    try:
        with atomic(path) as beside:
            _download(address, beside, path.name)
            if known_hash and file_digest(beside, algorithm) != known_hash:
                raise ValueError("it is not the file that was published: its checksum differs")
    except (requests.RequestException, HTTPError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename:  # the disk, not the network
            raise
        ours = type(error) in (ValueError, OSError)
        reason = str(error) if ours else type(error).__name__
        raise InputError(
            f"{title} not on this machine, and {address} could not be downloaded ({reason})",
            do=do,
        ) from error


def _download(address: str, path: Path, name: str) -> None:
    """Write what an address gives, as long as it comes safely, fast enough and in full."""
    import requests

    def look(answer: requests.Response, **_: object) -> None:
        ahead = urljoin(answer.url, answer.headers.get("Location", ""))
        safe = not answer.url.startswith("https:") or ahead.startswith("https:")
        if answer.is_redirect and not safe:
            raise ValueError("it was sent on to an address that is not encrypted")

    asked = {"Accept-Encoding": "identity"}  # so that the length is that of the file
    with (
        requests.get(
            address, headers=asked, hooks={"response": look}, stream=True, timeout=SILENCE
        ) as answer,
        path.open("wb") as file,
        progress_bar(None, f"Downloading {name}", unit="B") as bar,
    ):
        answer.raise_for_status()
        promised = answer.headers.get("Content-Length", "")
        bar.total, started = int(promised) if promised.isdecimal() else None, time.monotonic()
        need_room(path.parent, bar.total or 0)
        answer.raw.enforce_content_length = False  # looked at below, in words that are understood
        done = 0
        while piece := answer.raw.read1(1_000_000):
            file.write(piece)
            bar.update(len(piece))
            done, seconds = done + len(piece), time.monotonic() - started
            if seconds > SILENCE and done < SLOWEST * seconds:
                raise ValueError(f"it came slower than {SLOWEST:,} bytes a second")
            if done > LARGEST_DOWNLOAD:
                raise ValueError(f"it is larger than {LARGEST_DOWNLOAD / 1e9:,.0f} GB")
        if bar.total is not None and done < bar.total:
            raise ValueError(f"it ended after {done:,} of {bar.total:,} bytes")


def progress_bar(
    items: Iterable | None, description: str, total: int | None = None, unit: str = "step"
) -> tqdm:
    """A progress bar that appears after two seconds."""
    seconds = 0.2 if sys.stderr.isatty() else 10.0  # a log file wants few lines
    return tqdm(items, description, total, unit=unit, delay=2, mininterval=seconds, leave=False)
