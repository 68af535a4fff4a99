"""Zip and tar archives from anybody, unpacked so that nothing else on the disk is touched."""

import errno
import re
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import IO

import pandas as pd

from imgclf_lib.archive_members import (
    BEGINNINGS,
    Hopeless,
    Member,
    Refused,
    open_members,
    read_pieces,
)
from imgclf_lib.errors import InputError
from imgclf_lib.progress import progress_bar

SUFFIXES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
MOST_MEMBERS = 1_000_000
MOST_MEMBER_BYTES = 500_000_000  # a larger file is no image that is read
MOST_RATIO = 200  # a bomb grows a thousandfold or more; images hardly at all
FREE_RATIO = 256_000_000  # bytes that any archive may grow to, whatever the ratio
MOST_DISK = 0.9  # share of the free disk that may be filled
LONGEST_PART, LONGEST_PATH = 255, 1024  # bytes of a file name, and of a path in the archive
DEEPEST = 32  # folders inside one another
ADVICE = "Get it again, or unpack it with a program that you trust and give the folder"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def is_archive(path: Path) -> bool:
    """Whether a file is, or claims to be, an archive that ``unpack`` should look into.

    Args:
        path: A file.

    Returns:
        True by its name or its first bytes; ``unpack`` says what is wrong with a broken one.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        begin = file.read(512)
    named = path.name.lower().endswith(SUFFIXES)
    return named or begin.startswith(BEGINNINGS) or begin[257:262] == b"ustar"


def unpack(path: Path, into: Path) -> pd.DataFrame:
    """Unpack a zip or tar archive into a folder of its own.

    Only plain files and folders are written, below ``into`` and nowhere else. Archives inside
    the archive stay closed. The folder appears when it is complete; what an earlier call left
    there is replaced.

    Args:
        path: The archive: zip, or tar that may be compressed with gzip, bzip2 or xz.
        into: The folder to make; its parent must exist.

    Returns:
        A row for each member that was not written, in the order of the archive, with the
        columns ``path`` (the name in the archive), ``problem`` (``unsafe``, or ``damaged``) and
        ``detail`` (why).

    Raises:
        InputError: If the file is no archive, is damaged as a whole, would grow out of all
            proportion, or does not fit on the disk.
    """
    prefix = f"unpacking-{into.name}-"
    for left in into.parent.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=prefix) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        writer = _Writer(path, new)
        try:
            for member in progress_bar(open_members(path), f"Unpacking {path.name}", unit="file"):
                writer.write(member)
        except Hopeless as error:
            raise InputError(f"{path.name!r} cannot be unpacked: {error}", do=ADVICE) from None
        except OSError as error:
            if error.errno not in FULL[:2]:
                raise
            raise InputError("The disk is full", do="Make room, then try again") from None
        if into.exists():
            into.rename(Path(scratch) / "old")
        new.rename(into)
    return pd.DataFrame(writer.refused, columns=["path", "problem", "detail"], dtype="str")


class _Writer:
    """Writes members below a new folder, and notes which were refused and why."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.folder = folder
        self.refused: list[tuple[str, str, str]] = []
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self.count = self.written = 0
        grown = max(MOST_RATIO * path.stat().st_size, FREE_RATIO)
        disk = int(MOST_DISK * shutil.disk_usage(folder).free)
        self.most = min(grown, disk)
        self.too_much = f"it grows more than {MOST_RATIO} times, as a zip bomb does"
        if disk < grown:
            self.too_much = f"it holds more than {disk / 1e9:,.1f} GB, all that is free on the disk"

    def write(self, member: Member) -> None:
        self.count += 1
        if self.count > MOST_MEMBERS:
            raise Hopeless(f"it has more than {MOST_MEMBERS:,} members")
        before = self.written
        try:
            self._write(member, [part for part in member.name.split("/") if part not in ("", ".")])
        except Refused as error:
            name = member.name.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
            self.refused.append((name, *error.args))
            if member.stream:  # to get to the next one, it is read to its end
                self.written = before
                self._grow(member.size)

    def _write(self, member: Member, parts: list[str]) -> None:
        _check_name(member.name, parts)
        if member.refusal:
            raise Refused("unsafe", member.refusal)
        if not parts:
            if member.folder:
                return
            raise Refused("unsafe", "it has no name")
        keys = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        keys = [unicodedata.normalize("NFC", key).casefold() for key in keys]
        above = keys if member.folder else keys[:-1]
        if self.files.intersection(above):
            raise Refused("unsafe", "one of its folders is a file in the archive")
        if not member.folder and (keys[-1] in self.files or keys[-1] in self.folders):
            same = "another member has this name, or differs from it in upper and lower case only"
            raise Refused("unsafe", same)
        # Nothing is below but files and folders of our own, so no link can lead out.
        target = self.folder.joinpath(*parts)
        try:
            (target if member.folder else target.parent).mkdir(parents=True, exist_ok=True)
            file = None if member.folder else target.open("xb")
        except OSError as error:
            if error.errno in FULL:
                raise
            raise Refused("unsafe", f"the system refuses its name ({error.strerror})") from None
        if file is not None:
            try:
                with file:
                    self._copy(member, file)
            except Refused:
                target.unlink()
                raise
            self.files.add(keys[-1])
        self.folders.update(above)

    def _copy(self, member: Member, file: IO[bytes]) -> None:
        size = 0
        for piece in read_pieces(member):
            size += len(piece)
            self._grow(len(piece))
            if size > MOST_MEMBER_BYTES:
                limit = f"it is larger than {MOST_MEMBER_BYTES / 1e6:,.0f} MB"
                raise Refused("unsafe", limit)
            file.write(piece)

    def _grow(self, size: int) -> None:
        self.written += size
        if self.written > self.most:
            raise Hopeless(self.too_much)


def _check_name(name: str, parts: list[str]) -> None:
    try:
        longest = max([len(part.encode()) for part in parts], default=0)
    except UnicodeEncodeError:
        raise Refused("unsafe", "its name is not valid text") from None
    why = ""
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        why = "its name begins at the root of a disk"
    elif ".." in parts:
        why = "its name leads out of the folder (..)"
    elif "\\" in name or "\0" in name:
        why = "its name has a backslash or a NUL character"
    elif longest > LONGEST_PART or len(name.encode()) > LONGEST_PATH:
        why = "its name is too long"
    elif len(parts) > DEEPEST:
        why = f"it is more than {DEEPEST} folders deep"
    if why:
        raise Refused("unsafe", why)
