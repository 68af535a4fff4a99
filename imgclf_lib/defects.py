"""A folder with every defect and oddity that this machine can make, and what is expected of each.

It proves that no file stops anything, and that every file that is not used has its true reason.
"""

import os
import random
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from imgclf_lib.defect_files import defect_kinds
from imgclf_lib.errors import InputError
from imgclf_lib.odd_images import encoded

NAMES = {  # of good images
    "Chinese, Japanese and Korean name": "猫の写真 고양이 喵.png",
    "emoji in the name": "🐈‍⬛ cat 👍🏽.png",
    "name from right to left": "قطة חתול.png",
    "combining letters in the name": "cafe\u0301 a\u0302\u0323.png",
    "spaces in the name": "  two  spaces .png",
    "quotes in the name": 'it\'s a "cat" `x`.png',
    "line break in the name": "two\nlines.png",
    "markup in the name": "<b>bold<!-- & &amp; $x_1^2$ %d {0} \\n.png",
    "formula in the name": "=1+1,;|.png",
    "very long name": "long" * 60 + ".png",
    "two endings in the name": "archive.tar.gz.png",
}


def write_defects(
    folder: Path,
    images: Sequence[np.ndarray],
    labels: Sequence[str],
    seed: int = 0,
    splits: bool = False,
) -> pd.DataFrame:
    """Write good images in class folders, and among them one file of each defect and oddity.

    Args:
        folder: Where to write; it is made if it does not exist, and must be empty.
        images: Good images: ``uint8`` arrays of shape ``(height, width, 3)``, at least 16 x 16.
        labels: The class of each image: names of folders, two or more different ones.
        seed: Decides which class gets which defect.
        splits: Whether everything goes into ``train``, with copies of some images in ``test``.

    Returns:
        A row a file, in the order of writing, with the columns ``path`` (relative to the folder,
        with ``/``), ``kind`` (what it is; "good" for the images), ``problem`` (the expected kind
        of problem, "" if the file can be used) and ``remark`` (what the detail should contain).
        What this machine cannot make has a row too, with an empty path and the reason as remark.

    Raises:
        InputError: If the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"The folder {str(folder)!r} is not empty", do="Name a new folder")
    writer = _Writer(folder / "train" if splits else folder, images, labels, seed)
    counts: dict[str, int] = {}
    for image, label in zip(images, labels, strict=True):
        counts[label] = counts.get(label, -1) + 1
        writer.write(f"{label}/{counts[label]:04}.png", "good", encoded(image))
    for kind, defect in defect_kinds().items():
        number, label = writer.choose()
        name = f"{label}/{kind.replace('/', ' ')}{defect.ending}"
        content = defect.make(images[number])
        writer.write(name, kind, content, defect.problem, defect.remark)
    for kind, name in NAMES.items():
        number, label = writer.choose()
        writer.write(f"{label}/{name}", kind, encoded(images[number]))
    _copies(writer)
    _places(writer)
    _no_files(writer)
    rows = writer.rows
    if splits:
        rows = [(path and f"train/{path}", *rest) for path, *rest in rows]
        for label in sorted(counts):  # leaks: training images once more
            number = list(labels).index(label)
            path = folder / "test" / label / "leaked.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(encoded(images[number]))
            rows.append((f"test/{label}/leaked.png", "copy in another split", "", ""))
    return pd.DataFrame(rows, columns=["path", "kind", "problem", "remark"], dtype="str")


class _Writer:
    """Writes files and remembers what is expected of them."""

    def __init__(
        self, folder: Path, images: Sequence[np.ndarray], labels: Sequence[str], seed: int
    ) -> None:
        self.folder, self.images, self.labels = folder, images, list(labels)
        self.random = random.Random(seed)
        self.rows: list[tuple[str, ...]] = []

    def choose(self) -> tuple[int, str]:
        """A good image: its number and its class."""
        number = self.random.randrange(len(self.labels))
        return number, self.labels[number]

    def write(
        self, name: str, kind: str, content: bytes, problem: str = "", remark: str = ""
    ) -> None:
        self.make(name, kind, lambda path: path.write_bytes(content), problem, remark)

    def make(
        self,
        name: str,
        kind: str,
        act: Callable[[Path], object],
        problem: str = "",
        remark: str = "",
    ) -> None:
        """Let a function make the file; a system that refuses gives a row without a path."""
        path = self.folder / name
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            act(path)
        except (OSError, ValueError, AttributeError, NotImplementedError) as error:
            text, problem, remark = "", "", f"cannot be made here: {error}"
        self.rows.append((text, kind, problem, remark))


def _copies(writer: _Writer) -> None:
    """The same bytes under another name."""
    number, label = writer.choose()
    same = encoded(writer.images[number])
    writer.write(f"{label}/copy in the same class.png", "copy in the same class", same)
    for other in sorted(set(writer.labels) - {label})[:1]:
        writer.write(f"{other}/copy from another class.png", "copy in another class", same)


def _places(writer: _Writer) -> None:
    """Files that are not where images are looked for, or deeper."""
    number, label = writer.choose()
    good = encoded(writer.images[number])
    writer.write(f"{label}/.hidden.png", "hidden file", good, "hidden")
    writer.write(f"{label}/.thumbnails/small.png", "hidden folder", good, "hidden")
    finder = b"\x00\x00\x00\x01Bud1" + bytes(40)
    writer.write(f"{label}/.DS_Store", "folder view of macOS", finder, "hidden")
    writer.write(f"{label}/._0000.png", "side file of macOS", b"\0\5\x16\7" + bytes(40), "hidden")
    writer.write("loose.png", "image outside a class folder", good, "no class")
    writer.write("README.txt", "notes outside a class folder", b"Photos.\n", "unknown extension")
    writer.write(f"{label}/deeper/and deeper/nested.png", "nested folder", good)


def _no_files(writer: _Writer) -> None:
    """What a folder can hold beside plain files."""
    number, label = writer.choose()
    good = encoded(writer.images[number])
    odd_name = os.fsdecode(b"caf\xe9 \xff.png")
    writer.write(f"{label}/{odd_name}", "name that is not UTF-8", good, "bad name")
    target = writer.folder / label / "0000.png"
    writer.make(f"{label}/link.png", "link to a file", lambda path: path.symlink_to(target))
    writer.make(
        f"{label}/broken link.png",
        "broken link",
        lambda path: path.symlink_to("nowhere.png"),
        "unreadable",
    )
    writer.make(
        f"{label}/circle",
        "folder link in a circle",
        lambda path: path.symlink_to(writer.folder / label, target_is_directory=True),
        "link",
    )
    writer.make(f"{label}/pipe.png", "pipe", lambda path: os.mkfifo(path), "special file")
    writer.make(f"{label}/socket.png", "socket", _listen, "special file")

    def lock(path: Path) -> None:
        if os.name == "nt" or os.geteuid() == 0:
            raise OSError("this user may read every file")
        path.write_bytes(good)
        path.chmod(0)

    writer.make(f"{label}/locked.png", "no permission to read", lock, "unreadable")
    number, label = writer.choose()
    writer.make(f"{label}/empty folder", "empty folder", Path.mkdir)
    writer.rows.pop()  # no file, no row


def _listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
