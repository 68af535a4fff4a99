"""Zip and tar archives from anybody, unpacked so that nothing else on the disk is touched."""

import errno
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd

from imgclf_lib.errors import InputError
from imgclf_lib.storage import building, progress_bar

ARCHIVE_SUFFIXES = (
    ".zip",
    ".tar",
    ".tgz",
    ".tbz",
    ".tbz2",
    ".txz",
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
)
LONGEST_PART, LONGEST_PATH = 255, 1024  # bytes of a file name, and of a path in the archive
DEEPEST = 32  # folders inside one another
ADVICE = "Get it again, or unpack it with a program that you trust and give the folder"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
SPECIAL = "it is a pipe, a device or another special file"
SHORT = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
PIECE = 1 << 20  # bytes read at a time
BEGINNINGS = (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
UTF8 = 0x800  # the flag of a zip member whose name is UTF-8
WORD = re.compile(r"(?:[^\W\d_]|[^\x00-\x7f])+")
WESTERN = r"(?!.*[^\x00-\x7f]{3})(?:[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+)"
CYRILLIC = "[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+"
GUESSES = (  # encodings of names without that flag, and what their words then look like
    *(("utf-8", ".+"), ("cp437", WESTERN), ("cp1252", WESTERN)),
    *(("cp932", "[A-Za-z\u3005-\u30ff\u4e00-\u9fff]+"), ("cp949", "[A-Za-z\uac00-\ud7a3]+")),
    *(("cp866", CYRILLIC), ("cp1251", CYRILLIC), ("gb18030", "[A-Za-z\u4e00-\u9fff]+")),
)


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
    named = path.name.lower().endswith(ARCHIVE_SUFFIXES)
    return named or begin.startswith(BEGINNINGS) or begin[257:262] == b"ustar"


class Limits(NamedTuple):
    """What an archive may not exceed."""

    members: int = 1_000_000
    member_bytes: int = 500_000_000  # a larger file is no image that is read
    ratio: int = 200  # a bomb grows a thousandfold or more; images hardly at all
    free_bytes: int = 256_000_000  # that any archive may grow to, whatever the ratio
    disk: float = 0.9  # share of the free disk that may be filled


LIMITS = Limits()


def unpack(path: Path, into: Path, limits: Limits = LIMITS) -> pd.DataFrame:
    """Unpack a zip or tar archive into a folder of its own.

    Only plain files and folders are written, below ``into`` and nowhere else. Archives inside
    the archive stay closed. The folder appears when it is complete; what an earlier call left
    there is replaced.

    Args:
        path: The archive: zip, or tar that may be compressed with gzip, bzip2 or xz.
        into: The folder to make; its parent must exist.
        limits: What the archive may not exceed.

    Returns:
        A row for each member that was not written, in the order of the archive, with the
        columns ``path`` (the name in the archive), ``problem`` (``unsafe``, or ``damaged``) and
        ``detail`` (why). The row ``"", "names guessed"`` says that names are not marked as
        UTF-8, and how they were read.

    Raises:
        InputError: If the file is no archive, is damaged as a whole, would grow out of all
            proportion, or does not fit on the disk.
    """
    with building(into) as new:
        writer = _Writer(path, new, limits)
        try:
            for member in progress_bar(
                _open_members(path, writer.refused), f"Unpacking {path.name}", unit="file"
            ):
                writer.write(member)
        except _Hopeless as error:
            raise InputError(f"{path.name!r} cannot be unpacked: {error}", do=ADVICE) from None
        except OSError as error:
            if error.errno not in FULL[:2]:
                raise
            raise InputError("The disk is full", do="Make room, then try again") from None
    return pd.DataFrame(writer.refused, columns=["path", "problem", "detail"], dtype="str")


class _Hopeless(Exception):
    """The archive as a whole cannot be unpacked."""


class _Refused(Exception):
    """One member is not written: kind of problem, and why."""


class _Member(NamedTuple):
    """One member of an archive, as the archive describes it; nothing of that is checked."""

    name: str
    folder: bool
    size: int
    refusal: str  # what it is, if that is never written: a link, encrypted
    open: Callable[[], Any]
    stream: bool  # whether what is behind it can only be read by reading through it


def _open_members(path: Path, notes: list[tuple[str, str, str]]) -> Iterator[_Member]:
    """Go through an archive; each member has to be read before the next one is asked for."""
    with path.open("rb") as file:
        begin = file.read(512)
    try:
        zipped = zipfile.is_zipfile(path)
    except Exception as error:
        _check_disk(error)
        zipped = False
    if begin.startswith(b"PK") and not zipped:
        raise _Hopeless("its list of files, which is at the end, is missing")
    if begin.startswith(BEGINNINGS[-1]):
        raise _Hopeless("compression with Zstandard is not supported")
    # A tar archive that ends with a zip archive looks like one from behind.
    tarred = begin.startswith(BEGINNINGS[2:]) or begin[257:262] == b"ustar"
    return _zip_members(path, notes) if zipped and not tarred else _tar_members(path)


def _check_disk(error: Exception) -> None:
    """Any error while an archive is read comes from its bytes, except for those of the disk."""
    if isinstance(error, OSError) and error.errno in FULL:
        raise error


def _zip_names(infos: list[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """The names of all members; and the encoding, if it had to be guessed."""
    raw = [
        b"" if info.flag_bits & UTF8 else info.orig_filename.encode("cp437")  # as it was decoded
        for info in infos  # ``filename`` ends at a NUL
    ]
    unmarked = [name for name in raw if not name.isascii()]
    encoding = _guess(unmarked) if unmarked else ""
    names = [
        info.orig_filename if name.isascii() else name.decode(encoding)
        for info, name in zip(infos, raw, strict=True)
    ]
    if not any("/" in name for name in names):  # programs of Windows wrote such for years
        names = [name.replace("\\", "/") for name in names]
    return names, encoding


def _guess(raw: list[bytes]) -> str:
    """The first encoding in which all words look like words."""
    for encoding, word in GUESSES:
        try:
            text = " ".join(name.decode(encoding) for name in raw)
        except UnicodeDecodeError:
            continue
        words = [each for each in WORD.findall(text) if not each.isascii()]
        if all(re.fullmatch(word, each) for each in words):
            return encoding
    return "cp437"


def _zip_members(path: Path, notes: list[tuple[str, str, str]]) -> Iterator[_Member]:
    try:
        archive = zipfile.ZipFile(path)
        infos = archive.infolist()
        names, encoding = _zip_names(infos)
    except Exception as error:
        _check_disk(error)
        raise _Hopeless(f"its list of files is damaged ({error})") from None
    if encoding not in ("", "utf-8"):
        example = next(
            name
            for info, name in zip(infos, names, strict=True)
            if not info.flag_bits & UTF8 and not name.isascii()
        )
        notes.append(("", "names guessed", f"read as {encoding}, such as {example!r}"))
    with archive:
        for info, name in zip(infos, names, strict=True):
            kind = stat.S_IFMT(info.external_attr >> 16)
            refusal = "it is encrypted" if info.flag_bits & 1 else ""
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refusal = "it is a link" if kind == stat.S_IFLNK else SPECIAL
            opener = partial(archive.open, info)
            yield _Member(name, name.endswith("/"), info.file_size, refusal, opener, False)


class _Info(tarfile.TarInfo):
    """A member of a tar archive whose header is not larger than a header has to be."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not (self.isreg() or self.isdir() or self.type in SHORT) and self.size > PIECE:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_members(path: Path) -> Iterator[_Member]:
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
                yield _Member(info.name, info.isdir(), info.size, refusal, opener, True)
    except Exception as error:
        _check_disk(error)
        what = f"it is cut off or damaged after {count:,} members" if count else "it is no archive"
        raise _Hopeless(f"{what} ({error})") from None


def _read_pieces(member: _Member) -> Iterator[bytes]:
    """The content of a member; damage there may be the end of all that comes after it."""
    try:
        with member.open() as source:
            while piece := source.read(PIECE):
                yield piece
    except Exception as error:
        _check_disk(error)
        if member.stream:
            raise _Hopeless(f"it is cut off or damaged at {member.name!r} ({error})") from None
        raise _Refused("damaged", f"damaged in the archive ({error})") from None


class _Writer:
    """Writes members below a new folder, and notes which were refused and why."""

    def __init__(self, path: Path, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self.refused: list[tuple[str, str, str]] = []
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self.count = self.written = 0
        grown = max(limits.ratio * path.stat().st_size, limits.free_bytes)
        disk = int(limits.disk * shutil.disk_usage(folder).free)
        self.most = min(grown, disk)
        self.too_much = f"it grows more than {limits.ratio} times, as a zip bomb does"
        if disk < grown:
            self.too_much = f"it holds more than {disk / 1e9:,.1f} GB, all that is free on the disk"

    def write(self, member: _Member) -> None:
        self.count += 1
        if self.count > self.limits.members:
            raise _Hopeless(f"it has more than {self.limits.members:,} members")
        before = self.written
        try:
            self._write(member, [part for part in member.name.split("/") if part not in ("", ".")])
        except _Refused as error:
            name = member.name.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
            self.refused.append((name, *error.args))
            if member.stream:  # to get to the next one, it is read to its end
                self.written = before
                self._grow(member.size)

    def _write(self, member: _Member, parts: list[str]) -> None:
        _check_name(member.name, parts)
        if member.refusal:
            raise _Refused("unsafe", member.refusal)
        if not parts:
            if member.folder:
                return
            raise _Refused("unsafe", "it has no name")
        keys = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        keys = [unicodedata.normalize("NFC", key).casefold() for key in keys]
        above = keys if member.folder else keys[:-1]
        if self.files.intersection(above):
            raise _Refused("unsafe", "one of its folders is a file in the archive")
        if not member.folder and (keys[-1] in self.files or keys[-1] in self.folders):
            same = "another member has this name, or differs from it in upper and lower case only"
            raise _Refused("unsafe", same)
        # Nothing is below but files and folders of our own, so no link can lead out.
        target = self.folder.joinpath(*parts)
        try:
            (target if member.folder else target.parent).mkdir(parents=True, exist_ok=True)
            file = None if member.folder else target.open("xb")
        except OSError as error:
            if error.errno in FULL:
                raise
            raise _Refused("unsafe", f"the system refuses its name ({error.strerror})") from None
        if file is not None:
            try:
                with file:
                    self._copy(member, file)
            except _Refused:
                target.unlink()
                raise
            self.files.add(keys[-1])
        self.folders.update(above)

    def _copy(self, member: _Member, file: IO[bytes]) -> None:
        size = 0
        for piece in _read_pieces(member):
            size += len(piece)
            self._grow(len(piece))
            if size > self.limits.member_bytes:
                most = f"{self.limits.member_bytes / 1e6:,.0f} MB"
                raise _Refused("unsafe", f"it is larger than {most}")
            file.write(piece)

    def _grow(self, size: int) -> None:
        self.written += size
        if self.written > self.most:
            raise _Hopeless(self.too_much)


def _check_name(name: str, parts: list[str]) -> None:
    try:
        longest = max([len(part.encode()) for part in parts], default=0)
    except UnicodeEncodeError:
        raise _Refused("unsafe", "its name is not valid text") from None
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
        raise _Refused("unsafe", why)
