"""How much memory does decoding large photos take? It has to stay flat as they become more.

Usage: python bench/memory.py [--photos 300] [--megapixels 30]

Writes photos of three kinds (JPEG, progressive JPEG, PNG) into a temporary folder, decodes them as
a training would, and looks ten times a second how much memory the process and its workers hold.

Writes bench/results/memory.csv, and prints it.
"""

import multiprocessing
import os
import platform
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import tyro
from PIL import Image

from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment

RESULTS = Path(__file__).parent / "results"


@dataclass
class Arguments:
    photos: tuple[int, ...] = (30, 300)
    """how many, one measurement each"""
    megapixels: float = 30
    """of each"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGCLF_CACHE"] = f"{place}/cache"
        for count in given.photos:
            folder = write_photos(Path(place) / f"photos{count}", count, given.megapixels)
            rows.append({"photos": count, "megapixels": given.megapixels, **measure(folder)})
            rows[-1] |= {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "memory.csv", index=False)
    print(table.to_string(index=False))


def write_photos(folder: Path, count: int, megapixels: float) -> Path:
    """Two classes of photos: three are made, the others are links to them."""
    side = round((megapixels * 1e6 / 1.5) ** 0.5)
    coarse = np.random.default_rng(0).integers(0, 256, (side // 50, side * 3 // 100, 3), "uint8")
    image = Image.fromarray(coarse).resize((side * 3 // 2, side))
    kinds = {"a.jpg": {}, "b.jpg": {"progressive": True}, "c.png": {"compress_level": 1}}
    for name, settings in kinds.items():
        (folder / "made").mkdir(parents=True, exist_ok=True)
        image.save(folder / "made" / name, **settings)
    names = list(kinds)
    for number in range(count - len(kinds)):
        name = names[number % len(names)]
        (folder / "linked").mkdir(exist_ok=True)
        (folder / "linked" / f"{number}{name}").hardlink_to(folder / "made" / name)
    return folder


def measure(folder: Path) -> dict:
    """Seconds, and the most memory that was held at one time, beside what an idle process holds."""
    child = multiprocessing.get_context("spawn").Process(target=decode, args=(str(folder),))
    started, most = time.perf_counter(), 0
    child.start()
    watched = psutil.Process(child.pid)
    while child.is_alive():
        held = 0
        with suppress(psutil.Error):
            for each in [watched, *watched.children(recursive=True)]:
                held += each.memory_info().rss
        most = max(most, held)
        child.join(0.1)
    assert child.exitcode == 0
    return {"most_mb": round(most / 1e6), "seconds": round(time.perf_counter() - started)}


def decode(folder: str) -> None:
    experiment = Experiment(data=folder, near_duplicates="split", validation_fraction=0.2)
    assert len(load_data(experiment).train)


if __name__ == "__main__":
    main()
