"""The audit of real folders, in words and as JSON: what is planted is found, nothing changes."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.audit import (
    Audit,
    audit,
    audit_json,
    audit_lines,
    suggest_fixes,
    twin_pictures,
)
from imgclf_lib.audit.findings import make_findings, sort_findings
from imgclf_lib.data import load_data, write_fixes
from imgclf_lib.errors import InputError, printable
from imgclf_lib.experiment import Experiment

WILD = "cat/\x1b[31mred\n\u202egpj.猫"


def plant(make_images, folder: Path) -> Path:
    """Two splits of shapes with one of each kind of trouble."""
    make_images(folder / "train", 30, 3)
    make_images(folder / "test", 12, 3, seed=5)
    train, test = folder / "train", folder / "test"
    shutil.copy(train / "blob/001.png", train / "blob/zcopy.png")
    shutil.copy(train / "blob/002.png", train / "rows/other label.png")
    shutil.copy(test / "blob/002.png", train / "blob/leak.png")
    Image.open(test / "rows/002.png").save(train / "rows/nearly.jpg", quality=85)
    Image.open(train / "blob/003.png").save(train / "blob/same pixels.bmp")
    shutil.copy(train / "blob/004.png", train / "blob/not jpeg.jpg")
    (train / "blob/.DS_Store").write_bytes(b"x")
    (train / "blob/empty.jpg").write_bytes(b"")
    (train / "blob/note.txt").write_text("hello")
    (train / "blob/cut.png").write_bytes((train / "blob/000.png").read_bytes()[:200])
    (train / "blob/\x1b[31mred\n$x$ <b>.jpg").write_bytes(b"junk")
    Image.new("RGB", (24, 24), (200, 10, 10)).save(train / "rows/plain.png")
    Image.open(train / "rows/005.png").resize((400, 24)).save(train / "rows/wide.png")
    frames = [Image.new("L", (24, 24), tone).convert("P") for tone in (0, 90, 200)]
    columns = Image.open(train / "columns/001.png").convert("P")
    columns.save(train / "columns/moving.gif", save_all=True, append_images=frames)
    (train / "Empty one").mkdir()
    return folder


@pytest.fixture(scope="module")
def planted(make_images, tmp_path_factory) -> Path:
    return plant(make_images, tmp_path_factory.mktemp("planted") / "shapes")


@pytest.fixture(scope="module")
def found(planted) -> Audit:
    return audit(Experiment(data=str(planted)))


def paths_of(found: Audit, problem: str) -> list[str]:
    return found.findings.loc[found.findings["problem"] == problem, "path"].tolist()


def test_every_file_is_counted_once(planted, found):
    present = [path for path in planted.rglob("*") if path.is_file()]
    assert found.files == len(present) == found.accepted + found.rejected
    assert found.rejected == 5
    reasons = found.findings[
        found.findings["path"].isin(found.table.loc[found.table["problem"] != "", "path"])
    ]
    assert len(reasons) == 5
    known = found.table.set_index("path")["problem"]
    assert (known[reasons["path"]].to_numpy() == reasons["problem"]).all()


@pytest.mark.parametrize(
    ("problem", "paths"),
    [
        ("duplicate", [*("blob/001.png", "blob/003.png", "blob/004.png", "blob/not jpeg.jpg"),
                       *("blob/same pixels.bmp", "blob/zcopy.png")]),
        ("duplicate with conflicting labels", ["blob/002.png", "rows/other label.png"]),
        ("duplicate across splits", ["../test/blob/002.png", "blob/leak.png"]),
        ("near-duplicate across splits", ["../test/rows/002.png", "rows/nearly.jpg"]),
        ("near-duplicate", []),
        ("empty", ["blob/empty.jpg"]),
        ("damaged", ["blob/cut.png"]),
        ("not an image", ["blob/\x1b[31mred\n$x$ <b>.jpg"]),
        ("hidden", ["blob/.DS_Store"]),
        ("unknown extension", ["blob/note.txt"]),
        ("wrong extension", ["blob/not jpeg.jpg"]),
        ("nearly constant", ["rows/plain.png"]),
        ("odd size", ["rows/wide.png"]),
        ("blurred", ["rows/wide.png"]),  # it was stretched
        ("odd shape", ["rows/wide.png"]),
        ("little left", ["rows/wide.png"]),
        ("odd kind", ["blob/not jpeg.jpg", "blob/same pixels.bmp", "columns/moving.gif",
                      "rows/nearly.jpg"]),
        ("odd light", []),
        ("empty class", ["Empty one"]),
        ("animation", ["columns/moving.gif"]),
        ("class imbalance", []),
        ("few images", []),
    ],
)  # fmt: skip
def test_what_is_planted_is_found(found, problem, paths):
    wanted = [f"train/{path}".replace("train/../", "") for path in paths]
    assert paths_of(found, problem) == wanted


def test_nothing_else_is_found(found):
    assert len(found.findings) == 6 + 2 + 2 + 2 + 5 + 1 + 1 + 4 + 1 + 1 + 4


def test_the_order_is_that_of_severity(found):
    ranks = found.findings["severity"].map(["error", "warning", "remark"].index)
    assert ranks.is_monotonic_increasing
    again = audit(Experiment(data=found.place))
    pd.testing.assert_frame_equal(again.findings, found.findings)


def test_a_good_folder_gives_nothing(images):
    good = audit(Experiment(data=str(images)))
    assert good.findings.empty
    assert good.files == good.accepted == 72
    assert suggest_fixes(good).empty


def test_the_folder_is_not_altered(make_images, tmp_path):
    folder = plant(make_images, tmp_path / "shapes")

    def state() -> dict[str, tuple]:
        return {
            str(path): (
                path.lstat().st_mtime_ns,
                path.lstat().st_mode,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in [folder, *sorted(folder.rglob("*"))]
        }

    before = state()
    write_fixes(suggest_fixes(audit(Experiment(data=str(folder)))), tmp_path / "f.csv", folder)
    assert state() == before
    with pytest.raises(InputError, match="inside the folder"):
        write_fixes(suggest_fixes(audit(Experiment(data=str(folder)))), folder / "f.csv", folder)
    assert state() == before


def test_suggestions_are_cautious_and_honoured(planted, found, tmp_path):
    fixes = suggest_fixes(found)
    assert not fixes["path"].duplicated().any()
    action = fixes.set_index("path")["action"]
    for path, wanted in {
        "train/blob/001.png": "keep",
        "train/blob/zcopy.png": "exclude",
        "train/blob/leak.png": "exclude",
        "test/blob/002.png": "keep",
        "train/rows/nearly.jpg": "exclude",
        "train/blob/002.png": "keep",
        "train/rows/other label.png": "keep",
        "train/blob/cut.png": "exclude",
        "train/rows/plain.png": "keep",
    }.items():
        assert action[path] == wanted, path
    assert set(action[action.index.str.startswith("test")]) == {"keep"}
    assert "train/Empty one" not in action.index
    write_fixes(fixes, tmp_path / "fixes.csv", planted)
    fixed = audit(Experiment(data=str(planted), fixes=str(tmp_path / "fixes.csv")))
    assert paths_of(fixed, "duplicate across splits") == []
    assert paths_of(fixed, "duplicate") == []
    assert paths_of(fixed, "near-duplicate across splits") == []
    assert len(paths_of(fixed, "duplicate with conflicting labels")) == 2
    assert fixed.files == found.files == fixed.accepted + fixed.rejected
    again = suggest_fixes(fixed).set_index("path")["action"]
    assert again["train/blob/zcopy.png"] == "exclude"  # what was decided stays in the next list


def test_pictures_of_findings(found):
    pairs, captions = twin_pictures(found, "duplicate across splits", 9)
    assert captions == ["test blob\ntrain blob"]
    np.testing.assert_array_equal(*pairs[0])
    assert pairs[0][0].shape == found.images.shape[1:]
    pairs, captions = twin_pictures(found, "duplicate", 2)
    assert len(pairs) == 2
    assert twin_pictures(found, "blurred", 3) == ([], [])
    assert found.picture("train/blob/cut.png") is None
    assert found.picture("no such file") is None


def test_folders_that_no_training_could_use(make_images, tmp_path):
    one = make_images(tmp_path / "one", {"blob": 3})
    said = audit(Experiment(data=str(one)))
    assert paths_of(said, "one class") == paths_of(said, "few images") == ["blob"]
    broken = tmp_path / "broken"
    (broken / "cat").mkdir(parents=True)
    (broken / "cat/1.jpg").write_bytes(b"")
    (broken / "cat/2.jpg").write_bytes(b"no picture")
    said = audit(Experiment(data=str(broken)))
    assert (said.files, said.accepted, said.rejected) == (2, 0, 2)
    assert said.findings["problem"].tolist() == [
        *("no usable image", "empty", "not an image", "empty class")
    ]
    with pytest.raises(InputError, match="nowhere"):
        audit(Experiment(data=str(tmp_path / "nowhere")))


def test_folders_that_can_be_read_in_two_ways(make_images, tmp_path):
    folder = make_images(tmp_path / "photos", {"blob": 3, "rows": 3})
    (folder / "blob").rename(folder / "train")
    (folder / "rows").rename(folder / "test1")
    first = audit(Experiment(data=str(folder))).findings.iloc[0]
    assert (first["severity"], first["problem"], first["path"]) == ("error", "unclear layout", "")
    with pytest.raises(InputError, match=r"two ways.*'train' and 'test1' would be classes"):
        load_data(Experiment(data=str(folder)))
    plain = audit(Experiment(data=str(folder), class_folders="plain"))
    assert "unclear layout" not in set(plain.findings["problem"])


def test_a_blurred_image_stands_out(tmp_path):
    generator = np.random.default_rng(0)
    for label in ("one", "two"):
        (tmp_path / label).mkdir()
        for number in range(30):
            rough = generator.integers(0, 256, (12, 12, 3), "uint8")
            image = Image.fromarray(rough).resize((128, 96), Image.Resampling.BICUBIC)
            if (label, number) == ("two", 7):
                image = Image.fromarray(rough[:3, :4]).resize((128, 96), Image.Resampling.BICUBIC)
            image.save(tmp_path / label / f"{number:02}.jpg", quality=90)
    said = audit(Experiment(data=str(tmp_path)))
    assert paths_of(said, "blurred") == said.findings["path"].tolist() == ["two/07.jpg"]


@pytest.mark.course  # 70,000 images are measured, which takes most of a minute
def test_a_known_data_set_is_audited_too():
    said = audit(Experiment(data="fashion_mnist"))
    assert said.files == said.accepted == 70_000
    assert set(said.findings["severity"]) <= {"error", "warning", "remark"}
    assert not said.findings["problem"].isin(["odd size", "odd shape"]).any()


def an_audit(findings: pd.DataFrame, leakage=None) -> Audit:
    table = pd.DataFrame({"path": [WILD, "a", "b"], "problem": ["damaged", "", ""]})
    nothing = np.zeros((0, 2, 2, 1), "uint8")
    experiment = Experiment(data="my photos")
    place = "/somewhere/my photos"
    return Audit("my photos", place, experiment, table, findings, nothing, np.arange(3), leakage)


@pytest.fixture
def wild() -> Audit:
    parts = [
        make_findings("damaged", [WILD], ["broken"], action="exclude"),
        make_findings("duplicate", ["b", "a"], ["same bytes as a", "…"], [("a",), ("b",)], "keep"),
        make_findings("class names alike", ["猫"], ["x" * 500]),
    ]
    return an_audit(sort_findings(parts))


def test_the_summary_is_aligned_and_most_severe_first(wild):
    lines = audit_lines(wild)
    assert lines[0] == "my photos: 3 files, 2 accepted, 1 rejected"
    head = lines[2]
    rows = lines[3:6]
    assert [row.split()[0] for row in rows] == ["error", "warning", "warning"]
    at = head.index("problem")
    assert [row[at : at + 9].rstrip() for row in rows] == ["damaged", "duplicate", "class nam"]
    assert [int(row[:at].split()[1]) for row in rows] == [1, 2, 1]
    assert all(len(row) < 190 for row in lines)
    text = "\n".join(lines)
    assert "imgclf audit 'my photos' --fix_list fixes.csv" in text
    assert "imgclf run 08 --data 'my photos'" in text
    assert "The same picture is there more than once. Keep one of them." in text


def test_nothing_in_a_name_reaches_the_terminal(wild):
    for line in audit_lines(wild):
        assert line.isprintable()
    assert any(r"\x1b[31mred\n\u202egpj.猫" in line for line in audit_lines(wild))
    assert printable("a\u200bb\udcff\U000e0041\t") == r"a\u200bb\udcff\U000e0041\t"
    assert printable("naïve 猫 😀") == "naïve 猫 😀"


def test_json_is_exact_and_adds_up(wild):
    said = json.loads(json.dumps(audit_json(wild)))
    assert (said["files"], said["accepted"], said["rejected"]) == (3, 2, 1)
    assert said["counts"] == {"error": 1, "warning": 3, "remark": 0}
    assert said["findings"][0] == {
        **{"path": WILD, "problem": "damaged", "detail": "broken"},
        **{"severity": "error", "related": []},
    }
    assert len(said["findings"]) == 4
    assert "leakage" not in said


def test_nothing_found():
    lines = audit_lines(an_audit(sort_findings([])))
    assert lines[-1] == "Nothing was found that needs a look."
    assert audit_json(an_audit(sort_findings([])))["findings"] == []


def test_leakage_is_told():
    leakage = SimpleNamespace(sentence="It leaks.", metrics={"with": 0.9})
    leaking = an_audit(sort_findings([]), leakage)
    assert "It leaks." in audit_lines(leaking)
    assert audit_json(leaking)["leakage"] == {"with": 0.9}
