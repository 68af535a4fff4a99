"""Many files at once: order, processes, and files that crash the decoder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.data import arrays
from imgclf_lib.data.arrays import FACTS, KINDS, decode_arrays, decode_files, measure_images
from imgclf_lib.files import inspect_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fifty small pictures, each of its own brightness, and three files that are none."""
    place = tmp_path_factory.mktemp("many")
    for number in range(50):
        Image.new("RGB", (12 + number, 10), (5 * number,) * 3).save(place / f"{number:02}.png")
    (place / "10.png").write_bytes(b"")
    (place / "20.png").write_bytes(b"text")
    (place / "49.png").unlink()
    return place


NAMES = [f"{number:02}.png" for number in range(50)]


def check(table, out):
    assert list(table.columns) == [*FACTS, "greatest"]
    assert table.dtypes.astype(str).to_dict() == KINDS | {"greatest": "int64"}
    problems = table.loc[table["problem"] != "", "problem"].to_dict()
    assert problems == {10: "empty", 20: "not an image", 49: "unreadable"}
    images = np.load(out, mmap_mode="r")
    assert images.shape == (50, 8, 8, 3)
    good = [number for number in range(50) if number not in problems]
    assert images[good, 4, 4, 0].tolist() == [5 * number for number in good]
    assert not images[list(problems)].any()
    assert table["width"][good].tolist() == [12 + number for number in good]


@pytest.mark.slow
@pytest.mark.parametrize("few", [10, 1000], ids=["processes", "threads"])
def test_every_file_comes_back_in_its_place(few, folder, tmp_path):
    out = tmp_path / "a.npy"
    table = decode_files(folder, NAMES, 8, 3, "squash", out, "many", few_files=few, batch=7)
    check(table, tmp_path / "a.npy")


@pytest.mark.slow
def test_a_file_that_kills_its_process_is_found(folder, tmp_path):
    killer, own = signal.SIGKILL, os.getpid()

    def inspect(path: Path, size: int, channels: int, resize: str):
        if path.name in ("05.png", "33.png"):
            assert os.getpid() != own
            os.kill(os.getpid(), killer)
        return inspect_file(path, size, channels, resize)

    out = tmp_path / "a.npy"
    table = decode_files(folder, NAMES, 8, 3, "squash", out, "many", inspect, 10, 7)
    crashed = table[table["detail"].str.contains("crashes the decoder")]
    assert crashed.index.tolist() == [5, 33]
    assert (crashed["problem"] == "damaged").all()
    assert (table["problem"] == "").sum() == 45
    assert np.load(tmp_path / "a.npy")[34, 4, 4, 0] == 170


def test_no_file_at_all(tmp_path):
    table = decode_files(tmp_path, [], 8, 3, "pad", tmp_path / "a.npy", "none")
    assert list(table.columns) == [*FACTS, "greatest"]
    assert table.empty
    assert np.load(tmp_path / "a.npy").shape == (0, 8, 8, 3)


def test_a_full_disk_is_an_error(folder, tmp_path):
    """A limit on the size of files stands for the end of the disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            decode_files(folder, NAMES, 8, 3, "pad", tmp_path / "a.npy", "many")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_arrays_keep_their_pixels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 9, 9, 1), "uint8")
    images[5] = images[2]
    table = decode_arrays([*images], 9, 1, "pad", tmp_path / "a.npy", "known")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), images)
    assert table.dtypes.astype(str).to_dict() == KINDS
    assert table["hash"].duplicated().tolist() == [False] * 5 + [True]
    assert table["perceptual_hash"].eq("").all()
    decode_arrays([*images], 4, 3, "pad", tmp_path / "b.npy", "known")
    assert np.load(tmp_path / "b.npy").shape == (6, 4, 4, 3)


def test_measures_are_those_of_files(folder, tmp_path):
    table = decode_files(folder, NAMES[:9], 64, 3, "squash", tmp_path / "a.npy", "many")
    measured = measure_images(tmp_path / "a.npy", "many")
    assert measured["brightness"].tolist() == table["brightness"].tolist()
    assert measured["perceptual_hash"].str.len().eq(16).all()


def test_a_batch_and_the_workers_follow_the_memory(folder, tmp_path, monkeypatch):
    """Large images are decoded fewer at a time, and by fewer workers where memory is short."""
    lengths, workers, parallel = [], [], arrays.joblib.Parallel
    decode_batch = arrays._decode_batch

    def note(inspect, root, names, how, out, offset):
        lengths.append(len(names))
        return decode_batch(inspect, root, names, how, out, offset)

    def count(cores, **rest):
        workers.append(cores)
        return parallel(cores, **rest)

    monkeypatch.setattr(arrays, "_decode_batch", note)
    monkeypatch.setattr(arrays.joblib, "Parallel", count)
    monkeypatch.setattr(arrays.joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(arrays, "BATCH_BYTES", 3 * 8 * 8)
    monkeypatch.setattr(arrays, "free_memory", lambda: 2 * arrays.ONE_FILE + 1)
    paths = sorted(path.name for path in folder.iterdir())[:7]
    decode_files(folder, paths, 8, 1, "pad", tmp_path / "out.npy", "some")
    assert set(lengths) == {1, 3}
    assert workers == [2]


LARGE = """
import os, sys
from pathlib import Path
from PIL import Image
from imgclf_lib.data.arrays import decode_files
import resource
folder, count = Path(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    Image.new("RGB", (4000, 3000)).save(folder / f"{number}.png", compress_level=1)
paths = sorted(path.name for path in folder.iterdir())
table = decode_files(folder, paths, 64, 3, "pad", folder / "out.npy", "some")
assert (table["problem"] == "").all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_stays_flat_as_large_photos_become_more(tmp_path):
    most = []
    for count in (2, 10):
        place = tmp_path / str(count)
        place.mkdir()
        command = [sys.executable, "-c", LARGE, str(place), str(count)]
        most.append(float(subprocess.run(command, capture_output=True, check=True).stdout))
    assert most[1] < most[0] + 200, f"MB: {most}"


def test_what_decoders_say_in_other_processes_is_in_the_table_and_not_on_the_terminal(tmp_path):
    program = f"""
from pathlib import Path
from imgclf_lib.data.arrays import decode_files
folder = Path({str(tmp_path)!r})
names = [f"{{number}}.tif" for number in range(8)]
table = decode_files(folder, names, 8, 3, "pad", folder / "a.npy", "bad", few_files=0, batch=2)
print(*table["problem"].unique(), table["detail"].str.contains("libtiff|LZW|truncated").all())
"""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    for number in range(8):
        path = tmp_path / f"{number}.tif"
        Image.fromarray(pixels).save(path, compression="tiff_lzw")
        raw = path.read_bytes()
        path.write_bytes(raw[:60] + bytes(400) + raw[460:])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["damaged", "True"]
    said = done.stderr.replace("\r", "\n").split("\n")
    assert not [line for line in said if line.strip() and not line.startswith("Decoding bad")]
