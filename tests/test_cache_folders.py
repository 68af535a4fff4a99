"""Cache folders: complete or not there, listed and cleared."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from imgclf_lib.cache_folders import (
    MARK,
    building,
    clear_caches,
    copy_images,
    list_caches,
    need_room,
    read_facts,
    write_facts,
)
from imgclf_lib.errors import InputError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder, name, size):
    with building(folder) as new:
        (new / "images.npy").write_bytes(b"x" * size)
        write_facts(new, name=name, place=f"/photos/{name}")


def test_a_folder_is_complete_or_not_there(place):
    with pytest.raises(ZeroDivisionError), building(place / "one") as new:
        (new / "file").write_text(str(1 / 0))
    assert list(place.iterdir()) == []
    fill(place / "one", "one", 10)
    assert sorted(path.name for path in (place / "one").iterdir()) == [MARK, "images.npy"]
    assert read_facts(place / "one")["name"] == "one"


def test_what_cannot_be_written_is_said(place):
    place.mkdir()
    with pytest.raises(OSError, match=r"9,000,000.0 GB are needed"):
        need_room(place, 9 * 10**15)
    with (
        pytest.raises(InputError, match=r"cannot be written.*GB are needed.*cache --clear"),
        building(place / "one"),
    ):
        need_room(place, 9 * 10**15)
    place.rmdir()
    place.write_text("a file where the cache should be")
    with pytest.raises(InputError, match="cannot be written"), building(place / "one"):
        raise AssertionError("not reached")


def test_a_real_small_disk(tmp_path, monkeypatch, make_images):
    """A disk of 200 kB in memory, full in the middle of decoding."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("This user may not mount a small disk")
    try:
        script = (
            "import sys\n"
            "from imgclf_lib import cache, cache_folders\n"
            "from imgclf_lib.experiment import Experiment\n"
            "cache_folders.SPARE = -10**9  # let it begin, and hit the end of the disk\n"
            "cache.prepare(Experiment(data=sys.argv[1], image_size=200))\n"
        )
        monkeypatch.setenv("IMGCLF_CACHE", str(disk))
        photos = make_images(tmp_path / "photos", 8)
        done = subprocess.run(
            [sys.executable, "-c", script, str(photos)], capture_output=True, text=True, check=False
        )
        assert "cannot be written" in done.stderr
        assert "No space left" in done.stderr
        assert [path.name for path in disk.iterdir() if path.is_dir()] == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_images_are_copied_in_the_order_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("imgclf_lib.cache_folders.PIECE", 12)
    images = np.arange(10 * 4, dtype="uint8").reshape(10, 2, 2, 1)
    np.save(tmp_path / "images.npy", images)
    rows = np.array([9, 0, 4, 4, 2, 7, 1])
    copy_images(tmp_path / "images.npy", rows, tmp_path / "some.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), images[rows])
    copy_images(tmp_path / "images.npy", rows[:0], tmp_path / "none.npy")
    assert np.load(tmp_path / "none.npy", mmap_mode="r").shape == (0, 2, 2, 1)


def test_listing_and_clearing(place):
    assert list_caches().empty
    assert clear_caches() == 0
    fill(place / "cats-1", "cats", 500)
    fill(place / "cats-2", "cats", 300)
    fill(place / "dogs-1", "dogs", 900)
    (place / "building-birds-1-x" / "new").mkdir(parents=True)
    (place / "features-cats-3").mkdir()
    (place / "features-cats-3" / "train.npy").write_bytes(b"x" * 5)
    (place / "my own folder").mkdir()
    (place / "my own folder" / "thesis.txt").write_text("ten years")
    table = list_caches()
    assert table["folder"].tolist() == [
        *("dogs-1", "cats-1", "cats-2", "features-cats-3", "building-birds-1-x")
    ]
    assert table["name"].tolist()[:4] == ["dogs", "cats", "cats", "cats"]
    assert table["place"][0] == "/photos/dogs"
    assert (time.time() - table["used"]).between(-5, 600).all()
    with pytest.raises(InputError, match=r"holds no such data.*'emus'"):
        clear_caches(["cats", "emus"])
    assert len(list_caches()) == 5
    assert clear_caches(["cats"]) > 800
    assert list_caches()["name"].tolist()[0] == "dogs"
    assert clear_caches() > 900
    assert [path.name for path in place.iterdir() if path.is_dir()] == ["my own folder"]


def test_what_is_being_made_is_left_alone(place):
    from filelock import FileLock

    fill(place / "cats-1", "cats", 500)
    held, done = threading.Event(), threading.Event()

    def hold():
        with FileLock(place / "cats-1.lock"):
            held.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        with pytest.raises(InputError, match="another process"):
            clear_caches(["cats"])
    finally:
        done.set()
        holder.join()
    assert (place / "cats-1" / MARK).is_file()
