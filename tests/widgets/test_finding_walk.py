"""The walk: every finding can be reached, every decision lands in the fix list, nothing in data."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hostile.defects import write_defects
from imgclf_lib.audit import Audit, audit
from imgclf_lib.catalog import COLUMNS
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.findings import FINDINGS, make_findings, sort_findings
from imgclf_lib.fixes import read_fixes
from imgclf_lib.widgets.finding_walk import FindingWalk, finding_picture


@pytest.fixture(scope="module")
def mess(tmp_path_factory) -> Audit:
    folder = tmp_path_factory.mktemp("m") / "mess"
    images = list(np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), "uint8"))
    write_defects(folder, images, ["cat", "dog", "猫 <b>&"] * 4, splits=True)
    return audit(Experiment(data=str(folder)))


@pytest.fixture
def walk(mess: Audit, tmp_path: Path) -> FindingWalk:
    made = FindingWalk(mess, str(tmp_path / "fixes.csv"))
    assert made.problem.value == ""
    return made


def made_audit(rows: list[tuple], findings: pd.DataFrame) -> Audit:
    """An audit without files behind it; rows are path, label and problem."""
    values = {
        **dict.fromkeys(COLUMNS, ""),
        **dict.fromkeys(("width", "height", "brightness", "sharpness"), 8),
    }
    table = pd.DataFrame(
        [{**values, "path": path, "label": label, "problem": why} for path, label, why in rows],
        columns=COLUMNS,
    )
    places = np.where(table["problem"] == "", np.arange(len(table)), -1)
    images = np.random.default_rng(0).integers(0, 256, (len(table), 8, 8, 3), "uint8")
    return Audit("made", "/nowhere/made", Experiment(), table, findings, images, places)


def test_buttons_and_number_lead_to_every_finding(walk):
    count = len(walk.found.findings)
    assert count > 100
    assert f"1 of {count:,}" in walk.status.value
    seen = [walk.finding.name]
    while not walk.buttons["Next"].disabled:
        walk.buttons["Next"].click()
        assert walk.problem.value == ""
        seen.append(walk.finding.name)
        assert walk.finding["problem"] in walk.status.value
    assert seen == list(range(count))
    walk.buttons["First"].click()
    assert walk.finding.name == 0
    assert walk.buttons["Previous"].disabled
    walk.buttons["Last"].click()
    assert walk.finding.name == count - 1
    walk.buttons["Previous"].click()
    assert walk.finding.name == count - 2
    walk.number.value = 7
    assert walk.finding.name == 6


def test_menus_choose_kinds_and_severities_with_their_counts(walk):
    findings = walk.found.findings
    walk.number.value = 9
    for label, kind in walk.kind.options[1:]:
        walk.kind.value = kind
        rows = findings[findings["problem"] == kind]
        assert label == f"{kind} ({len(rows):,})"
        assert (walk.number.value, walk.number.max) == (1, len(rows))
        assert walk.finding.equals(rows.iloc[0])
        assert walk.problem.value == ""
    walk.kind.value = "damaged"
    walk.severity.value = "remark"
    assert walk.finding is None
    assert "No such finding" in walk.status.value
    assert walk.action.disabled
    assert all(button.disabled for button in walk.buttons.values())
    walk.kind.value = ""
    assert set(walk.shown["severity"]) == {"remark"}


def test_the_picture_shows_twins_and_reasons_and_keeps_its_size(walk):
    walk.kind.value = "duplicate across splits"
    size, png = walk.picture.size, walk.picture.png
    figure, alt = finding_picture(walk.found, walk.finding)
    titles = [axes.get_title() for axes in figure.axes]
    assert len([title for title in titles if title.strip()]) >= 2
    assert titles[0].startswith("leaked.png\ntest\n")
    assert alt == walk.picture.alt
    assert alt.startswith(f"{1 + len(walk.finding['related'][:5])} images. duplicate across")
    walk.kind.value = "damaged"
    assert walk.picture.alt.startswith("No picture. damaged: ")
    assert walk.finding["detail"].split(":")[0] in walk.status.value
    assert walk.picture.size == size
    assert walk.picture.png != png
    titles = [axes.get_title() for axes in finding_picture(walk.found, walk.finding)[0].axes]
    assert "\nno picture" in titles[0]


def test_findings_about_classes_show_images_of_the_class():
    rows = [(f"train/{label}/{n}.png", label, "") for label in "ab" for n in range(9)]
    found = sort_findings(
        [
            make_findings("few images", ["train/b"], ["class 'b' has 9 images"]),
            make_findings("class missing from a split", ["a"], ["class 'a' has no image in val"]),
        ]
    )
    source = made_audit(rows, found)
    for _, row in found.iterrows():
        figure, alt = finding_picture(source, row)
        assert alt.startswith(f"6 images. {row['problem']}")
        assert {axes.get_title().split()[1] for axes in figure.axes} == {row["path"][-1]}


def test_decisions_land_in_the_list(walk, mess, tmp_path):
    before = walk.fixes.copy()
    walk.kind.value = "duplicate across splits"
    path = walk.finding["path"]
    assert walk.action.value == before.loc[path, "action"]
    assert walk.origin.value == "suggested by the audit"
    assert walk.label.disabled
    walk.action.value = "relabel"
    assert not walk.label.disabled
    walk.label.value = "猫 <b>&"
    assert walk.origin.value == "decided by you"
    assert walk.fixes.loc[path, "action"] == "relabel"
    assert "relabel 1; decided by you: 1" in walk.counts.value
    walk.buttons["Next"].click()
    other = walk.finding["path"]
    walk.action.value = "exclude" if walk.action.value == "keep" else "keep"
    walk.buttons["Previous"].click()
    assert (walk.action.value, walk.label.value) == ("relabel", "猫 <b>&")
    walk.save.click()
    assert walk.problem.value == ""
    assert "fixes.csv" in walk.written.value
    written = read_fixes(tmp_path / "fixes.csv").set_index("path")
    assert written.loc[path, ["action", "label"]].tolist() == ["relabel", "猫 <b>&"]
    assert written.loc[other, "action"] != before.loc[other, "action"]
    rest = written.index.difference([path, other])
    assert len(written) == len(before)
    assert written.loc[rest, "action"].equals(before.loc[rest, "action"].astype("str"))
    fixed = audit(mess.experiment.replace(fixes=str(tmp_path / "fixes.csv")))
    assert fixed.table.set_index("path").loc[path, "label"] == "猫 <b>&"


def test_going_from_relabel_back_to_keep_leaves_no_class(walk):
    walk.kind.value = "duplicate"
    walk.action.value = "relabel"
    assert walk.fixes.loc[walk.finding["path"], "label"] == walk.label.value != ""
    walk.action.value = "keep"
    assert walk.fixes.loc[walk.finding["path"], ["action", "label"]].tolist() == ["keep", ""]
    assert walk.label.disabled


def test_only_files_that_a_list_can_change_have_a_decision(walk):
    for kind in ("hidden", "class imbalance", "few images", "no class"):
        if kind in dict(walk.kind.options).values():
            walk.kind.value = kind
            assert walk.action.disabled, kind
            assert "Nothing can be decided" in walk.origin.value


def test_walking_alone_decides_nothing(walk):
    before = walk.fixes.copy()
    for _ in range(30):
        walk.buttons["Next"].click()
    pd.testing.assert_frame_equal(walk.fixes, before)
    assert walk.decided == set()


def test_nothing_is_overwritten_and_nothing_written_into_the_data(walk, mess, tmp_path):
    walk.place.value = str(Path(mess.place) / "train" / "fixes.csv")
    walk.save.click()
    assert "inside the folder of images" in walk.problem.value
    assert not (Path(mess.place) / "train" / "fixes.csv").exists()
    (tmp_path / "mine.csv").write_text("mine")
    walk.place.value = str(tmp_path / "mine.csv")
    walk.save.click()
    assert "is there already" in walk.problem.value
    assert (tmp_path / "mine.csv").read_text() == "mine"
    walk.place.value = "  "
    walk.save.click()
    assert "needs a name" in walk.problem.value
    walk.place.value = str(tmp_path / "mine.csv" / "below.csv")
    walk.save.click()
    assert "cannot be written" in walk.problem.value
    assert "Traceback" not in walk.problem.value
    walk.place.value = str(tmp_path / "new folder" / "fixes.csv")
    walk.save.click()
    assert walk.problem.value == ""
    assert (tmp_path / "new folder" / "fixes.csv").is_file()


def test_a_clean_folder():
    rows = [(f"{label}/{number}.png", label, "") for label in "ab" for number in range(5)]
    walk = FindingWalk(made_audit(rows, sort_findings([])))
    assert walk.problem.value == ""
    assert walk.finding is None
    assert "Nothing was found" in walk.status.value
    assert walk.action.disabled
    for button in walk.buttons.values():
        button.click()
    assert walk.problem.value == ""
    assert "decided by you: 0" in walk.counts.value


def test_ten_thousand_hostile_findings_without_waiting():
    name = "<script>alert(1)</script> & $x$ \u202e 猫 "
    labels = [f"{name}{number}" for number in range(200)]
    rows = [(f"{labels[n % 200]}/{n}\n.png", labels[n % 200], "") for n in range(12_000)]
    paths = [path for path, _, _ in rows[:10_000]]
    related = [(rows[-1 - n][0],) for n in range(10_000)]
    details = [f"nearly the same as <b>{n}" for n in range(10_000)]
    found = sort_findings(
        [
            make_findings("near-duplicate", paths[:5000], details[:5000], related[:5000], "keep"),
            make_findings("duplicate", paths[5000:], details[5000:], related[5000:], "exclude"),
        ]
    )
    source = made_audit(rows, found)
    walk = FindingWalk(source)
    started = time.process_time()
    for _ in range(5):
        walk.buttons["Next"].click()
    walk.kind.value = "near-duplicate"
    walk.buttons["Last"].click()
    assert (time.process_time() - started) / 7 < 1
    assert walk.problem.value == ""
    assert len(walk.label.options) == 200
    assert max(len(label) for label, _ in walk.label.options) <= 40
    assert "5,000 of 5,000" in walk.status.value
    assert "<script>" not in walk.status.value + walk.counts.value
    assert "&lt;script&gt;" in walk.status.value
    walk.action.value = "relabel"
    walk.label.value = labels[150]
    assert walk.fixes.loc[walk.finding["path"], "label"] == labels[150]


def test_where_nothing_could_be_decoded():
    rows = [("a/1.jpg", "a", "damaged"), ("a/2.jpg", "a", "empty"), ("b/3.jpg", "b", "empty")]
    paths, problems = [path for path, _, _ in rows], [why for _, _, why in rows]
    found = sort_findings(
        [
            make_findings(problems, paths, ["why"] * 3, action="exclude"),
            make_findings("no usable image", [""], ["3 files"]),
        ]
    )
    walk = FindingWalk(made_audit(rows, found))
    for _ in range(4):
        assert walk.problem.value == ""
        assert walk.picture.alt.startswith("No picture")
        walk.buttons["Next"].click()


def test_errors_are_shown(walk, monkeypatch):
    def broken(*_: object) -> None:
        raise InputError("The <picture> is gone")

    monkeypatch.setattr("imgclf_lib.widgets.finding_walk.finding_picture", broken)
    walk.buttons["Next"].click()
    assert "The &lt;picture&gt; is gone" in walk.problem.value


def test_every_kind_has_words(walk):
    for kind in dict(walk.kind.options).values():
        assert kind == "" or FINDINGS[kind].meaning
