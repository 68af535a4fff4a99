"""What data may be: a known name, a folder, a list, an archive."""

import tarfile
import zipfile

import pytest

from imgclf_lib.cache_folders import clear_caches, list_caches
from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.sources import open_source


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_known_name():
    source = open_source(Experiment(data="fashion_mnist"))
    assert (source.name, source.place, source.listing) == ("fashion_mnist", "fashion_mnist", None)
    with pytest.raises(ValueError, match="no files"):
        source.table  # noqa: B018


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
