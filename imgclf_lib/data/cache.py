"""Decode every image once, into arrays on disk that all later runs read.

In the folder of decoded files lies a folder for each way to split them: ``train.npy``,
``val.npy``, ``test.npy`` and ``table.parquet``. Both are named after their content and settings,
and are there only when they are complete.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import PIL
from filelock import FileLock, Timeout

from imgclf_lib.data.arrays import FACTS, KINDS, decode_arrays, decode_files, measure_images
from imgclf_lib.data.duplicates import similar_pairs
from imgclf_lib.data.listing import COLUMNS, SPLITS, apply_fixes, check_listing, read_fixes
from imgclf_lib.data.sources import KNOWN, Source, known_table, load_known, open_source
from imgclf_lib.data.splits import check_classes, make_splits
from imgclf_lib.data.tracks import Tracks, find_tracks
from imgclf_lib.errors import InputError, tell
from imgclf_lib.experiment import Experiment, input_size
from imgclf_lib.files import bits_of, collect_warnings, open_image
from imgclf_lib.storage import (
    TEMPORARY,
    building,
    cache_folder,
    digest,
    file_digest,
    locked,
    need_room,
    stamp_of,
    write_json,
)

ARRAYS = (".npy", ".parquet")
# Facts and files of a folder of decoded files, and of one of its splits.
DECODED = ("name", "place", "class_order", "images.npy", "pairs.npy", "files.parquet")
DIVIDED = ("class_names", "fingerprint", "train.npy", "val.npy", "test.npy", "table.parquet")
MARK = "data.json"  # a folder that holds it is complete, and ours
PIECE = 16_000_000  # bytes copied at a time
UNPACKING = "unpacking-"
DERIVED = ("unpacked-", "features-")  # named after their data; they are complete or grow
FORMAT = 4  # changes when the same settings would give other pixels or facts
LARGEST_AUTOMATIC_SIZE = 64
NARROW = 3  # times as long as wide


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A new folder of the cache, there only when it is complete; if it cannot be, what to do."""
    try:
        with building(folder) as new:
            yield new
    except OSError as error:
        raise InputError(
            f"The decoded images cannot be written into {str(folder.parent)!r}: {error}",
            do="Free some disk space (imgclf cache --clear), name another folder in the"
            " environment variable IMGCLF_CACHE, or choose a smaller image_size",
        ) from error


class DiskImages:
    """Images of an array on disk, read one by one.

    A memory-mapped array would hold on to every page that was ever read from it, and to its
    neighbours, so that memory would grow with the folder.

    Args:
        path: ``.npy`` file of shape ``(n, height, width, channels)``, of ``uint8``.
        places: ``int64`` array: which images, in which order; all if None.
    """

    def __init__(self, path: Path, places: np.ndarray | None = None) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.path, self.offset = path, mapped.offset
        self.places = np.arange(len(mapped)) if places is None else places
        self.shape = (len(self.places), *mapped.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        chosen = np.atleast_1d(self.places[rows])
        images = np.empty((len(chosen), *self.shape[1:]), "uint8")
        length = math.prod(self.shape[1:])
        with self.path.open("rb", buffering=0) as file:
            for image, row in zip(images, chosen.tolist(), strict=True):
                file.seek(self.offset + row * length)
                file.readinto(image.data)
        return images if np.ndim(self.places[rows]) else images[0]


def copy_images(images: Path, rows: np.ndarray, out: Path, piece: int = PIECE) -> None:
    """Write some images of an array on disk into another one, ``piece`` bytes at a time."""
    source = DiskImages(images)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *source.shape[1:])}
    length = max(1, piece // math.prod(source.shape[1:]))
    with out.open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, len(rows), length):
            file.write(source[rows[start : start + length]].data)


def write_facts(folder: Path, **facts: Any) -> None:
    """Mark a folder as complete, and say what it is, and what its files are."""
    files = {path.name: path for path in sorted(folder.iterdir()) if path.suffix in ARRAYS}
    stamps = {name: [*_stamp(path), file_digest(path)] for name, path in files.items()}
    write_json(folder / MARK, {**facts, "files": stamps})


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``write_facts`` wrote; also notes that the folder is in use today."""
    mark = folder / MARK
    with suppress(OSError):  # a disk that cannot be written is read all the same
        mark.touch()
    return json.loads(mark.read_text(encoding="utf-8"))


def is_ready(folder: Path, needed: Sequence[str]) -> bool:
    """Whether a folder is complete, with all facts and files; a damaged one is made again.

    A file that was not touched since is trusted; of any other the checksum is compared. Folders
    of an earlier version have no checksums: then the arrays must be as long as they say.
    """
    if not (folder / MARK).is_file():
        return False
    try:
        facts = json.loads((folder / MARK).read_text(encoding="utf-8"))
        stamps = facts.get("files", {})
        whole = all(name in facts or (folder / name).is_file() for name in needed)
        for name, (*stamp, checksum) in stamps.items():
            path = folder / name
            whole = whole and (stamp == _stamp(path) or checksum == file_digest(path))
        for path in folder.glob("*.*") if whole and not stamps else ():
            if path.suffix == ".npy":
                np.load(path, mmap_mode="r")
            elif path.suffix == ".parquet":
                pd.read_parquet(path)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, RecursionError):
        whole = False  # nearly anything may be in a damaged file
    if not whole:
        tell(f"{folder} is damaged: its images are made again from the data")
    return whole


def _stamp(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


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
            try:
                found = json.loads((folder / MARK).read_text(encoding="utf-8"))
                facts = {name: str(found[name]) for name in facts}
            except (ValueError, LookupError, TypeError, RecursionError):
                facts["name"] = "damaged"
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


def files_folder(source: Source, experiment: Experiment) -> Path:
    """Where the decoded files of a source are, or will be."""
    size = experiment.image_size or f"at most {_largest(experiment)}"
    settings = (FORMAT, PIL.__version__, size, experiment.color, experiment.resize)
    key = digest(source.files_key, *map(str, settings))
    folder = cache_folder() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _largest(experiment: Experiment) -> int:
    """The largest size that is chosen by itself: that of a pretrained network, or a small one."""
    return input_size(experiment.backbone) if experiment.backbone else LARGEST_AUTOMATIC_SIZE


def decode_source(
    source: Source, experiment: Experiment, base: Path, bits: int | None = None
) -> None:
    """Make the folder of decoded files if it is not there.

    Of grey values in 16 bits as many count as the largest value of all files needs: only then it
    is known, and these files are decoded again if it is not all. With ``bits`` it is known before.
    """
    if is_ready(base, DECODED):
        return
    with _filling(base) as new:
        out = new / "images.npy"
        if source.listing is None:
            table, classes = _decode_known(source.name, experiment, out)
            pairs = np.empty((0, 2), "int64")
        else:
            root, files, classes = source.listing.root, source.table, ()
            paths = files.loc[files["problem"] == "", "path"].tolist()
            size, channels = _look(root, paths, experiment)
            need_room(new, 2 * len(paths) * size * size * channels)  # again in their splits
            before = _stamps(root, paths)
            how = (size, channels, experiment.resize)
            table = decode_files(root, paths, *how, out, source.name, bits=bits or 16)
            found = bits_of(table["greatest"])
            if found and not bits and found < 16:
                again = np.flatnonzero(table["greatest"])
                some, part = [paths[row] for row in again], new / "part.npy"
                facts = decode_files(root, some, *how, part, source.name, bits=found)
                table.iloc[again] = facts
                np.lib.format.open_memmap(out, "r+")[again] = np.load(part, mmap_mode="r")
                part.unlink()
            _check_unchanged(source.name, paths, before, _stamps(root, paths))
            bits = found and (bits or found)
            table = table[FACTS]
            table.insert(0, "path", pd.array(paths, dtype="str"))
            pairs = _near_duplicates(table, out)
        table.to_parquet(new / "files.parquet", index=False)
        np.save(new / "pairs.npy", pairs)
        known = {"bits": bits} if bits else {}
        write_facts(new, name=source.name, place=source.place, class_order=classes, **known)


def _stamps(root: Path, paths: list[str]) -> list[str]:
    """Sizes and times of files; empty for those that are gone."""
    stamps = []
    for path in paths:
        try:
            stamps.append(stamp_of(os.stat(root / path)))  # noqa: PTH116  faster, for many files
        except OSError:
            stamps.append("")
    return stamps


def _check_unchanged(name: str, paths: list[str], before: list[str], after: list[str]) -> None:
    """Refuse images of which some may be older and some newer; what is gone has its reason."""
    rows = zip(paths, before, after, strict=True)
    changed = [path for path, old, new in rows if old != new and new]
    if changed:
        raise InputError(
            f"{name!r} was changed while its images were read: {len(changed)} files, such as"
            f" {changed[0]!r}",
            do="Wait until nothing is written there any more, then give the same command again",
        )


def _decode_known(
    name: str, experiment: Experiment, out: Path
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    known = load_known(name)
    images = [*known.train_images, *known.test_images]
    height, width, channels = images[0].shape
    size = experiment.image_size or max(height, width)
    channels = {"auto": channels, "grey": 1, "color": 3}[experiment.color]
    need_room(out.parent, 2 * len(images) * size * size * channels)
    facts = decode_arrays(images, size, channels, experiment.resize, out, name)
    names = known_table(known)[["path", "label", "split"]]
    return pd.concat([names, facts], axis=1), known.classes


def measure_known(base: Path) -> None:
    """Fill in what the audit wants to know of a known data set, and training does not."""
    table = pd.read_parquet(base / "files.parquet")
    if table["perceptual_hash"].eq("").any():
        measures = measure_images(base / "images.npy", table["path"])
        table[measures.columns] = measures
        np.save(base / "pairs.npy", _near_duplicates(table, base / "images.npy"))
        table.to_parquet(base / "files.parquet", index=False)
        write_facts(base, **read_facts(base))


def _near_duplicates(table: pd.DataFrame, images: Path) -> np.ndarray:
    good = (table["problem"] == "").to_numpy()
    if good.sum() < 2:
        return np.empty((0, 2), "int64")
    hashes = np.array([int(each or "0", 16) for each in table["perceptual_hash"]], "uint64")
    pairs = similar_pairs(hashes, DiskImages(images))
    return pairs[good[pairs].all(1)]


def _look(root: Path, paths: list[str], experiment: Experiment) -> tuple[int, int]:
    """Size and channels, from the headers of about 500 files."""
    sides, modes = [], set()
    for path in paths[:: max(1, len(paths) // 500)]:
        # A file that cannot be opened is reported with its reason when it is decoded.
        with (
            collect_warnings(),
            suppress(Exception),
            open_image(root / path) as image,
        ):
            sides.append(sorted(image.size))
            modes.add(image.mode)
    largest = _largest(experiment)
    short, long = np.median(sides or [[largest, largest]], 0)
    # Of a line of text the longer side counts: padded to the shorter one, little would be left.
    narrow = experiment.resize == "pad" and long >= NARROW * short
    automatic = min(int(long if narrow else short), largest)
    grey = modes <= {"1", "L", "LA", "I", "I;16", "F"}
    depth = {"auto": 1 if grey else 3, "grey": 1, "color": 3}[experiment.color]
    return experiment.image_size or max(1, automatic), depth


class Prepared(NamedTuple):
    """Decoded images, divided into splits.

    Args:
        name: Name of the data set, or of its folder, list or archive.
        folder: Where the arrays of the splits are.
        class_names: Class names in label order.
        fingerprint: Text that changes with any pixel, label or split.
        bits: How many of 16 bits count, see ``files.decode``.
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    fingerprint: str
    bits: int = 16


class InspectedData(NamedTuple):
    """Every file of a data set, decoded and measured; splits are those that were given.

    Args:
        name: As in ``Prepared``.
        place: The known name, or the whole path of folder, list or archive.
        table: A row a file, with the columns ``listing.COLUMNS``.
        images: Memory-mapped ``uint8`` array of shape ``(m, size, size, channels)``.
        file: Where that array is on disk.
        places: ``int64`` array of shape ``(n,)``: the image of each row of the table; -1 if none.
        pairs: ``int64`` array of shape ``(p, 2)``: rows of the table that are near-duplicates.
        remarks: About the whole: kind of finding, and detail.
        bits: As in ``Prepared``.
    """

    name: str
    place: str
    table: pd.DataFrame
    images: np.ndarray
    file: Path
    places: np.ndarray
    pairs: np.ndarray
    remarks: tuple[tuple[str, str], ...] = ()
    bits: int = 16


def prepare(experiment: Experiment) -> Prepared:
    """Find the decoded images of an experiment, or decode them now."""
    source = open_source(experiment)
    if source.listing is not None:
        check_listing(source.name, source.listing)
    if not (source.listing is None or experiment.fixes):
        check_classes(source.table[source.table["problem"] == ""])  # before anything is written
    fractions = ("validation_fraction", "test_fraction", "split_seed")
    settings = [f"{name}={getattr(experiment, name)}" for name in fractions]
    if experiment.near_duplicates != "together":  # an early cache knows no other
        settings.append(f"near_duplicates={experiment.near_duplicates}")
    fixes = read_fixes(experiment.fixes).to_csv() if experiment.fixes else ""
    base = files_folder(source, experiment)
    folder = base / f"splits-{digest(source.labels_key, fixes, *settings)}"
    with locked(Path(f"{base}.lock")):
        if not is_ready(folder, DIVIDED):
            decode_source(source, experiment, base)
            _build_splits(_inspection(source, experiment, base), experiment, base, folder)
    with suppress(OSError):
        (base / MARK).touch()  # in use today
    facts = read_facts(folder)
    names, bits = tuple(facts["class_names"]), facts.get("bits", 16)
    return Prepared(source.name, folder, names, facts["fingerprint"], bits)


def inspect_data(experiment: Experiment, bits: int | None = None) -> InspectedData:
    """Decode and measure every file, also where no splits could be made.

    Args:
        experiment: Its data fields; fractions and seed of the splits do not count.
        bits: How many of 16 bits count, as it was for a model that is measured; None asks the
            files.

    Returns:
        All files with what is known about them.

    Raises:
        InputError: If the data does not exist, or the disk is full.
    """
    source = open_source(experiment)
    base = files_folder(source, experiment)
    with locked(Path(f"{base}.lock")):
        decode_source(source, experiment, base)
        if source.listing is None:
            measure_known(base)
        elif bits and bits != read_facts(base).get("bits", bits):
            base = Path(f"{base}-{bits}-bits")
            decode_source(source, experiment, base, bits)
        return _inspection(source, experiment, base)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of the cache, also one of an earlier version."""
    return pd.read_parquet(path).replace({"problem": {"truncated": "damaged"}})


def _inspection(source: Source, experiment: Experiment, base: Path) -> InspectedData:
    """All that is known about the files, with the user's corrections."""
    table = read_table(base / "files.parquet").astype(KINDS)
    decoded = np.arange(len(table))
    if source.listing is None:
        table["group"] = ""
    else:
        files = source.table.reset_index(drop=True)
        decoded = np.flatnonzero(files["problem"] == "")
        measured = table[FACTS].set_axis(decoded).reindex(files.index)
        empty: dict[str, str | float] = {
            name: "" if kind == "str" else 0 for name, kind in KINDS.items()
        }
        empty["brightness"] = empty["sharpness"] = np.nan
        measured = measured.fillna(empty).astype(KINDS)
        for name in ("problem", "detail"):
            measured[name] = measured[name].where(files["problem"] == "", files[name])
        table = pd.concat([files[["path", "label", "split", "group"]], measured], axis=1)
    table = table[COLUMNS]
    places = np.full(len(table), -1)
    places[decoded] = np.arange(len(decoded))
    if experiment.fixes:
        name = Path(experiment.fixes).name
        table = apply_fixes(table, read_fixes(experiment.fixes), name)
    places[(table["problem"] != "").to_numpy()] = -1
    file, pairs = base / "images.npy", decoded[np.load(base / "pairs.npy")]
    images = np.load(file, mmap_mode="r")
    remarks = source.listing.remarks if source.listing else ()
    facts = (source.name, source.place, table, images, file, places, pairs, remarks)
    return InspectedData(*facts, read_facts(base).get("bits", 16))


def look_for_tracks(found: InspectedData) -> Tracks | None:
    """Images that belong together by their names, as frames of a film do, and may be divided.

    Args:
        found: A data set; one with splits, groups or arrays of its own has none.

    Returns:
        A pattern for the field ``group``, the path of an ``example``, and a ``detail`` that says
        what was found and what to do; or None.
    """
    if found.place in KNOWN:
        return None
    return find_tracks(found.table, found.pairs, DiskImages(found.file), found.places)


def _build_splits(found: InspectedData, experiment: Experiment, base: Path, folder: Path) -> None:
    """Write the images of each split into an array of its own."""
    report_rejected(found)
    fractions = (experiment.validation_fraction, experiment.test_fraction)
    pairs = found.pairs if experiment.near_duplicates == "together" else None
    table = make_splits(found.table, *fractions, experiment.split_seed, pairs)
    table.loc[table["problem"] != "", "split"] = ""
    tracks = look_for_tracks(found)
    if tracks:
        tell(f"{found.name}: {tracks.detail}. Otherwise scores may be better than on new pictures.")
    with _filling(folder) as new:
        for split in SPLITS:
            rows = found.places[(table["split"] == split).to_numpy()]
            copy_images(base / "images.npy", rows, new / f"{split}.npy")
        table.to_parquet(new / "table.parquet", index=False)
        used = table[table["problem"] == ""]
        there = set(used["label"])
        names = [name for name in read_facts(base)["class_order"] or sorted(there) if name in there]
        known = {} if found.bits == 16 else {"bits": found.bits}
        content = (*names, str(found.images.shape[1:]), experiment.resize)
        content += tuple(map(str, known.values()))
        fingerprint = digest(*content, *used["label"], *used["split"], *used["hash"])
        write_facts(new, class_names=names, fingerprint=fingerprint, **known)


def report_rejected(found: InspectedData) -> None:
    """Say on standard error how many files are not used, and why the first ones are not."""
    rejected = found.table[found.table["problem"] != ""]
    if len(rejected):
        first = "; ".join(
            f"{row.path}: {row.problem}{f' ({row.detail})' if row.detail else ''}"
            for row in rejected.head(3).itertuples()
        )
        counts = f"{len(found.table) - len(rejected)} files used, {len(rejected)} not used"
        why = f"({first}{f'; and {len(rejected) - 3} more' if len(rejected) > 3 else ''})"
        more = f"imgclf audit {found.place} tells the reason of each."
        tell(f"{found.name}: {counts} {why}. {more}")
