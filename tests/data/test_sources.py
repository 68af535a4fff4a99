"""Known data sets: checksums, the two file formats, downloading from a real server."""

import dataclasses
import functools
import gc
import gzip
import hashlib
import http.server
import io
import shutil
import socket
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imgclf_lib.data import KNOWN, checksum_problems, clear_caches, list_caches, load_data, sources
from imgclf_lib.data.sources import IDX_FILES, load_known, open_source
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.storage import data_folder

RNG = np.random.default_rng(0)
MNIST_LIKE = {
    "train-images-idx3-ubyte.gz": RNG.integers(0, 256, (30, 28, 28), "uint8"),
    "train-labels-idx1-ubyte.gz": np.arange(30, dtype="uint8") % 10,
    "t10k-images-idx3-ubyte.gz": RNG.integers(0, 256, (20, 28, 28), "uint8"),
    "t10k-labels-idx1-ubyte.gz": np.arange(20, dtype="uint8")[::-1] % 10,
}


def idx_file(array: np.ndarray) -> bytes:
    """The IDX format as its page describes it: magic, one big-endian size a dimension, bytes."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"cifar-batches/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def cifar_rows(images: np.ndarray, *labels: np.ndarray) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.column_stack([*labels, planes]).astype("uint8").tobytes()


def publish(monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes]) -> None:
    """Make these the published files of a known data set."""
    checksums = {file: hashlib.md5(content).hexdigest() for file, content in files.items()}
    monkeypatch.setitem(KNOWN, name, dataclasses.replace(KNOWN[name], checksums=checksums))


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """``mnist`` is now a tiny generated set: its files."""
    files = {name: idx_file(array) for name, array in MNIST_LIKE.items()}
    publish(monkeypatch, "mnist", files)
    return files


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("IMGCLF_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The root of a web server on this machine that ``IMGCLF_MIRROR`` names."""
    root = tmp_path / "mirror"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *values: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("IMGCLF_MIRROR", f"http://127.0.0.1:{running.server_port}/")
        yield root
        running.shutdown()
        thread.join()
        gc.collect()


def check_mnist(loaded: sources.Arrays) -> None:
    assert loaded.train_images.shape == (30, 28, 28, 1)
    assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int64
    for part, array in zip(loaded[:4], MNIST_LIKE.values(), strict=True):
        np.testing.assert_array_equal(part.reshape(array.shape), array)
    assert loaded.classes == tuple("0123456789")


def test_bundled_fashion_mnist_is_the_published_one():
    assert checksum_problems("fashion_mnist") == []
    loaded = load_known("fashion_mnist")
    assert loaded.train_images.shape == (60_000, 28, 28, 1)
    assert loaded.test_images.shape == (10_000, 28, 28, 1)
    assert np.bincount(loaded.train_labels).tolist() == [6000] * 10
    assert np.bincount(loaded.test_labels).tolist() == [1000] * 10
    # The first training image is the ankle boot of every tutorial; the mean is well known.
    assert loaded.classes[loaded.train_labels[0]] == "Ankle boot"
    assert loaded.train_images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)


@pytest.mark.parametrize("name", KNOWN)
def test_sources_are_complete(name):
    source = KNOWN[name]
    assert source.address.endswith("/")
    assert all(len(text) == 32 and int(text, 16) for text in source.checksums.values())
    assert not source.classes or len(set(source.classes)) == 10
    assert len(source.fingerprint) == 16


def test_fingerprint_follows_the_checksums():
    source = KNOWN["mnist"]
    changed = {**source.checksums, IDX_FILES[0]: "0" * 32}
    assert dataclasses.replace(source, checksums=changed).fingerprint != source.fingerprint
    turned = dict(reversed(source.checksums.items()))
    assert dataclasses.replace(source, checksums=turned).fingerprint == source.fingerprint
    assert len({each.fingerprint for each in KNOWN.values()}) == len(KNOWN)


def test_idx_files_are_read(mnist, place):
    write_files(place / "mnist", mnist)
    check_mnist(load_known("mnist"))


@pytest.mark.parametrize("fine", [False, True])
def test_cifar_archives_are_read(fine, place, monkeypatch):
    name = "cifar100" if fine else "cifar10"
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (12, 32, 32, 3), "uint8")
    labels = generator.integers(0, 3, 12)
    coarse = [9 - labels] if fine else []  # stands before the fine label
    rows = [
        cifar_rows(images[at : at + 2], *(each[at : at + 2] for each in [*coarse, labels]))
        for at in range(0, 12, 2)
    ]
    if fine:
        members = {"train.bin": b"".join(rows[:5]), "test.bin": rows[5]}
        members["fine_label_names.txt"] = b"apple\nbear\nchair\n"
    else:
        members = {f"data_batch_{number}.bin": rows[number - 1] for number in range(1, 6)}
        members |= {"test_batch.bin": rows[5], "batches.meta.txt": b"apple\nbear\nchair\n\n"}
    files = {next(iter(KNOWN[name].checksums)): tar_gz(members)}
    publish(monkeypatch, name, files)
    write_files(place / name, files)
    loaded = load_known(name)
    np.testing.assert_array_equal(loaded.train_images, images[:10])
    np.testing.assert_array_equal(loaded.train_labels, labels[:10])
    np.testing.assert_array_equal(loaded.test_images, images[10:])
    np.testing.assert_array_equal(loaded.test_labels, labels[10:])
    assert loaded.classes == ("apple", "bear", "chair")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_file_is_refused_and_left_untouched(damage, mnist, place, server):
    write_files(server / "mnist", mnist)  # a server with good files must not tempt it either
    write_files(place / "mnist", mnist)
    path = place / "mnist" / IDX_FILES[2]
    good = path.read_bytes()
    bad = {"flipped": good[:-9] + b"!" + good[-8:], "cut": good[:-9], "empty": b""}[damage]
    path.write_bytes(bad)
    with pytest.raises(InputError) as caught:
        load_known("mnist")
    for text in (str(path), KNOWN["mnist"].checksums[path.name], hashlib.md5(bad).hexdigest()):
        assert text in str(caught.value)
    assert path.read_bytes() == bad
    assert [str(caught.value)] == checksum_problems("mnist")


def test_bundled_files_are_verified_too(place):
    published = Path(__file__).parent.parent.parent / "data" / "fashion_mnist"
    shutil.copytree(published, place / "fashion_mnist")
    path = place / "fashion_mnist" / IDX_FILES[1]
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="checksum differs"):
        load_known("fashion_mnist")


def test_missing_files_are_problems(mnist, place):
    write_files(place / "mnist", {name: mnist[name] for name in IDX_FILES[:2]})
    problems = checksum_problems("mnist")
    assert len(problems) == 2
    for name, problem in zip(IDX_FILES[2:], problems, strict=True):
        assert problem == f"{place / 'mnist' / name} is missing."


def test_download_then_offline(mnist, place, server):
    write_files(server / "mnist", mnist)
    check_mnist(load_known("mnist"))
    assert sorted(path.name for path in (place / "mnist").iterdir()) == sorted(IDX_FILES)
    shutil.rmtree(server / "mnist")
    check_mnist(load_known("mnist"))


def test_only_missing_files_are_downloaded(mnist, place, server):
    write_files(place / "mnist", {name: mnist[name] for name in IDX_FILES[1:]})
    write_files(server / "mnist", {IDX_FILES[0]: mnist[IDX_FILES[0]]})
    check_mnist(load_known("mnist"))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("content", ["wrong", "missing", "no server"])
def test_a_failed_download_says_where_to_put_the_files(content, mnist, place, server, monkeypatch):
    write_files(server / "mnist", {**mnist, IDX_FILES[0]: b"<html>Log in to continue</html>"})
    if content == "missing":
        (server / "mnist" / IDX_FILES[0]).unlink()
    if content == "no server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv("IMGCLF_MIRROR", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(InputError) as caught:
        load_known("mnist")
    message = str(caught.value)
    assert "MNIST is not on this machine" in message
    assert f"/mnist/{IDX_FILES[0]}" in message
    assert f"put {', '.join(IDX_FILES)} into {place / 'mnist'}" in message
    assert not [path for path in place.rglob("*") if path.is_file()], "nothing is left behind"


def test_the_bundled_set_is_where_the_data_is():
    assert (data_folder() / "fashion_mnist" / IDX_FILES[0]).is_file()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_known_name():
    source = open_source(Experiment(data="fashion_mnist"))
    assert (source.name, source.place, source.listing) == ("fashion_mnist", "fashion_mnist", None)
    with pytest.raises(ValueError, match="no files"):
        source.table  # noqa: B018


@pytest.mark.slow
def test_a_folder_a_list_and_archives_give_the_same_images(images, tmp_path, own_cache):
    lines = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in images.rglob("*.png")]
    (images.parent / "shapes.csv").write_text(
        "path,label\n" + "\n".join(f"shapes/{line}" for line in lines)
    )
    with zipfile.ZipFile(tmp_path / "shapes.zip", "w") as archive:
        for path in images.rglob("*.png"):
            archive.write(path, path.relative_to(images.parent))
    with tarfile.open(tmp_path / "shapes.tar.xz", "w:xz") as archive:
        archive.add(images, "inside/pictures")
    with zipfile.ZipFile(tmp_path / "listed.zip", "w") as archive:
        archive.writestr(
            "labels.csv",
            "path,label\n"
            + "\n".join(
                f"pictures/{number}.png,{line.partition(',')[2]}"
                for number, line in enumerate(lines)
            ),
        )
        for number, line in enumerate(lines):
            archive.write(images / line.partition(",")[0], f"pictures/{number}.png")
    whole = load_data(Experiment(data=str(images)))
    for place in (
        images.parent / "shapes.csv",
        tmp_path / "shapes.zip",
        tmp_path / "shapes.tar.xz",
    ):
        data = load_data(Experiment(data=str(place)))
        assert data.name == "shapes"
        assert data.class_names == whole.class_names
        assert sorted(data.table["hash"]) == sorted(whole.table["hash"])
        assert (data.table["problem"] == "").all()
        assert (data.train.images.mean(), len(data.train)) == pytest.approx(
            (whole.train.images.mean(), len(whole.train)), rel=0.05
        )
    data = load_data(Experiment(data=str(tmp_path / "listed.zip")))
    assert data.class_names == whole.class_names
    assert len(data.table) == len(whole.table)
    assert (images.parent / "shapes.csv").unlink() is None


def test_members_of_an_archive_that_are_not_unpacked_are_in_the_table(images, tmp_path, own_cache):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for path in images.rglob("*.png"):
            archive.write(path, path.relative_to(images))
        archive.writestr("../../escaped.png", b"out")
    data = load_data(Experiment(data=str(tmp_path / "bad.zip")))
    rejected = data.table[data.table["problem"] != ""]
    assert rejected["problem"].tolist() == ["unsafe"]
    assert "escaped.png" in rejected["path"].iloc[0]
    assert data.table["path"].tolist() == sorted(data.table["path"])
    assert not list(tmp_path.rglob("escaped.png"))
    assert set(list_caches()["name"]) == {"bad"}, "decoded, and unpacked"
    clear_caches(["bad"])
    assert [path for path in own_cache.iterdir() if path.is_dir()] == []
    assert load_data(Experiment(data=str(tmp_path / "bad.zip"))).fingerprint == data.fingerprint


def test_what_there_is_not(tmp_path):
    with pytest.raises(InputError, match="no data set, folder or file named 'fashoin_mnist'"):
        open_source(Experiment(data="fashoin_mnist"))
    with pytest.raises(InputError, match="no data set"):
        open_source(Experiment(data="x" * 5000))
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="is a file that holds no data set"):
        open_source(Experiment(data=str(tmp_path / "notes.txt")))


def write_pets(folder: Path, **lists: str) -> Path:
    """Four pictures in no class folders, and lists of them."""
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        (folder / "images" / f"{number}.png").write_bytes(b"x")
    for name, text in lists.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_a_folder_whose_list_names_the_classes(tmp_path):
    folder = write_pets(tmp_path / "pets", metadata_csv="file_name,label\n0.png,cat\n1.png,dog\n")
    listing = open_source(Experiment(data=str(folder))).listing
    assert listing.list_name == "metadata.csv"
    assert listing.table[["path", "label", "problem"]].values.tolist() == [
        ["images/0.png", "cat", ""],
        ["images/1.png", "dog", ""],
        ["images/2.png", "", "not listed"],
        ["images/3.png", "", "not listed"],
    ]
    alone = open_source(Experiment(data=str(folder / "metadata.csv")))
    assert open_source(Experiment(data=str(folder))).labels_key == alone.labels_key
    assert alone.listing.key == listing.key


@pytest.mark.parametrize(
    "lists",
    [
        {"metadata_jsonl": '{"file_name": "0.png", "label": "cat"}\n'},
        {"train_csv": "id,label\n0,cat\n", "test_csv": "id,label\n1,dog\n"},
        {"train_tsv": "id\tlabel\n0\tcat\n", "sample_csv": "id,label\n1,0\n"},
    ],
)
def test_other_lists_in_a_folder(lists, tmp_path):
    listing = open_source(Experiment(data=str(write_pets(tmp_path / "pets", **lists)))).listing
    used = listing.table[listing.table["problem"] == ""]
    assert used["label"].tolist() == ["cat", "dog"][: len(used)]
    assert used["split"].tolist() == (["train", "test"] if "test_csv" in lists else [""])


def test_lists_between_which_a_person_has_to_choose(tmp_path):
    text = "id,label\n0,cat\n1,dog\n"
    listing = open_source(
        Experiment(data=str(write_pets(tmp_path, a_csv=text, b_csv=text)))
    ).listing
    assert listing.list_name == ""
    assert (
        "list not used",
        "a.csv, b.csv may name the classes: give --data the list that does",
    ) in (listing.remarks)


def test_class_folders_beside_a_list_stay_classes(tmp_path):
    folder = write_pets(tmp_path, labels_csv="id,label\n0,cat\n1,dog\n")
    (folder / "more").mkdir()
    (folder / "more" / "1.png").write_bytes(b"x")
    assert set(open_source(Experiment(data=str(folder))).table["label"]) == {"", "images", "more"}


def test_data_that_was_moved(tmp_path):
    with pytest.raises(InputError, match=r"moved after a training.*--data"):
        open_source(Experiment(data=str(tmp_path / "gone")))


def test_archives_inside_the_data_are_named(tmp_path, own_cache):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("train.zip", "test1.ZIP", "sample.csv"):
            archive.writestr(name, b"id,label\n1,0\n")
    listing = open_source(Experiment(data=str(tmp_path / "all.zip"))).listing
    problems = dict(zip(listing.table["path"], listing.table["problem"], strict=True))
    assert problems["train.zip"] == problems["test1.ZIP"] == "archive"
    with pytest.raises(InputError, match=r"stay closed: test1.ZIP, train.zip. Unpack them"):
        load_data(Experiment(data=str(tmp_path / "all.zip")))


def test_guessed_names_of_an_archive_are_remarked(tmp_path, own_cache):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("AA/1.png", "BB/1.png"):
            archive.writestr(name, b"x")
    raw = (tmp_path / "a.zip").read_bytes().replace(b"AA/", "猫/".encode("cp932"))
    (tmp_path / "a.zip").write_bytes(raw)
    listing = open_source(Experiment(data=str(tmp_path / "a.zip"))).listing
    assert listing.table["path"].tolist() == ["BB/1.png", "猫/1.png"]
    assert [kind for kind, _ in listing.remarks] == ["names guessed"]
