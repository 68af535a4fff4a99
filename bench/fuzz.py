"""Does anything but an error of ours come out, whatever goes in? Mutated inputs, counted.

Usage: python bench/fuzz.py [--inputs 100000] [--targets image fixes] [--minutes 60] [--seed 0]

Takes valid inputs, changes them at random places (bytes flipped, cut, repeated, replaced by what
such inputs are made of), and hands them to the library: images to decode, experiments in JSON,
notebook parameters of the command line, fix lists, lists of files, archives, run folders.
Allowed are answers and errors of ours. Counted are all other exceptions, the longest time for one
input, and how far memory grew beyond what the first hundred inputs took.

Writes bench/results/fuzz.csv after each target, and prints it.
"""

import importlib.metadata
import io
import json
import platform
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import tyro
from PIL import Image

from imgclf_lib.cli import _value
from imgclf_lib.data import read_fixes
from imgclf_lib.data.lists import list_table
from imgclf_lib.errors import ImgclfError
from imgclf_lib.experiment import Experiment
from imgclf_lib.files import decode, unpack
from imgclf_lib.training import Run

RESULTS = Path(__file__).parent / "results"
VERSIONS = ("pillow", "pandas", "numpy")
LONGEST, MOST_MEMORY = 5, 200  # seconds for one input; MB
WORDS = (
    *(b"\0", b"\xff", b"\r\n", b",", b";", b"\t", b'"', b"'", b"=", b"{", b"[", b"[" * 5000, b"]"),
    *(
        b"-1",
        b"1e999",
        b"9" * 5000,
        b"NaN",
        b"null",
        b"true",
        b"\\ud800",
        b"../",
        b"/",
        b"\x1b[31m",
    ),
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"PK\x03\x04", b"IHDR", b"train"),
    *(
        b"path",
        b"label",
        b"action",
        b"exclude",
        b"relabel",
        b"epochs",
        b"self",
        b"data",
        b"a/b.png",
    ),
)


@dataclass
class Arguments:
    inputs: int = 100_000
    """for each target"""
    targets: tuple[str, ...] = ("image", "json", "parameter", "fixes", "list", "archive", "run")
    """which ones"""
    minutes: float = 0
    """end each target after so long; 0 does not"""
    seed: int = 0
    """of the changes"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    table = pd.DataFrame()
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:
        for target in given.targets:
            row = {"target": target, **attack(target, Path(place) / target, given)}
            row["versions"] = " ".join(f"{n} {importlib.metadata.version(n)}" for n in VERSIONS)
            row["versions"] += f" python {platform.python_version()}"
            table = keep(row)
    print(table.drop(columns="versions").to_string(index=False))
    worst = table["slowest_s"].max() > LONGEST or table["memory_mb"].max() > MOST_MEMORY
    sys.exit(bool(table["foreign"].sum() or worst))


def keep(row: dict) -> pd.DataFrame:
    """Put the figures of one target in their place among those that are there."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "fuzz.csv"
    before = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(row))
    table = pd.concat([before[before["target"] != row["target"]], pd.DataFrame([row])])
    table.to_csv(path, index=False)
    print(row, flush=True)
    return table


def attack(target: str, place: Path, given: Arguments) -> dict:
    """Hand mutated seeds to one part of the library."""
    place.mkdir()
    seeds, use = TARGETS[target](place)
    generator = np.random.default_rng(given.seed)
    foreign: Counter[str] = Counter()
    slowest, most, least, done, process = 0.0, 0, 0, 0, psutil.Process()
    started = time.monotonic()
    while done < given.inputs:
        if given.minutes and time.monotonic() - started > 60 * given.minutes:
            break
        content = mutate(seeds[generator.integers(len(seeds))], generator)
        before = time.perf_counter()
        try:
            use(content)
        except ImgclfError:
            pass
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
            if not foreign[kind]:
                print(target, kind, content[:200], traceback.format_exc()[-1500:], flush=True)
            foreign[kind] += 1
        slowest = max(slowest, time.perf_counter() - before)
        done += 1
        if done % 100 == 0:
            held = process.memory_info().rss
            least, most = least or held, max(most, held)
    return {
        "inputs": done,
        "foreign": foreign.total(),
        "kinds": "; ".join(sorted(foreign)),
        "slowest_s": round(slowest, 2),
        "memory_mb": round((most - least) / 1e6),
        "seconds": round(time.monotonic() - started),
        "seed": given.seed,
    }


def mutate(seed: bytes, generator: np.random.Generator) -> bytes:
    """One to eight changes."""
    content = bytearray(seed)
    for _ in range(generator.integers(1, 9)):
        at = int(generator.integers(len(content) + 1))
        length = int(min(2 ** generator.integers(8), len(content) - at))
        match generator.integers(7):
            case 0 if at < len(content):
                content[at] ^= 1 << int(generator.integers(8))
            case 1:
                content[at : at + length] = generator.bytes(length)
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                content[at : at + length] = WORDS[generator.integers(len(WORDS))]
            case 5:
                content[at:at] = WORDS[generator.integers(len(WORDS))]
            case 6 if generator.integers(4) == 0:
                del content[at:]
    return bytes(content)


Target = tuple[list[bytes], Callable[[bytes], object]]


def images(place: Path) -> Target:
    generator = np.random.default_rng(1)
    picture = Image.fromarray(generator.integers(0, 256, (20, 30, 3), "uint8"))
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "TGA", "PCX")
    seeds = []
    for kind in kinds:
        for mode in ("RGB", "L", "P"):
            made = io.BytesIO()
            try:
                picture.convert(mode).save(made, kind)
            except (OSError, KeyError, ValueError):  # not every format has every mode
                continue
            seeds.append(made.getvalue())
    return seeds, lambda content: decode(content, 16, 3, "pad")


def experiments(place: Path) -> Target:
    seeds = [json.dumps(asdict(Experiment())).encode(), b'{"epochs": 3, "filters": [8]}']
    return seeds, lambda content: Experiment.from_json(content.decode(errors="replace"))


def parameters(place: Path) -> Target:
    names = list(asdict(Experiment()))
    seeds = [b"epochs 5", b"filters [32, 64]", b"flip both", b"dropout 0.5", b"data a/b"]
    seeds += [f"{name} 1".encode() for name in names]

    def use(content: bytes) -> None:
        name, _, text = content.decode(errors="replace").partition(" ")
        Experiment().replace(**{name: _value(text)})

    return seeds, use


def fixes(place: Path) -> Target:
    rows = "path,action,label,group\na/1.png,exclude,,\na/2.png,relabel,b,\nb/3.png,keep,b,g\n"
    return [rows.encode(), rows.replace(",", ";").encode("utf-8-sig")], written(
        place / "fixes.csv", read_fixes
    )


def lists(place: Path) -> Target:
    for name in ("a", "b"):
        (place / name).mkdir()
        for number in range(3):
            Image.new("L", (4, 4)).save(place / name / f"{number}.png")
    rows = "path,label,split\na/0.png,a,train\na/1,a,val\n0.png,b,test\nb/2.png,b,train\n"
    return [rows.encode(), rows.replace(",", "\t").encode()], written(
        place / "list.csv", list_table
    )


def archives(place: Path) -> Target:
    made = io.BytesIO()
    Image.new("L", (4, 4)).save(made, "PNG")
    seeds = []
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode=mode) as file:
            for name in ("a/1.png", "b/2.png"):
                member = tarfile.TarInfo(name)
                member.size = len(made.getvalue())
                file.addfile(member, io.BytesIO(made.getvalue()))
        seeds.append(archive.getvalue())
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", kind) as file:
            for name in ("a/1.png", "b/2.png"):
                file.writestr(name, made.getvalue())
        seeds.append(archive.getvalue())
    return seeds, written(place / "archive.zip", lambda path: unpack(path, place / "out"))


def runs(place: Path) -> Target:
    """The first byte says which file of the run the others are."""
    names = np.arange(2).astype(str).tolist()
    figures = dict.fromkeys(("train_accuracy", "val_accuracy", "train_seconds"), 0.5)
    files = {
        "experiment.json": json.dumps(asdict(Experiment())),
        "environment.json": json.dumps({"class_names": names, "image_shape": [8, 8, 1]}),
        "metrics.json": json.dumps({"status": "completed", "epochs_run": 1, **figures}),
        "history.csv": "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n"
        "1,0.5,0.5,0.5,0.5,0.001,1\n",
    }
    attributes = ("experiment", "environment", "metrics", "history")

    def use(content: bytes) -> None:
        chosen = content[0] % len(files) if content else 0
        path = place / list(files)[chosen]
        path.write_bytes(content[1:])
        getattr(Run(place), attributes[chosen])

    return [bytes([number]) + text.encode() for number, text in enumerate(files.values())], use


def written(path: Path, use: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Use what lies in a file."""

    def write_and_use(content: bytes) -> object:
        path.write_bytes(content)
        return use(path)

    return write_and_use


TARGETS: dict[str, Callable[[Path], Target]] = {
    **{"image": images, "json": experiments, "parameter": parameters, "fixes": fixes},
    **{"list": lists, "archive": archives, "run": runs},
}


if __name__ == "__main__":
    main()
