"""What is in a zip or tar archive, member by member; broken ones are told from hopeless ones."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

SPECIAL = "it is a pipe, a device or another special file"
SHORT = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
PIECE = 1 << 20  # bytes read at a time
BEGINNINGS = (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)


class Hopeless(Exception):
    """The archive as a whole cannot be unpacked."""


class Refused(Exception):
    """One member is not written: kind of problem, and why."""


class Member(NamedTuple):
    """One member of an archive, as the archive describes it; nothing of that is checked.

    Args:
        name: Its path in the archive.
        folder: Whether it is a folder.
        size: Its size, in bytes.
        refusal: What it is, if that is never written: a link, encrypted; "" for files and folders.
        open: Opens its content.
        stream: Whether nothing behind it can be read without reading through it.
    """

    name: str
    folder: bool
    size: int
    refusal: str
    open: Callable[[], Any]
    stream: bool


def open_members(path: Path) -> Iterator[Member]:
    """Go through a zip or tar archive from first to last.

    Args:
        path: The archive.

    Returns:
        Its members; each has to be read before the next is asked for.

    Raises:
        Hopeless: If it is no archive or a broken one; also while going through it.
    """
    with path.open("rb") as file:
        begin = file.read(512)
    zipped = zipfile.is_zipfile(path)
    if begin.startswith(b"PK") and not zipped:
        raise Hopeless("its list of files, which is at the end, is missing")
    if begin.startswith(BEGINNINGS[-1]):
        raise Hopeless("compression with Zstandard is not supported")
    # A tar archive that ends with a zip archive looks like one from behind.
    tarred = begin.startswith(BEGINNINGS[2:]) or begin[257:262] == b"ustar"
    return _zip_members(path) if zipped and not tarred else _tar_members(path)


def _zip_members(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise Hopeless(f"its list of files is damaged ({error})") from None
    with archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            refusal = "it is encrypted" if info.flag_bits & 1 else ""
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refusal = "it is a link" if kind == stat.S_IFLNK else SPECIAL
            name = info.orig_filename  # ``filename`` ends at a NUL
            opener = partial(archive.open, info)
            yield Member(name, info.is_dir(), info.file_size, refusal, opener, False)


class _Info(tarfile.TarInfo):
    """A member of a tar archive whose header is not larger than a header has to be."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not (self.isreg() or self.isdir() or self.type in SHORT) and self.size > PIECE:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_members(path: Path) -> Iterator[Member]:
    """From first to last without going back, which would decompress everything again."""
    count = 0
    try:
        with tarfile.open(path, "r|*", tarinfo=_Info) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # or a million of them would fill the memory
                count += 1
                refusal = "" if info.isreg() or info.isdir() else SPECIAL
                if info.issym() or info.islnk():
                    refusal = "it is a link"
                opener = partial(archive.extractfile, info)
                yield Member(info.name, info.isdir(), info.size, refusal, opener, True)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        what = f"it is cut off or damaged after {count:,} members" if count else "it is no archive"
        raise Hopeless(f"{what} ({error})") from None


def read_pieces(member: Member) -> Iterator[bytes]:
    """Read the content of a member.

    Args:
        member: As from ``open_members``.

    Yields:
        Its bytes, at most a megabyte at a time.

    Raises:
        Refused: If it is damaged.
        Hopeless: If it is damaged, and all that comes after it is lost too.
        OSError: If the disk cannot be read.
    """
    try:
        with member.open() as source:
            while piece := source.read(PIECE):
                yield piece
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if member.stream:
            raise Hopeless(f"it is cut off or damaged at {member.name!r} ({error})") from None
        raise Refused("damaged", f"damaged in the archive ({error})") from None
