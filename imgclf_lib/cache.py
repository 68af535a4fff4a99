"""Decode every image once, into arrays on disk that all later runs read.

A cache folder holds ``train.npy``, ``val.npy``, ``test.npy``, ``table.csv`` and ``data.json``.
It is named after its content and settings, and gets its name only when it is complete.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image

from imgclf_lib.catalog import COLUMNS, SPLITS, list_images, make_splits
from imgclf_lib.datasets import KNOWN, load_known
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.paths import cache_folder
from imgclf_lib.pixels import decode
from imgclf_lib.progress import progress_bar

FORMAT = 2  # changes when the same settings would give other pixels
LARGEST_AUTOMATIC_SIZE = 64
FACTS = ["width", "height", "mode", "hash", "problem"]


class Prepared(NamedTuple):
    """A finished cache folder.

    Args:
        name: Name of the data set or of its folder.
        folder: Where the arrays are.
        class_names: Class names in label order.
        fingerprint: Text that changes with any pixel, label or split.
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    fingerprint: str


def prepare(experiment: Experiment) -> Prepared:
    """Find the decoded images of an experiment, or decode them now.

    Args:
        experiment: Its data fields say which images, at which size, in which splits.

    Returns:
        The finished cache folder.

    Raises:
        InputError: If the data does not exist or cannot be used.
    """
    source = _known(experiment) if experiment.data in KNOWN else _folder(experiment)
    folder = cache_folder() / f"{source.name}-{source.key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "data.json").is_file():
            _build(source, experiment, folder)
    facts = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    return Prepared(source.name, folder, tuple(facts["class_names"]), facts["fingerprint"])


class _Source(NamedTuple):
    """Where pixels come from, before any is read."""

    name: str
    key: str  # changes with the content and the settings
    open: Callable[[], "_Opened"]


class _Opened(NamedTuple):
    table: pd.DataFrame
    class_names: tuple[str, ...]
    size: int
    channels: int
    rows: list[int]  # of the table, in the order of the images
    images: Iterator["_Outcome"]


class _Outcome(NamedTuple):
    pixels: np.ndarray | None
    facts: tuple[int, int, str, str, str]  # width, height, mode, hash, problem


def _known(experiment: Experiment) -> _Source:
    name = experiment.data
    key = _digest(KNOWN[name].fingerprint, *_settings(experiment))

    def open() -> _Opened:
        known = load_known(name)
        images = [*known.train_images, *known.test_images]
        labels = np.concatenate([known.train_labels, known.test_labels])
        counts = [len(known.train_labels), len(known.test_labels)]
        splits = np.repeat(["train", "test"], counts)
        places = np.concatenate([np.arange(count) for count in counts])
        table = pd.DataFrame(
            {
                "path": [f"{split}/{row}" for split, row in zip(splits, places, strict=True)],
                "label": np.array(known.classes, dtype=object)[labels],
                "split": splits,
            }
        ).assign(width=0, height=0, mode="", hash="", problem="")[COLUMNS]
        height, width, channels = images[0].shape
        size = experiment.image_size or max(height, width)
        depth = {"auto": channels, "grey": 1, "color": 3}[experiment.color]
        mode = "L" if channels == 1 else "RGB"

        def outcome(image: np.ndarray) -> _Outcome:
            facts = (width, height, mode, _digest(image.tobytes()), "")
            if (size, size, depth) == image.shape:
                return _Outcome(image, facts)
            picture = Image.fromarray(image.squeeze())
            return _Outcome(decode(picture, size, depth, experiment.resize).pixels, facts)

        rows = list(range(len(images)))
        return _Opened(table, known.classes, size, depth, rows, map(outcome, images))

    return _Source(name, key, open)


def _folder(experiment: Experiment) -> _Source:
    folder = Path(experiment.data).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"There is no data set and no folder named {experiment.data!r}",
            allowed=f"a folder of images, or one of {', '.join(KNOWN)}",
            do="Check the spelling and the current folder",
        )
    table = list_images(folder)
    states = [(folder / path).stat() for path in table["path"]]
    stamps = (f"{state.st_size}:{state.st_mtime_ns}" for state in states)
    key = _digest(*table["path"], *stamps, *_settings(experiment))

    def open() -> _Opened:
        usable = table[table["problem"] == ""]
        size, channels = _look(folder, usable["path"], experiment)

        def outcome(path: str) -> _Outcome:
            try:
                raw = (folder / path).read_bytes()
                image = decode(raw, size, channels, experiment.resize)
            except Exception as error:  # one broken file must not end the program
                problem = f"cannot be decoded ({type(error).__name__}: {error})"
                return _Outcome(None, (0, 0, "", "", problem))
            return _Outcome(image.pixels, (image.width, image.height, image.mode, _digest(raw), ""))

        def outcomes() -> Iterator[_Outcome]:
            paths = usable["path"].tolist()
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for start in range(0, len(paths), 1024):
                    yield from pool.map(outcome, paths[start : start + 1024])

        names = tuple(sorted(usable["label"].unique()))
        return _Opened(table, names, size, channels, usable.index.tolist(), outcomes())

    return _Source(folder.resolve().name, key, open)


def _look(folder: Path, paths: pd.Series, experiment: Experiment) -> tuple[int, int]:
    """Size and channels, from the headers of about 500 files."""
    sides, modes = [], set()
    for path in paths.iloc[:: max(1, len(paths) // 500)]:
        # A file that cannot be opened is reported with its reason when it is decoded.
        with suppress(Exception), Image.open(folder / path) as image:
            sides.append(min(image.size))
            modes.add(image.mode)
    automatic = min(int(np.median(sides or [LARGEST_AUTOMATIC_SIZE])), LARGEST_AUTOMATIC_SIZE)
    grey = modes <= {"1", "L", "LA", "I", "I;16", "F"}
    depth = {"auto": 1 if grey else 3, "grey": 1, "color": 3}[experiment.color]
    return experiment.image_size or automatic, depth


def _settings(experiment: Experiment) -> list[str]:
    names = ("image_size", "color", "resize", "validation_fraction", "test_fraction", "split_seed")
    return [f"format={FORMAT}", *(f"{name}={getattr(experiment, name)}" for name in names)]


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode() + b"\0")
    return digest.hexdigest()


def _build(source: _Source, experiment: Experiment, folder: Path) -> None:
    """Decode everything into a new folder, which gets its name only when it is complete."""
    opened = source.open()
    table, rows = opened.table, opened.rows
    prefix = f"building-{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        shape = (opened.size, opened.size, opened.channels)
        pixels = _array(Path(scratch) / "all.npy", len(rows), shape)
        facts = []
        bar = progress_bar(opened.images, f"Decoding {source.name}", len(rows), "image")
        for place, outcome in enumerate(bar):
            facts.append(outcome.facts)
            if outcome.pixels is not None:
                pixels[place] = outcome.pixels
        table.loc[rows, FACTS] = pd.DataFrame(facts, index=rows, columns=FACTS)
        _report(source.name, table)
        fractions = (experiment.validation_fraction, experiment.test_fraction)
        table = make_splits(table, *fractions, experiment.split_seed)
        places = pd.Series(range(len(rows)), index=rows)
        for split in SPLITS:
            chosen = places[table.index[(table["split"] == split) & (table["problem"] == "")]]
            array = _array(new / f"{split}.npy", len(chosen), shape)
            for start in range(0, len(chosen), 4096):
                array[start : start + 4096] = pixels[chosen.iloc[start : start + 4096]]
            array.flush()
        table.loc[table["problem"] != "", "split"] = ""
        table.to_csv(new / "table.csv", index=False)
        used = table[table["problem"] == ""]
        names = tuple(name for name in opened.class_names if (used["label"] == name).any())
        content = (*names, str(shape), experiment.resize)
        fingerprint = _digest(*content, *used["label"], *used["split"], *used["hash"])
        facts_text = json.dumps({"class_names": names, "fingerprint": fingerprint}, indent=2)
        (new / "data.json").write_text(facts_text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        new.replace(folder)


def _array(path: Path, count: int, shape: tuple[int, int, int]) -> np.memmap:
    return np.lib.format.open_memmap(path, "w+", "uint8", (count, *shape))


def _report(name: str, table: pd.DataFrame) -> None:
    problems = table.loc[table["problem"] != "", ["path", "problem"]]
    if len(problems):
        first = "; ".join(f"{path}: {problem}" for path, problem in problems.head(3).to_numpy())
        counts = f"{len(table) - len(problems)} files used, {len(problems)} not used"
        why = f"({first}{f'; and {len(problems) - 3} more' if len(problems) > 3 else ''})"
        all_of_them = "The column 'problem' of the table has every reason."
        print(f"{name}: {counts} {why}. {all_of_them}", file=sys.stderr)
