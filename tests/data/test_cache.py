"""Cache folders: complete or not there, listed and cleared."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from imgclf_lib.data import (
    arrays,
    cache,
    clear_caches,
    inspect_data,
    list_caches,
    load_data,
    load_other,
)
from imgclf_lib.data.cache import MARK, _filling, copy_images, prepare, read_facts, write_facts
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.files import inspect_file
from imgclf_lib.storage import building, need_room


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
        _filling(place / "one"),
    ):
        need_room(place, 9 * 10**15)
    place.rmdir()
    place.write_text("a file where the cache should be")
    with pytest.raises(InputError, match="cannot be written"), _filling(place / "one"):
        raise AssertionError("not reached")


@pytest.mark.slow
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
            "from imgclf_lib import storage\n"
            "from imgclf_lib.data import cache\n"
            "from imgclf_lib.experiment import Experiment\n"
            "storage.SPARE = -10**9  # let it begin, and hit the end of the disk\n"
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


def test_images_are_copied_in_the_order_asked_for(tmp_path):
    images = np.arange(10 * 4, dtype="uint8").reshape(10, 2, 2, 1)
    np.save(tmp_path / "images.npy", images)
    rows = np.array([9, 0, 4, 4, 2, 7, 1])
    copy_images(tmp_path / "images.npy", rows, tmp_path / "some.npy", piece=12)
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


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """A list that grows by one with every image that is decoded."""
    calls = []

    def counting(*arguments):
        calls.append(arguments)
        return inspect_file(*arguments)

    monkeypatch.setattr(arrays, "inspect_file", counting)
    return calls


@pytest.fixture
def folder(tmp_path, make_images):
    return make_images(tmp_path / "pictures", 6)


def table_of(prepared: cache.Prepared) -> pd.DataFrame:
    return pd.read_parquet(prepared.folder / "table.parquet")


def test_second_call_decodes_nothing(folder, own_cache, decoded):
    first = prepare(Experiment(data=str(folder)))
    assert len(decoded) == 18
    stamp = (first.folder / "train.npy").stat().st_mtime_ns
    assert prepare(Experiment(data=str(folder))) == first
    assert len(decoded) == 18
    assert (first.folder / "train.npy").stat().st_mtime_ns == stamp
    assert sorted(path.name for path in first.folder.iterdir()) == [
        *("data.json", "table.parquet", "test.npy", "train.npy", "val.npy")
    ]
    assert [path for path in own_cache.iterdir() if path.is_dir()] == [first.folder.parent]


def test_training_fields_do_not_count(folder, own_cache, decoded):
    first = prepare(Experiment(data=str(folder)))
    assert prepare(Experiment(data=str(folder), epochs=9, seed=3, limit=5, flip="both")) == first
    assert len(decoded) == 18


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 8},
        {"color": "color"},
        {"resize": "squash"},
        {"validation_fraction": 0.4},
        {"test_fraction": 0.4},
        {"split_seed": 5},
    ],
    ids=str,
)
def test_data_fields_count(change, images):
    first, other = (
        prepare(Experiment(data=str(images))),
        prepare(Experiment(data=str(images), **change)),
    )
    assert first.folder != other.folder
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("change", ["pixels", "new", "gone", "moved"])
def test_content_counts(change, folder, own_cache, make_images):
    first = prepare(Experiment(data=str(folder)))
    picture = folder / "blob" / "000.png"
    if change == "pixels":
        Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    elif change == "new":
        Image.fromarray(255 - np.asarray(Image.open(picture))).save(folder / "blob" / "new.png")
    elif change == "gone":
        picture.unlink()
    else:
        picture.rename(folder / "rows" / "moved.png")
    other = prepare(Experiment(data=str(folder)))
    assert first.folder != other.folder
    assert first.fingerprint != other.fingerprint


def test_equal_folders_have_equal_fingerprints(tmp_path, own_cache, make_images):
    first, second = (make_images(tmp_path / name / "pictures", 5) for name in "ab")
    prints = {prepare(Experiment(data=str(each))).fingerprint for each in (first, second)}
    assert len(prints) == 1


def test_unusable_files_are_in_the_table_with_a_reason(folder, own_cache, capfd):
    whole = (folder / "rows" / "000.png").read_bytes()
    bad = {
        "rows/empty.png": b"",
        "rows/text.jpg": b"this is no image",
        "blob/cut.png": whole[: len(whole) // 2],
        "blob/notes.txt": b"notes",
        "loose.png": whole,
    }
    for path, content in bad.items():
        (folder / path).write_bytes(content)
    prepared = prepare(Experiment(data=str(folder)))
    table = table_of(prepared).set_index("path")
    rejected = table[table["problem"] != ""]
    assert set(rejected.index) == set(bad)
    assert len(table) == 18 + len(bad)
    assert (rejected["split"] == "").all()
    assert rejected["problem"].to_dict() == {
        "rows/empty.png": "empty",
        "rows/text.jpg": "not an image",
        "blob/cut.png": "damaged",
        "blob/notes.txt": "unknown extension",
        "loose.png": "no class",
    }
    arrays = [np.load(prepared.folder / f"{split}.npy") for split in ("train", "val", "test")]
    assert sum(map(len, arrays)) == 18
    told = capfd.readouterr().err
    assert "18 files used, 5 not used" in told
    assert "and 2 more" in told
    assert all((folder / path).read_bytes() == content for path, content in bad.items())


def test_problems_in_a_cache_of_an_earlier_version_have_the_names_of_today(folder, own_cache):
    whole = (folder / "rows" / "000.png").read_bytes()
    (folder / "rows" / "cut.png").write_bytes(whole[: len(whole) // 2])
    experiment = Experiment(data=str(folder))
    prepared = prepare(experiment)
    for path in (prepared.folder / "table.parquet", prepared.folder.parent / "files.parquet"):
        table = pd.read_parquet(path)
        assert (table["problem"] == "damaged").sum() == 1
        table.assign(problem=table["problem"].replace("damaged", "truncated")).to_parquet(path)
    before = sorted(prepared.folder.parent.rglob("*"))
    for table in (load_data(experiment).table, inspect_data(experiment).table):
        assert table.set_index("path").loc["rows/cut.png", "problem"] == "damaged"
        assert table["problem"].dtype == pd.read_parquet(path)["problem"].dtype
    assert sorted(prepared.folder.parent.rglob("*")) == before


def test_too_many_broken_files_end_it(folder, own_cache):
    for picture in (folder / "rows").iterdir():
        picture.write_bytes(b"broken")
    for picture in (folder / "blob").iterdir():
        picture.write_bytes(b"broken")
    with pytest.raises(InputError, match="at least two classes"):
        prepare(Experiment(data=str(folder)))
    assert not list(own_cache.glob("*/splits-*"))
    found = inspect_data(Experiment(data=str(folder)))
    assert found.table["problem"].value_counts().to_dict() == {"not an image": 12, "": 6}


def test_the_table_knows_the_files(tmp_path, own_cache, make_images):
    folder = make_images(tmp_path / "pictures", 5)
    wide = np.zeros((10, 30, 3), "uint8")
    Image.fromarray(wide).save(folder / "rows" / "wide.jpg")
    row = table_of(prepare(Experiment(data=str(folder)))).set_index("path").loc["rows/wide.jpg"]
    assert (row["width"], row["height"], row["mode"], row["label"]) == (30, 10, "RGB", "rows")


@pytest.mark.parametrize("seed", range(3))
def test_copies_stay_in_one_split(seed, folder, own_cache):
    """Every image gets a copy in its class and one in another class."""
    for number, picture in enumerate(sorted(folder.glob("*/00[0-3].png"))):
        (picture.parent / f"copy{number}.png").write_bytes(picture.read_bytes())
    first = folder / "rows" / "004.png"
    (folder / "blob" / "other.png").write_bytes(first.read_bytes())
    prepared = prepare(Experiment(data=str(folder), split_seed=seed, test_fraction=0.3))
    table = table_of(prepared)
    assert table["hash"].duplicated().sum() == 13
    assert (table.groupby("hash")["split"].nunique() == 1).all()


def test_size_and_colors_are_chosen_from_the_images(tmp_path, own_cache, images, split_images):
    def shape(experiment):
        return load_data(experiment).image_shape

    assert shape(Experiment(data=str(images))) == (24, 24, 1)
    assert shape(Experiment(data=str(split_images))) == (24, 24, 3)
    assert shape(Experiment(data=str(images), color="color", image_size=10)) == (10, 10, 3)
    assert shape(Experiment(data=str(split_images), color="grey")) == (24, 24, 1)
    generator = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "large" / label).mkdir(parents=True)
        for number in range(4):
            picture = Image.fromarray(generator.integers(0, 256, (100, 130, 3), "uint8"))
            picture.save(tmp_path / "large" / label / f"{number}.jpg")
    assert shape(Experiment(data=str(tmp_path / "large"))) == (64, 64, 3)


def test_no_such_data(own_cache):
    with pytest.raises(InputError, match=r"named 'fashoin_mnist'.*fashion_mnist, mnist"):
        prepare(Experiment(data="fashoin_mnist"))
    assert not own_cache.exists()


KILLED = """
import sys, time
from imgclf_lib.data import arrays, cache
from imgclf_lib.experiment import Experiment
calls = []
def slow(*arguments):
    calls.append(0)
    if len(calls) > 10:
        print("halfway", flush=True)
        time.sleep(60)
    return inspect_file(*arguments)
inspect_file, arrays.inspect_file = arrays.inspect_file, slow
cache.prepare(Experiment(data=sys.argv[1]))
"""


@pytest.mark.slow
def test_a_process_killed_half_way_leaves_nothing_in_the_way(folder, own_cache):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()  # of one thread or of several at once
        process.kill()
        assert "halfway" in told
        assert process.wait() == -signal.SIGKILL
    assert not list(own_cache.glob("*/data.json"))
    prepared = prepare(Experiment(data=str(folder)))
    assert len(table_of(prepared)) == 18
    left = [path for path in own_cache.iterdir() if path.is_dir()]
    assert left == [prepared.folder.parent], "what the dead process had begun is gone"


def test_an_incomplete_folder_is_built_again(folder, own_cache):
    prepared = prepare(Experiment(data=str(folder)))
    (prepared.folder / "data.json").unlink()
    (prepared.folder / "train.npy").write_bytes(b"")
    assert prepare(Experiment(data=str(folder))) == prepared
    assert len(np.load(prepared.folder / "train.npy")) > 0


def test_two_at_once_decode_once(folder, own_cache, monkeypatch):
    calls = []

    def slow(*arguments):
        calls.append(0)
        time.sleep(0.01)
        return inspect_file(*arguments)

    monkeypatch.setattr(arrays, "inspect_file", slow)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(prepare(Experiment(data=str(folder)))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 18
    assert found[0] == found[1]


def test_other_splits_need_no_decoding(folder, own_cache, decoded):
    first = prepare(Experiment(data=str(folder)))
    for change in ({"split_seed": 3}, {"test_fraction": 0.4}, {"group": r"\d\d(\d)"}):
        other = prepare(Experiment(data=str(folder), **change))
        assert other.folder != first.folder
        table = table_of(other)
        for split in ("train", "val", "test"):
            rows = table[table["split"] == split]
            images = np.load(other.folder / f"{split}.npy")
            for path, image in zip(rows["path"], images, strict=True):
                np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(folder / path)))
    assert len(decoded) == 18


def test_a_fix_list_is_honoured_without_decoding_again(folder, own_cache, decoded, tmp_path):
    prepare(Experiment(data=str(folder)))
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("path,action,label\nrows/000.png,exclude,\nrows/001.png,relabel,blob\n")
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    corrected = prepare(Experiment(data=str(folder), fixes=str(fixes)))
    table = table_of(corrected).set_index("path")
    assert table.loc["rows/000.png", ["problem", "split"]].tolist() == ["excluded", ""]
    assert table.loc["rows/001.png", "label"] == "blob"
    assert sum(len(np.load(path)) for path in corrected.folder.glob("*.npy")) == 17
    fixes.write_text("path,action,label\nrows/001.png,relabel,columns\n")
    again = prepare(Experiment(data=str(folder), fixes=str(fixes)))
    assert again.folder != corrected.folder
    assert table_of(again).set_index("path").loc["rows/001.png", "label"] == "columns"
    assert len(decoded) == 18
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


def test_groups_by_pattern_stay_in_one_split(folder, own_cache):
    table = table_of(prepare(Experiment(data=str(folder), group=r"\d\d(\d)", test_fraction=0.3)))
    assert table["group"].nunique() == 6
    assert (table.groupby("group")["split"].nunique() == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_stay_in_one_split(seed, tmp_path, own_cache):
    """Photographs saved again as JPEG, and smaller: other bytes and pixels, the same picture."""
    generator = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(8):
            small = Image.fromarray(generator.integers(0, 256, (6, 6, 3), "uint8"))
            photo = small.resize((96, 96), Image.Resampling.BICUBIC)
            photo.save(tmp_path / "photos" / label / f"{number}.png")
            photo.resize((80, 80)).save(tmp_path / "photos" / label / f"{number}x.jpg", quality=70)
    table = table_of(prepare(Experiment(data=str(tmp_path / "photos"), split_seed=seed)))
    assert table["pixel_hash"].nunique() == 32
    pictures = table.groupby(table["path"].str[:3])
    assert (pictures["split"].nunique() == 1).all()
    assert table["split"].nunique() == 3


def test_one_scene_is_split_with_either_choice(tmp_path, own_cache, capsys):
    """A camera that stands still gave "40 images of which 1 differ", and no way round."""
    generator = np.random.default_rng(0)
    small = Image.fromarray(generator.integers(0, 256, (6, 6, 3), "uint8"))
    scene = np.asarray(small.resize((64, 64)))
    for label in ("car", "empty"):
        (tmp_path / "street" / label).mkdir(parents=True)
        for number in range(10):
            noisy = scene + generator.normal(0, 3, scene.shape)
            if label == "car":
                noisy[40:46, 20:30] = 30
            image = Image.fromarray(noisy.clip(0, 255).astype("uint8"))
            image.save(tmp_path / "street" / label / f"{number}.png")
    experiment = Experiment(data=str(tmp_path / "street"))
    together = prepare(experiment)
    assert "--near_duplicates split" in capsys.readouterr().err
    split = prepare(experiment.replace(near_duplicates="split"))
    assert capsys.readouterr().err == ""
    assert split.folder != together.folder
    assert split.folder.parent == together.folder.parent
    for each in (together, split):
        assert table_of(each).groupby(["label", "split"]).size().min() >= 1
        assert set(table_of(each)["split"]) == {"train", "val", "test"}


def test_one_class_can_be_inspected(tmp_path, own_cache, make_images):
    folder = make_images(tmp_path / "one", {"rows": 3})
    (folder / "rows" / "empty.png").write_bytes(b"")
    found = inspect_data(Experiment(data=str(folder)))
    assert found.table["problem"].tolist() == ["", "", "", "empty"]
    assert found.places.tolist() == [0, 1, 2, -1]
    assert found.images.shape[1:] == (24, 24, 1)
    assert found.table["sharpness"].notna().tolist() == [True] * 3 + [False]
    with pytest.raises(InputError, match="at least two classes"):
        prepare(Experiment(data=str(folder)))


def test_a_folder_without_any_image_can_be_inspected(tmp_path, own_cache):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("text")
    found = inspect_data(Experiment(data=str(tmp_path / "docs")))
    assert found.table["problem"].tolist() == ["unknown extension"]
    assert found.places.tolist() == [-1]
    with pytest.raises(InputError, match="no image that can be used"):
        prepare(Experiment(data=str(tmp_path / "docs")))


@pytest.mark.parametrize(("sides", "resize", "size"), [
    ((24, 480), "pad", 64),
    ((480, 24), "pad", 64),
    ((10, 40), "pad", 40),
    ((24, 480), "squash", 24),
    ((24, 48), "pad", 24),
])  # fmt: skip
def test_the_automatic_size_of_long_narrow_pictures(sides, resize, size, tmp_path, own_cache):
    folder = tmp_path / "strips" / "a"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, sides, "uint8")
    Image.fromarray(pixels).save(folder / "0.png")
    found = inspect_data(Experiment(data=str(folder.parent), resize=resize))
    assert found.images.shape[1:] == (size, size, 1)


def damage_table(path):
    path.write_bytes(path.read_bytes()[:-8])


def zero(path):
    content = bytearray(path.read_bytes())
    content[-600:] = bytes(600)
    path.write_bytes(content)


@pytest.mark.parametrize("marked", [True, False], ids=["today", "earlier version"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(
            (name, Path.unlink)
            for name in ("images.npy", "files.parquet", "pairs.npy", "*/val.npy")
        ),
        *((name, lambda path: path.write_bytes(b"")) for name in ("*/train.npy", "*/data.json")),
        *((name, lambda path: path.write_text("{}")) for name in ("data.json", "*/data.json")),
        *((name, damage_table) for name in ("files.parquet", "*/table.parquet")),
        ("images.npy", lambda path: os.truncate(path, 1000)),
        ("data.json", lambda path: path.write_text("[" * 10**5)),
        ("*/train.npy", zero),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_damaged_cache_repairs_itself(name, damage, marked, folder, own_cache, capfd):
    experiment = Experiment(data=str(folder))
    before = prepare(experiment)
    base, images = before.folder.parent, (before.folder / "train.npy").read_bytes()
    table = table_of(before)
    if not marked:
        if damage is zero:
            pytest.skip("An earlier version wrote no checksums")
        for mark in (base / MARK, before.folder / MARK):
            facts = json.loads(mark.read_text())
            del facts["files"]
            mark.write_text(json.dumps(facts))
    damage(next(base.glob(name)))
    list_caches()
    capfd.readouterr()
    inspect_data(experiment)
    assert prepare(experiment) == before
    assert "damaged: its images are made again" in capfd.readouterr().err
    assert (before.folder / "train.npy").read_bytes() == images
    assert table_of(before).equals(table)
    inspect_data(experiment)
    prepare(experiment)
    assert "damaged" not in capfd.readouterr().err, "it is whole again"


def test_a_cache_that_was_copied_is_whole(folder, own_cache, decoded):
    prepared = prepare(Experiment(data=str(folder)))
    for path in own_cache.rglob("*.*"):
        os.utime(path, (1, 1))
    count = len(decoded)
    assert prepare(Experiment(data=str(folder))) == prepared
    assert len(decoded) == count


def test_a_damaged_folder_is_listed_and_cleared(folder, own_cache):
    prepared = prepare(Experiment(data=str(folder)))
    (prepared.folder.parent / MARK).write_text("{")
    assert list_caches()["name"].tolist() == ["damaged"]
    assert clear_caches() > 0


def test_a_ready_cache_on_a_disk_that_cannot_be_written_is_used(folder, own_cache, monkeypatch):
    prepared = prepare(Experiment(data=str(folder)))

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    monkeypatch.setattr(Path, "touch", refuse)
    assert prepare(Experiment(data=str(folder))) == prepared
    assert inspect_data(Experiment(data=str(folder))).name == "pictures"


def test_names_of_rejected_files_give_no_orders(tmp_path, own_cache, make_images, capsys):
    folder = make_images(tmp_path / "shapes", 6)
    (folder / "rows" / "\x1b[31mred.png").write_bytes(b"no image")
    prepare(Experiment(data=str(folder)))
    said = capsys.readouterr().err
    assert "1 not used" in said
    assert r"\x1b[31mred.png" in said
    assert "\x1b[31m" not in said


def test_a_folder_that_changes_while_it_is_decoded_gives_no_mixture(
    folder, own_cache, monkeypatch, capsys
):
    """A file that was written anew, as long and as old as before, and one that is gone."""
    experiment, decode = Experiment(data=str(folder)), cache.decode_files
    new, gone = sorted(folder.rglob("*.png"))[:2]
    new_bytes, state = gone.read_bytes(), new.stat()

    def decode_and_write(*given, **more):
        found = decode(*given, **more)
        new.write_bytes(new_bytes)
        os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
        return found

    monkeypatch.setattr(cache, "decode_files", decode_and_write)
    with pytest.raises(InputError, match=rf"1 files, such as '.*{new.name}'.*Wait until"):
        prepare(experiment)
    assert not list(own_cache.glob("*/"))

    def lose_and_decode(*given, **more):
        gone.unlink()
        return decode(*given, **more)

    monkeypatch.setattr(cache, "decode_files", lose_and_decode)
    before = len(list(folder.rglob("*.png")))
    prepared = prepare(experiment)
    table = table_of(prepared)
    assert len(table) == before
    assert table.loc[table["problem"] != "", "problem"].tolist() == ["unreadable"]
    assert "No such file" in capsys.readouterr().err
    monkeypatch.setattr(cache, "decode_files", decode)
    assert prepare(experiment).fingerprint == prepared.fingerprint
    assert len(table_of(prepare(experiment))) == before - 1


def deep(folder: Path, most: int) -> Experiment:
    """Two classes of grey pictures in 16 bits, and a few in 8."""
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(9):
            values = generator.integers(0, most + 1, (16, 16), "uint16")
            values[0, 0] = most if number == 4 else 0
            pixels = values if number > 1 else (values % 256).astype("uint8")
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return Experiment(data=str(folder), image_size=16)


@pytest.mark.parametrize(("most", "bits"), [(900, 10), (4000, 12), (16383, 14), (65535, 16)])
def test_how_many_of_sixteen_bits_count_belongs_to_the_data_set(tmp_path, most, bits):
    experiment = deep(tmp_path / "deep", most)
    data = load_data(experiment)
    assert data.bits == bits
    found = inspect_data(experiment)
    for row, path in enumerate(found.table["path"]):
        seen = np.asarray(Image.open(tmp_path / "deep" / path)).astype("float64")
        wanted = seen if seen.max() < 256 else seen * 255 / (2**bits - 1)
        assert np.abs(found.images[found.places[row]][..., 0] - wanted).max() <= 0.5
    assert not found.table["detail"].str.contains("16-bit").any()
    facts = [load_data(experiment.replace(split_seed=seed)).bits for seed in (0, 1)]
    assert facts == [bits, bits]
    assert not list(Path(data.folder).parent.glob("part*"))


def test_other_data_is_decoded_with_the_bits_of_the_model(tmp_path):
    experiment = deep(tmp_path / "deep", 4000)
    own, again = (load_other(experiment, ("cat", "dog"), bits=12)[1] for _ in range(2))
    other = load_other(experiment, ("cat", "dog"), bits=14)[1]
    rows = [not path.endswith(("0.png", "1.png")) for path in own.paths]
    bright, dark = own.images[:][rows].astype("float64"), other.images[:][rows]
    assert np.abs(bright * 4095 / 16383 - dark).max() <= 1
    np.testing.assert_array_equal(own.images[:], again.images[:])
    assert load_data(experiment).bits == 12


def test_the_fingerprint_changes_with_the_bits_and_else_stays(tmp_path, make_images):
    deep_data = load_data(deep(tmp_path / "deep", 4000))
    assert deep_data.bits == 12
    facts = json.loads((deep_data.folder / "data.json").read_text())
    assert facts["bits"] == 12
    plain = load_data(Experiment(data=str(make_images(tmp_path / "a", {"rows": 9, "blob": 9}))))
    assert "bits" not in json.loads((plain.folder / "data.json").read_text())
    assert plain.bits == 16
