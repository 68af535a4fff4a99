"""From a folder of images to batches: this project and Keras side by side in one run.

Usage: python bench/decoding.py [--folder data/cifar10] [--image_size 32] [--rounds 3]
    [--torch .venv-torch/bin/python]

The contenders take turns, each in a process of its own: ours, theirs, ours, theirs, ... so that
a machine that slows down slows both. Ours is ``imgclf_lib.data.load_data`` with an empty cache:
every file is decoded, hashed, measured and checked, and all images are read once in batches.
Theirs is ``keras.utils.image_dataset_from_directory`` on the same class folders and size, and a
``DataLoader`` of PyTorch with a worker for each core, in which Pillow decodes; read once in batches
of the same length, all without training. Each then reads everything a second time, as a later
epoch does. Start-up (imports) is not counted.

Memory is the greatest sum over the process and all its children, looked at every 0.1 seconds;
of each the memory that it alone holds (USS), because pages of files and of libraries are shared.

Writes bench/results/decoding.json and prints the medians, their spread and the ratios.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import tyro
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"
BATCH = 256
PASSES = ("rate", "second")  # what is compared of the first and of the second pass
HOW_TO_GET = """There is no folder {folder}. The JPEG copy of CIFAR-10 is a good one:
    mkdir -p data/cifar10 && tar -xJf cifar10-jpeg.tar.xz -C data/cifar10
Any folder of class folders, or of train and test folders with class folders, will do."""


def ours(folder: Path, size: int) -> dict[str, float]:
    """The first load decodes into the cache; the second time reads the arrays."""
    from imgclf_lib.data import load_data
    from imgclf_lib.experiment import Experiment

    experiment = Experiment(data=str(folder), image_size=size, color="color", resize="squash")
    started = time.perf_counter()
    count = read_arrays(load_data(experiment))
    first = time.perf_counter()
    read_arrays(load_data(experiment))
    return {"images": count, "first": first - started, "second": time.perf_counter() - first}


def read_arrays(data: object) -> int:
    """Copy every image once, a batch at a time."""
    count = 0
    for split in (data.train, data.val, data.test):
        for start in range(0, len(split.images), BATCH):
            count += len(np.array(split.images[start : start + BATCH]))
    return count


def theirs(folder: Path, size: int) -> dict[str, float]:
    """``image_dataset_from_directory`` decodes anew in every epoch."""
    from imgclf_lib.backend import load_keras

    keras = load_keras()
    splits = [each for each in (folder / "train", folder / "test") if each.is_dir()] or [folder]
    started = time.perf_counter()
    sets = [
        keras.utils.image_dataset_from_directory(
            split, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
        )
        for split in splits
    ]
    count = sum(len(images) for each in sets for images, _ in each)
    first = time.perf_counter()
    for each in sets:
        for _ in each:
            pass
    return {"images": count, "first": first - started, "second": time.perf_counter() - first}


class PillowFiles:
    """Files as a data set of PyTorch: ``uint8`` arrays of shape ``(size, size, 3)``."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> np.ndarray:
        from PIL import Image

        with Image.open(self.paths[number]) as image:
            return np.array(image.convert("RGB").resize((self.size, self.size)))


def loader(folder: Path, size: int) -> dict[str, float]:
    """A ``DataLoader`` of PyTorch decodes anew in every epoch."""
    from torch.utils.data import DataLoader

    started = time.perf_counter()
    files = PillowFiles(sorted(path for path in folder.rglob("*") if path.is_file()), size)
    batches = DataLoader(files, BATCH, num_workers=os.cpu_count() or 1, persistent_workers=True)
    count = sum(len(images) for images in batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    return {"images": count, "first": first - started, "second": time.perf_counter() - first}


CONTENDERS = {"ours": ours, "keras": theirs, "torch": loader}


@dataclass
class Arguments:
    folder: Path = Path("data/cifar10")
    """class folders, or train and test folders with class folders"""
    image_size: int = 32
    """height and width, in pixels"""
    rounds: int = 3
    """how often each contender reads the folder"""
    torch: Path = Path(".venv-torch/bin/python")
    """a Python with PyTorch, as made by make test-torch"""
    only: str = ""
    """run one contender in this process and print its figures"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if not given.folder.is_dir():
        sys.exit(HOW_TO_GET.format(folder=given.folder))
    if given.only:
        print(json.dumps(measured(given.only, given.folder, given.image_size)))
        return
    rows, contenders = [], list(CONTENDERS)
    if not given.torch.is_file():
        print(f"PyTorch is left out: there is no {given.torch} (make test-torch)", file=sys.stderr)
        contenders.remove("torch")
    for turn, name in tqdm([(n, name) for n in range(given.rounds) for name in contenders]):
        rows.append({"contender": name, "round": turn, **in_a_process(name, given)})
    table = pd.DataFrame(rows)
    medians = table.groupby("contender")[["rate", "first", "second", "peak_mb"]].median()
    packages = ("keras", "tensorflow-cpu", "pillow", "numpy")
    report = {
        "folder": given.folder.name,
        "image_size": given.image_size,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        "versions": {name: version(name) for name in packages},
        "rounds": rows,
        "medians": medians.to_dict("index"),
        "ours_second_to_first": medians["first"]["ours"] / medians["second"]["ours"],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "decoding.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(report["machine"], report["versions"])
    columns = ["images", "rate", "first", "second", "peak_mb", "largest_process_mb"]
    print(table.groupby("contender")[columns].agg(["median", "min", "max"]).round(2).T.to_string())
    for name in contenders[1:]:
        rate, second = (medians[column]["ours"] / medians[column][name] for column in PASSES)
        print(f"images/s, ours / {name}, first pass: {rate:.2f}")
        print(f"second pass, time of {name} / time of ours: {1 / second:.1f}")
    print(f"first load of ours / its second pass: {report['ours_second_to_first']:.1f}")


def in_a_process(name: str, given: Arguments) -> dict[str, float]:
    """One contender in a new process with an empty cache, which is deleted afterwards."""
    words = ["--only", name, "--folder", str(given.folder), "--image_size", str(given.image_size)]
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [str(given.torch) if name == "torch" else sys.executable, __file__, *words],
            env={**os.environ, "IMGCLF_CACHE": cache, "TF_CPP_MIN_LOG_LEVEL": "2"},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, folder: Path, size: int) -> dict[str, float]:
    """The figures of one contender in this process, with the memory of the whole tree."""
    stop, peak = threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.1):
            peak[0] = max(peak[0], memory_of_tree())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    figures = CONTENDERS[name](folder, size)
    stop.set()
    watcher.join()
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    largest = max(resource.getrusage(kind).ru_maxrss for kind in kinds) * unit
    return {
        **figures,
        "rate": figures["images"] / figures["first"],
        "peak_mb": peak[0] / 1e6,
        "largest_process_mb": largest / 1e6,
    }


def memory_of_tree() -> int:
    """Bytes that this process and its children hold for themselves."""
    held, here = 0, psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            held += process.memory_full_info().uss
        except psutil.NoSuchProcess:  # it ended meanwhile
            continue
    return held


if __name__ == "__main__":
    main()
