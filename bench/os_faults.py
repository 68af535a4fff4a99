"""What do the commands do when the system refuses? Real faults, counted.

Usage (as root, on Linux): python bench/os_faults.py [--faults full read_only] [--commands train]

Gives each command to each fault: a full disk and a read-only one (small ones in memory, mounted),
a limit on the size of files, a folder in which nobody may make anything, a path below a file, a
name that is too long, closed streams, a device that is full, a narrow terminal, few open files.
The command has to end with 0, 1 or 2 and without a traceback; without the fault, the same command
has to work; and the images have to be as they were.

Writes bench/results/os_faults.csv, and prints it.
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from PIL import Image

from imgclf_lib.backend import load_keras
from imgclf_lib.cli import main as imgclf

RESULTS = Path(__file__).parent / "results"
QUICK = "--filters 8 --dense_units 8 --batch_size 16 --epochs 1 --image_size 16"
COMMANDS = {  # {place} is where the fault is, {run} a finished run
    "cache": "cache --json",
    "audit": "audit {data} --image_size 16",
    "fix_list": "audit {data} --image_size 16 --fix_list {place}/fixes.csv",
    "train": "train --data {data} --out {place}/run " + QUICK,
    "evaluate": "evaluate {place}/finished",
    "predict": "predict {place}/finished {data}/dark/0.png",
}


@dataclass
class Fault:
    """How it is made, and taken away, in a folder; and what a process does to itself."""

    make: Callable[[Path], None] = lambda place: None
    undo: Callable[[Path], None] = lambda place: None
    inside: Callable[[], None] = lambda: None
    below: str = ""


def small(place: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], check=True)


def again(place: Path, *options: str) -> None:
    chosen = ",".join(["remount", *options])
    subprocess.run(["mount", "-o", chosen, place], check=True)


def fill(place: Path) -> None:
    again(place, "size=300k")
    try:
        (place / "filler").write_bytes(bytes(1_000_000))
    except OSError:
        return
    raise AssertionError("the disk is not full")


def redirect(number: int, to: str = "") -> None:
    os.close(number)
    if to:
        assert os.open(to, os.O_WRONLY) == number


def limit(kind: int, most: int) -> None:
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def most_open() -> int:
    return max(int(each.name) for each in Path("/dev/fd").iterdir())


FAULTS = {
    "full": Fault(fill, lambda place: (again(place, "size=200m"), (place / "filler").unlink())),
    "read_only": Fault(lambda place: again(place, "ro"), lambda place: again(place, "rw")),
    "file_size": Fault(inside=lambda: limit(resource.RLIMIT_FSIZE, 2000)),
    "few_files": Fault(inside=lambda: limit(resource.RLIMIT_NOFILE, 1 + most_open())),
    "below_a_file": Fault(
        lambda place: (place / "in").write_text("a file"),
        lambda place: (place / "in").unlink(),
        below="in/here",
    ),
    "long_name": Fault(below="n" * 300),
    "no_output": Fault(inside=lambda: redirect(1)),
    "no_error": Fault(inside=lambda: redirect(2)),
    "no_input": Fault(inside=lambda: redirect(0)),
    "full_output": Fault(inside=lambda: redirect(1, "/dev/full")),
    "narrow": Fault(inside=lambda: os.environ.update(COLUMNS="5")),
}


@dataclass
class Arguments:
    faults: tuple[str, ...] = tuple(FAULTS)
    """which ones"""
    commands: tuple[str, ...] = tuple(COMMANDS)
    """given to each of them"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    load_keras()  # imported once: every command is a fork of this process
    rows = []
    with tempfile.TemporaryDirectory() as base:
        data, finished = write_images(Path(base) / "data"), Path(base) / "finished"
        before, place = state_of(data), Path(base) / "place"
        words = COMMANDS["train"].format(data=data, place=base).split()
        words[words.index("--out") + 1] = str(finished)
        code, said = child(words, Path(base) / "ready", lambda: None)
        assert code == 0, said
        for fault in given.faults:
            for command in given.commands:
                row = {"fault": fault, "command": command}
                rows.append(row | attempt(FAULTS[fault], command, data, place, finished))
                rows[-1]["images_intact"] = state_of(data) == before
                print(rows[-1], flush=True)
                RESULTS.mkdir(exist_ok=True)
                table = pd.DataFrame(rows).drop(columns="said")
                table.to_csv(RESULTS / "os_faults.csv", index=False)
    good = ~table["traceback"] & table["retry_works"] & table["images_intact"]
    print(f"{len(table)} faults, {(~good).sum()} bad; {platform.system()} {platform.machine()}")
    sys.exit(int((~good).sum() > 0))


def attempt(fault: Fault, command: str, data: Path, place: Path, finished: Path) -> dict:
    """One command with the fault, and again without it."""
    place.mkdir()
    small(place, "size=200m")
    try:
        there = place / fault.below if fault.below else place
        usable = place if fault.below else there
        shutil.copytree(finished, usable / "finished")
        words = COMMANDS[command].format(data=data, place=there).split()
        fault.make(place)
        started = time.monotonic()
        code, said = child(words, there / "cache", fault.inside)
        seconds = time.monotonic() - started
        fault.undo(place)
        again_words = COMMANDS[command].format(data=data, place=usable).split()
        retry, told = child(again_words, usable / "cache", lambda: None)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()
    bad = "Traceback" in said or code not in (0, 1, 2)
    return {
        **{"exit": code, "traceback": bad, "retry_works": 0 in (code, retry)},
        **{"seconds": round(seconds, 1), "said": said[-300:] if not bad else said[-2000:] + told},
    }


def child(words: list[str], cache: Path, spoil: Callable[[], None]) -> tuple[int, str]:
    """Run a command in a fork; its exit code, and what it wrote to standard error and output."""
    with tempfile.TemporaryFile() as heard:
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            code = 99
            try:
                os.environ["IMGCLF_CACHE"] = str(cache)
                os.dup2(heard.fileno(), 1)
                os.dup2(heard.fileno(), 2)
                spoil()
                code = imgclf(words)
            except BaseException:
                os.write(heard.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        heard.seek(0)
        return code, heard.read().decode(errors="replace")


def write_images(folder: Path) -> Path:
    """Two classes of 30 images that a network tells apart."""
    generator = np.random.default_rng(0)
    for label, grey in {"dark": 60, "light": 190}.items():
        (folder / label).mkdir(parents=True)
        for number in range(30):
            pixels = (grey + generator.normal(0, 30, (16, 16))).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def state_of(folder: Path) -> list[tuple[str, bytes, int]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.read_bytes(), path.stat().st_mtime_ns) for path in paths]


if __name__ == "__main__":
    main()
