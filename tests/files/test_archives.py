"""Archives: good ones come out whole, hostile ones touch nothing else, broken ones say why."""

import contextlib
import errno
import io
import os
import random
import stat
import struct
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.errors import InputError
from imgclf_lib.files import is_archive, unpack
from imgclf_lib.files.archives import LIMITS, Limits

FORMS = (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")


def write_zip(path: Path, members: list, **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content, **options)
    return path


def write_tar(path: Path, members: list, mode: str = "w") -> Path:
    """Members are names with bytes, or whole ``TarInfo`` with bytes."""
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def write(path: Path, members: list) -> Path:
    if path.suffix == ".zip":
        return write_zip(path, members)
    return write_tar(path, members, "w:" + path.suffix[1:].replace("tar", ""))


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def place(tmp_path) -> Path:
    """An archive goes in here, and whatever leaves ``out`` would be seen beside it."""
    folder = tmp_path / "deep" / "place"
    folder.mkdir(parents=True)
    return folder


def everything(place: Path) -> set[str]:
    top = place.parent.parent
    return {path.relative_to(top).as_posix() for path in top.rglob("*")}


LITTLE = Limits(free_bytes=20_000_000)


def refused(place: Path, archive: Path, limits: Limits = LIMITS) -> dict[str, str]:
    """Unpack and check that nothing was written but below ``out``."""
    before = everything(place)
    table = unpack(archive, place / "out", limits)
    assert table.columns.tolist() == ["path", "problem", "detail"]
    assert set(table["problem"]) <= {"unsafe", "damaged"}
    assert (table["detail"] != "").all()
    after = {path for path in everything(place) - before if not path.startswith("deep/place/out")}
    assert after == set()
    return dict(zip(table["path"], table["detail"], strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_good_archives_come_out_whole(place, form):
    good = {"cat/1.jpg": b"one", "./dog//2.png": b"", "dog/猫 <b>.png": b"two", "list.csv": b"a,b"}
    good["dog/inner.zip"] = write_zip(place / "inner.zip", [("x", "y")]).read_bytes()
    archive = write(place / f"data{form}", list(good.items()))
    assert is_archive(archive)
    assert refused(place, archive) == {}
    found = contents(place / "out")
    assert found == {name.replace("./", "").replace("//", "/"): b for name, b in good.items()}
    assert refused(place, archive) == {}  # again, into the folder that is there
    assert contents(place / "out") == found


def test_folders_and_modes(place):
    folder, file = special("empty class", tarfile.DIRTYPE), tarfile.TarInfo("a/1.jpg")
    file.mode = folder.mode = 0o7777
    archive = write_tar(place / "data.tar", [(folder, b""), (file, b"x")])
    assert refused(place, archive) == {}
    assert (place / "out/empty class").is_dir()
    for path in (place / "out/empty class", place / "out/a/1.jpg"):
        assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)


SLIPS = {
    "../evil": "leads out",
    "a/../../evil": "leads out",
    "a/..": "leads out",
    "/deep/evil": "root of a disk",
    "//host/evil": "root of a disk",
    "C:/evil": "root of a disk",
    "c:evil": "root of a disk",
    "..\\evil": "backslash",
    "a\\b.jpg": "backslash",
    "x" * 256: "too long",
    "é" * 128: "too long",
    "ab/" * 400 + "c": "too long",
    "a/" * 40 + "b": "folders deep",
}


@pytest.mark.parametrize("form", [".zip", ".tar"])
def test_names_that_lead_elsewhere(place, form):
    members = [(name, b"evil") for name in SLIPS] + [("good/1.jpg", b"good")]
    found = refused(place, write(place / f"data{form}", members))
    assert list(found) == list(SLIPS)
    for name, why in SLIPS.items():
        assert why in found[name]
    assert contents(place / "out") == {"good/1.jpg": b"good"}


def test_names_with_nul_or_without_text(place):
    archive = write_zip(place / "data.zip", [("a/evilX.jpg", b"x"), ("a/good.jpg", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"evilX", b"evil\0"))
    assert "NUL" in refused(place, archive)["a/evil\\x00.jpg"]
    with tarfile.open(place / "data.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a/\udcff.jpg"))
    assert "not valid text" in refused(place, place / "data.tar")["a/\\udcff.jpg"]
    assert "no name" in refused(place, write_tar(place / "e.tar", [("./", b"x")]))["./"]


def test_links_and_devices_are_not_made_and_not_followed(place):
    outside = place.parent / "outside"
    outside.mkdir()
    kinds = {"hard": (tarfile.LNKTYPE, "/etc/passwd"), "pipe": (tarfile.FIFOTYPE, "")}
    kinds |= {"disk": (tarfile.BLKTYPE, ""), "tty": (tarfile.CHRTYPE, "")}
    kinds |= {"door": (tarfile.SYMTYPE, str(outside)), "up": (tarfile.SYMTYPE, "..")}
    members = [(special(name, *kind), b"") for name, kind in kinds.items()]
    members += [("door/evil.jpg", b"through the link"), ("up/evil.jpg", b"up")]
    found = refused(place, write_tar(place / "data.tar", members))
    assert list(found) == list(kinds)
    assert list(outside.iterdir()) == []
    # What would have gone through the link is a plain file in a plain folder.
    assert set(contents(place / "out")) == {"door/evil.jpg", "up/evil.jpg"}
    assert not (place / "out/door").is_symlink()

    link = zipfile.ZipInfo("door")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    device = zipfile.ZipInfo("disk")
    device.external_attr = (stat.S_IFBLK | 0o777) << 16
    archive = write_zip(place / "data.zip", [(link, str(outside)), (device, ""), ("door/x", b"1")])
    found = refused(place, archive)
    assert "link" in found["door"]
    assert "device" in found["disk"]
    assert list(outside.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", [".zip", ".tar"])
def test_names_that_collide(place, form):
    names = ["a/1.jpg", "a/1.jpg", "A/1.JPG", "a/caf\u00e9", "a/cafe\u0301", "b", "b/2.jpg", "a"]
    members = [(name, str(place).encode()) for place, name in enumerate(names)]
    table = unpack(write(place / f"data{form}", members), place / "out")
    assert table["path"].tolist() == ["a/1.jpg", "A/1.JPG", "a/cafe\u0301", "b/2.jpg", "a"]
    assert contents(place / "out") == {"a/1.jpg": b"0", "a/caf\u00e9": b"3", "b": b"5"}


def test_encrypted_and_unknown_compression(place):
    archive = write_zip(place / "data.zip", [("a/1.jpg", b"one"), ("a/2.jpg", b"two")])
    raw = bytearray(archive.read_bytes())
    first = raw.index(b"PK\1\2")
    raw[first + 8] |= 1  # flag: encrypted
    second = raw.index(b"PK\1\2", first + 1)
    raw[second + 10] = 99  # method of compression
    archive.write_bytes(raw)
    found = refused(place, archive)
    assert "encrypted" in found["a/1.jpg"]
    assert "damaged" in found["a/2.jpg"]


def test_damaged_members_are_told(place):
    content = random.Random(0).randbytes(1000)
    archive = write_zip(place / "data.zip", [("a/1.jpg", content), ("a/2.jpg", b"good")])
    raw = archive.read_bytes()
    archive.write_bytes(raw[:300] + b"xx" + raw[302:])
    table = unpack(archive, place / "out")
    assert table["problem"].tolist() == ["damaged"]
    assert "CRC" in table["detail"][0]
    assert contents(place / "out") == {"a/2.jpg": b"good"}


def test_declared_sizes_that_lie(place):
    """A member of 30 MB that claims 10 bytes, and one of 10 bytes that claims 4 GB."""
    for claim in (10, 0xFFFFFFF0):
        archive = write_zip(place / "data.zip", [("a/1.jpg", b"\0" * 30_000_000), ("a/2", b"2")])
        raw = archive.read_bytes()
        size = struct.pack("<I", 30_000_000)
        assert raw.count(size) == 2
        archive.write_bytes(raw.replace(size, struct.pack("<I", claim)))
        unpack(archive, place / "out")
        written = contents(place / "out")
        assert written["a/2"] == b"2"
        assert len(written.get("a/1.jpg", b"")) <= 30_000_000
    info = tarfile.TarInfo("a/1.jpg")
    info.size = 1 << 40
    (place / "data.tar").write_bytes(info.tobuf() + b"short")
    assert_hopeless(place, place / "data.tar", "cut off or damaged")


def assert_hopeless(place: Path, archive: Path, why: str, limits: Limits = LIMITS) -> None:
    before = everything(place)
    with pytest.raises(InputError, match=why) as caught:
        unpack(archive, place / "out", limits)
    assert "unpack it with a program" in str(caught.value)
    assert everything(place) == before


@pytest.mark.parametrize("form", [".zip", ".tar.gz", ".tar.xz"])
def test_bombs_are_stopped(place, form):
    members = [(f"a/{number}", b"\0" * 10_000_000) for number in range(20)]
    archive = write(place / f"data{form}", members)
    assert_hopeless(place, archive, "zip bomb", LITTLE)


def test_bombs_in_refused_members_and_huge_headers(place):
    members = [(f"../{number}", b"\0" * 10_000_000) for number in range(20)]
    assert_hopeless(place, write(place / "data.tar.gz", members), "zip bomb", LITTLE)
    header = special("././@PaxHeader", tarfile.XHDTYPE)
    header.size = 50_000_000
    raw = header.tobuf() + b"\0" * 50_000_000
    (place / "pax.tar").write_bytes(raw)
    assert_hopeless(place, place / "pax.tar", "header of 50,000,000 bytes", LITTLE)


def test_overlapping_zip_bomb(place):
    """Many entries of the list that share the same compressed bytes, after Fifield (2019)."""
    archive = write_zip(place / "data.zip", [("a/000", b"\0" * 1_000_000)])
    raw = archive.read_bytes()
    start, end = raw.index(b"PK\1\2"), raw.index(b"PK\5\6")
    entry = raw[start:end]
    names = [f"a/{number:03}".encode() for number in range(500)]
    entries = b"".join(entry.replace(b"a/000", name) for name in names)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 500, 500, len(entries), start, 0)
    archive.write_bytes(raw[:start] + entries + tail)
    table = unpack(archive, place / "out", LITTLE)  # the names in front of the data do not agree
    assert len(table) == 499
    shared = b"".join([entry] * 500)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 500, 500, len(shared), start, 0)
    archive.write_bytes(raw[:start] + shared + tail)
    assert len(unpack(archive, place / "out", LITTLE)) == 499  # one name, written once
    assert sum(map(len, contents(place / "out").values())) == 1_000_000


def test_limits_of_one_member_of_their_number_and_of_the_disk(place):
    archive = write(place / "data.zip", [("a/1", b"\0" * 3000), ("a/2", b"good")])
    assert "larger than" in refused(place, archive, Limits(member_bytes=1000))["a/1"]
    assert contents(place / "out") == {"a/2": b"good"}
    with pytest.raises(InputError, match="more than 1 members"):
        unpack(archive, place / "other", Limits(members=1))
    with pytest.raises(InputError, match="free on the disk"):
        unpack(archive, place / "other", Limits(disk=1e-12))
    assert not (place / "other").exists()


@pytest.mark.slow
def test_a_hundred_thousand_members(place):
    archive = place / "data.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(100_000):
            tar.addfile(special(f"../{number}", tarfile.SYMTYPE, "x"))
    start = time.monotonic()
    table = unpack(archive, place / "out")
    assert len(table) == 100_000
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_and_many_damages_end_well(place, form):
    """A good folder or an InputError; never another error, and nothing elsewhere."""
    noise = random.Random(1)
    members = [(f"c/{number}.bin", noise.randbytes(300)) for number in range(5)]
    raw = write(place / f"data{form}", members).read_bytes()
    archive = place / f"broken{form}"
    archive.touch()
    before = everything(place)
    broken = [raw[: int(part * len(raw) / 40)] for part in range(40)]
    for _ in range(60):
        at = noise.randrange(len(raw))
        broken.append(raw[:at] + noise.randbytes(3) + raw[at + 3 :])
    outcomes = []
    for content in broken:
        archive.write_bytes(content)
        try:
            unpack(archive, place / "out")
            outcomes.append("unpacked")
        except InputError:
            outcomes.append("refused")
        rest = everything(place) - before
        assert all(path.startswith("deep/place/out") for path in rest)
    assert outcomes.count("refused") > 10


def test_what_is_no_archive(place):
    image = place / "picture.jpg"
    Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(image)
    assert not is_archive(image)
    assert not is_archive(place)
    renamed = image.rename(place / "picture.zip")
    assert is_archive(renamed)
    assert_hopeless(place, renamed, "no archive")
    (place / "empty.tar").touch()
    assert_hopeless(place, place / "empty.tar", "no archive")
    (place / "new.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 100)
    assert is_archive(place / "new.tar.zst")
    assert_hopeless(place, place / "new.tar.zst", "Zstandard")
    raw = write_zip(place / "good.zip", [("a/1.jpg", b"x" * 1000)]).read_bytes()
    (place / "cut.zip").write_bytes(raw[:-30])
    assert_hopeless(place, place / "cut.zip", "at the end, is missing")


KILLED = """
import sys
from pathlib import Path
from imgclf_lib.files import unpack
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_unpacking_leaves_no_half_folder(place):
    members = [(f"a/{number}.bin", os.urandom(20_000)) for number in range(5000)]
    archive = write_tar(place / "data.tar", members)
    command = [sys.executable, "-c", KILLED, str(archive), str(place / "out")]
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent.parent)
    while process.poll() is None and not list(place.glob("building-*/new/a/*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (place / "out").exists()
    assert list(place.glob("building-*"))
    assert refused(place, archive) == {}
    assert len(contents(place / "out")) == 5000
    assert not list(place.glob("building-*"))


def write_raw_names(path: Path, names: list[bytes]) -> Path:
    """A zip archive whose names are these bytes, and not marked as UTF-8."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name in names:
            archive.writestr("A" * len(name), name)
    raw, at = path.read_bytes(), 0
    for name in 2 * names:  # before each member, and in the list at the end
        at = raw.index(b"A" * len(name), at)
        raw = raw[:at] + name + raw[at + len(name) :]
        at += len(name)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp932", ["猫/1.png", "表示/1.png"]),
        ("cp932", ["ねこ/画像1.png"]),
        ("gb18030", ["小猫/1.png", "小狗/1.png"]),
        ("cp949", ["고양이/1.png", "강아지/1.png"]),
        ("cp866", ["Кошка/1.png", "собака/1.png"]),
        ("cp1251", ["Кошка/1.png", "собака/1.png"]),
        ("cp437", ["Käfer/1.png", "Löwe/1.png", "Größe/1.png", "ÖL/1.png"]),
        ("cp1252", ["Käfer/1.png", "Löwe/1.png", "garçon/1.png"]),
        ("utf-8", ["猫/1.png", "Käfer/1.png", "cafe\u0301/1.png"]),
    ],
)
def test_names_in_another_code_page(encoding, names, place):
    archive = write_raw_names(place / "a.zip", [name.encode(encoding) for name in names])
    table = unpack(archive, place / "out")
    assert contents(place / "out") == {name: name.encode(encoding) for name in names}
    if encoding == "utf-8":
        assert table.empty
    else:
        [row] = table.values.tolist()
        assert row == ["", "names guessed", f"read as {encoding}, such as {names[0]!r}"]


def test_backslashes_between_folders(place):
    names = [b"pets\\cat\\1.png", b"pets\\dog\\1.png", b"pets\\..\\..\\out.png", b"C:\\x.png"]
    table = unpack(write_raw_names(place / "a.zip", names), place / "out")
    assert set(contents(place / "out")) == {"pets/cat/1.png", "pets/dog/1.png"}
    assert table["problem"].tolist() == ["unsafe"] * 2
    mixed = write_raw_names(place / "b.zip", [b"cat/1.png", b"dog\\1.png"])
    assert unpack(mixed, place / "out")["path"].tolist() == ["dog\\1.png"]


def test_damage_of_any_kind_is_an_error_of_ours(place):
    """Python's readers raise TypeError, IndexError or an OSError of a negative seek for some."""
    members = [(f"cat/{number}.png", bytes(range(100))) for number in range(3)]
    whole = [write(place / f"whole{form}", members).read_bytes() for form in FORMS]
    generator = random.Random(0)
    (place / "a.gz").write_bytes(b"\x1f\x8b\x08/\xf8\x05")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(place / "a.gz", place / "out")
    for turn in range(400):
        raw = bytearray(whole[turn % len(whole)])
        for _ in range(generator.randint(1, 6)):
            raw[generator.randrange(len(raw))] = generator.choice((0, 1, 127, 128, 255))
        (place / "a.bin").write_bytes(raw)
        with contextlib.suppress(InputError):
            unpack(place / "a.bin", place / "out", LITTLE)


def test_a_disk_that_fails_is_no_damaged_archive(place, monkeypatch):
    archive = write(place / "a.zip", [("cat/1.png", b"x")])

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        unpack(archive, place / "out")
