"""Every kind of defect is written, and comes out with the problem and remark it should have."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile.defects import NAMES, defect_kinds, write_defects
from imgclf_lib.files import CONTENT_PROBLEMS, inspect_file

LISTED = {"hidden", "no class", "bad name", "link"}  # told by the list of files, not the content
LABELS = ["cat", "dog", "<b>猫&", "cat", "dog"]


def pictures(count: int = 5, width: int = 47, height: int = 33) -> list[np.ndarray]:
    """Smooth random pictures, as photos are."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (count, 6, 7, 3), "uint8")
    return [np.asarray(Image.fromarray(each).resize((width, height))) for each in coarse]


@pytest.fixture(scope="module")
def mess(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m") / "mess"
    return folder, write_defects(folder, pictures(), LABELS)


def test_there_are_many_kinds(mess):
    _, table = mess
    assert table["kind"].nunique() >= 100
    assert set(table["problem"]) - {""} <= set(CONTENT_PROBLEMS) | LISTED
    assert {"empty", "damaged", "not an image", "too large"} <= set(table["problem"])
    unwritten = table[table["path"] == ""]
    assert unwritten["remark"].str.startswith("cannot be made here: ").all()
    assert set(unwritten["kind"]) <= {"no permission to read", "socket", "pipe", *NAMES}
    if os.geteuid() == 0:
        assert "no permission to read" in set(unwritten["kind"])


def test_every_file_has_its_row(mess):
    folder, table = mess
    found = [
        os.fsencode(os.path.relpath(Path(where) / name, folder)).decode("utf-8", "backslashreplace")
        for where, folders, names in os.walk(folder)
        for name in [*names, *(each for each in folders if (Path(where) / each).is_symlink())]
    ]
    assert sorted(found) == sorted(table.loc[table["path"] != "", "path"])


def test_every_kind_comes_out_as_expected(mess):
    folder, table = mess
    wrong = []
    for row in table[(table["path"] != "") & ~table["problem"].isin(LISTED)].itertuples():
        found = inspect_file(folder / row.path, 16, 3, "pad")
        if (
            found.problem != row.problem
            or row.remark not in found.detail
            or (found.pixels is None) != bool(row.problem)
            or (not row.problem and not row.remark and found.detail)
        ):
            wrong.append((row.kind, row.problem, row.remark, found.problem, found.detail))
    assert wrong == []


def test_grey_content_of_every_kind_too(mess):
    folder, table = mess
    for row in table[table["problem"] == ""].itertuples():
        if row.path:
            assert inspect_file(folder / row.path, 8, 1, "crop").pixels.shape == (8, 8, 1)


def test_equal_seeds_write_equal_folders(tmp_path):
    def digest(folder: Path) -> dict[bytes, str]:
        return {
            os.fsencode(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    one, two, other = (
        write_defects(tmp_path / name, pictures(), LABELS, seed)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    assert one.equals(two)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert not one["path"].equals(other["path"])
    assert one["kind"].equals(other["kind"])


def test_copies_across_splits(tmp_path):
    table = write_defects(tmp_path / "mess", pictures(), LABELS, splits=True)
    assert sorted(path.name for path in (tmp_path / "mess").iterdir()) == ["test", "train"]
    leaks = table[table["kind"] == "copy in another split"]
    assert len(leaks) == 3
    for path in leaks["path"]:
        label = path.split("/")[1]
        good = tmp_path / "mess/train" / label / "0000.png"
        assert (tmp_path / "mess" / path).read_bytes() == good.read_bytes()


@pytest.mark.parametrize("size", [(16, 16), (200, 150)])
def test_other_pictures_give_the_same_verdicts(size, tmp_path):
    image = pictures(1, *size)[0]
    for name, defect in defect_kinds().items():
        path = tmp_path / f"it{defect.ending}"
        path.write_bytes(defect.make(image))
        found = inspect_file(path, 8, 3, "squash")
        assert (name, found.problem) == (name, defect.problem)
        assert defect.remark in found.detail
