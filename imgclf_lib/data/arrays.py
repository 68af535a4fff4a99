"""Decode many files, on all cores, straight into one array on disk.

Pixels go from the decoding process into the file, a batch at a time, so memory stays flat
however many files there are; only the facts about them come back.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from PIL import Image

from imgclf_lib.backend import free_memory
from imgclf_lib.files import FileFacts, decode, inspect_file, measure_image
from imgclf_lib.storage import digest, progress_bar

FACTS = list(FileFacts._fields[1:-1])  # without pixels, and what only decoding needs to know
KINDS = {
    **dict.fromkeys(FACTS, "str"),
    **dict.fromkeys(("width", "height"), "int64"),
    **dict.fromkeys(("brightness", "sharpness"), "float64"),
}
KNOWN_FROM_FILES = {**KINDS, "greatest": "int64"}
FEW_FILES = 1000  # for these, starting processes would take longer than it saves
BATCH = 64
BATCH_BYTES = 64_000_000  # of the pixels of a batch, at most
ONE_FILE = 500_000_000  # bytes of memory that decoding a large photo may take
ROWS = 5000  # of a table: small ones cost time, and rows that wait to become one cost memory

Batch = tuple[int, list[str]]  # the place of its first image, and the paths


def decode_files(
    root: Path,
    paths: Sequence[str],
    size: int,
    channels: int,
    resize: str,
    out: Path,
    name: str,
    inspect: Callable[[Path, int, int, str], FileFacts] | None = None,
    few_files: int = FEW_FILES,
    batch: int = BATCH,
    bits: int = 16,
) -> pd.DataFrame:
    """Decode files into an array on disk, and gather what is known about each.

    Large folders are decoded in processes of their own: a file that crashes the decoder ends one
    of those, is found, and is reported as damaged. The table has the columns ``FACTS`` and
    ``greatest``.
    """
    array = np.lib.format.open_memmap(out, "w+", "uint8", (len(paths), size, size, channels))
    start, stride = array.offset, size * size * channels
    del array

    looks = inspect or (partial(inspect_file, bits=bits) if bits != 16 else inspect_file)
    how = (size, channels, resize)

    def work(some: Batch) -> list[tuple]:
        first, names = some
        return _decode_batch(looks, root, names, how, out, start + first * stride)

    many = len(paths) > few_files
    length = max(1, min(batch if many else 8, BATCH_BYTES // stride))
    batches = [(at, list(paths[at : at + length])) for at in range(0, len(paths), length)]
    bar = progress_bar(None, f"Decoding {name}", len(paths), "image")
    tables: list[pd.DataFrame] = []
    rows: list[tuple] = []
    try:
        for some in _all_batches(work, batches, processes=many):
            rows += some
            bar.update(len(some))
            if len(rows) >= ROWS:
                tables.append(pd.DataFrame(rows, columns=list(KNOWN_FROM_FILES)))
                rows = []
    finally:
        bar.close()
    tables.append(pd.DataFrame(rows, columns=list(KNOWN_FROM_FILES)))
    return pd.concat([each.astype(KNOWN_FROM_FILES) for each in tables], ignore_index=True)


def decode_arrays(
    images: Sequence[np.ndarray], size: int, channels: int, resize: str, out: Path, name: str
) -> pd.DataFrame:
    """Bring the images of a known data set to one size and colour, in an array on disk."""
    height, width, depth = images[0].shape
    array = np.lib.format.open_memmap(out, "w+", "uint8", (len(images), size, size, channels))
    rows = []
    for place, image in enumerate(progress_bar(images, f"Decoding {name}", None, "image")):
        key = digest(image.tobytes(), end=b"")
        rows.append((width, height, "L" if depth == 1 else "RGB", key, key))
        if (size, size, channels) == image.shape:
            array[place] = image
        else:
            array[place] = decode(Image.fromarray(image.squeeze()), size, channels, resize).pixels
    array.flush()
    table = pd.DataFrame(rows, columns=FACTS[:5])
    empty = {"perceptual_hash": "", "brightness": np.nan, "sharpness": np.nan}
    return table.assign(**empty, problem="", detail="")[FACTS].astype(KINDS)


def measure_images(images: Path, name: str) -> pd.DataFrame:
    """Perceptual hash, brightness and sharpness of images that are decoded already."""
    count = len(np.load(images, mmap_mode="r"))

    def work(batch: tuple[int, int]) -> list[tuple]:
        return [measure_image(Image.fromarray(each.squeeze())) for each in _rows(images, *batch)]

    starts = range(0, count, BATCH)
    rows: list[tuple] = []
    bar = progress_bar(None, f"Measuring {name}", count, "image")
    pool = joblib.Parallel(joblib.cpu_count(), backend="loky", return_as="generator")
    for each in pool(joblib.delayed(work)((start, start + BATCH)) for start in starts):
        rows += each
        bar.update(len(each))
    bar.close()
    get_reusable_executor().shutdown(wait=True)
    return pd.DataFrame(rows, columns=["perceptual_hash", "brightness", "sharpness"])


def _rows(images: Path, start: int, end: int) -> np.ndarray:
    return np.load(images, mmap_mode="r")[start:end]


def _all_batches(
    work: Callable[[Batch], list[tuple]], batches: list[Batch], processes: bool
) -> Iterator[list[tuple]]:
    """The results of all batches, in order, whatever happens to the processes."""
    cores = max(1, min(joblib.cpu_count(), free_memory() // ONE_FILE))
    if not processes or cores == 1:
        yield from joblib.Parallel(cores, backend="threading", return_as="generator")(
            joblib.delayed(work)(batch) for batch in batches
        )
        return
    done = 0
    try:
        while done < len(batches):
            pool = joblib.Parallel(cores, backend="loky", return_as="generator")
            try:
                for rows in pool(joblib.delayed(work)(batch) for batch in batches[done:]):
                    yield rows
                    done += 1
            except TerminatedWorkerError:  # one of these files crashed its process
                first, names = batches[done]
                yield [
                    row
                    for place, name in enumerate(names, first)
                    for row in _alone(work, (place, [name]))
                ]
                done += 1
    finally:
        get_reusable_executor().shutdown(wait=True)  # they would hold their memory for minutes


def _alone(work: Callable[[Batch], list[tuple]], batch: Batch) -> list[tuple]:
    try:
        return joblib.Parallel(2, backend="loky")([joblib.delayed(work)(batch)])[0]
    except TerminatedWorkerError:
        nothing = FileFacts(None, 0, 0, "", "", "", "", np.nan, np.nan, "damaged", "")
        return [nothing._replace(detail="it crashes the decoder, or needs too much memory")[1:]]


def _decode_batch(
    inspect: Callable[[Path, int, int, str], FileFacts],
    root: Path,
    names: list[str],
    how: tuple[int, int, str],
    out: Path,
    offset: int,
) -> list[tuple]:
    size, channels, _ = how
    pixels = np.zeros((len(names), size, size, channels), "uint8")
    rows = []
    for place, name in enumerate(names):
        found = inspect(root / name, *how)
        if found.pixels is not None:
            pixels[place] = found.pixels
        rows.append(found[1:])
    with out.open("r+b") as file:
        file.seek(offset)
        file.write(pixels.data)
    return rows
