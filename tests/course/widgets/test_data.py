"""Widgets about images: page through them, augment them, walk through findings."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hostile.defects import write_defects
from imgclf_lib.audit import FINDINGS, Audit, audit
from imgclf_lib.audit.findings import make_findings, sort_findings
from imgclf_lib.course.widgets import (
    AugmentationPreview,
    FindingWalk,
    ImageExplorer,
    finding_picture,
)
from imgclf_lib.course.widgets.data import EVERY, MEANINGS, ORDERS, PAGE
from imgclf_lib.data import ImageData, load_data, read_fixes, sort_images
from imgclf_lib.data.listing import COLUMNS
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import augment


@pytest.fixture(scope="module")
def grey(images: Path) -> ImageData:
    return load_data(Experiment(data=str(images), validation_fraction=0.2))


@pytest.fixture
def explorer(grey: ImageData) -> ImageExplorer:
    made = ImageExplorer(grey)
    assert made.problem.value == ""
    return made


def many_classes(tmp_path: Path, names: list[str], count: int) -> ImageData:
    """Classes of a few tiny images each, without files behind them."""
    generator = np.random.default_rng(0)
    rows = [
        (f"{split}/{name}/{number}", name, split, 8, 8, "L", f"{split}{name}{number}", "")
        for split in ("train", "val")
        for name in names
        for number in range(count)
    ]
    columns = ["path", "label", "split", "width", "height", "mode", "hash", "problem"]
    for split in ("train", "val"):
        pixels = generator.integers(0, 256, (len(names) * count, 8, 8, 1), "uint8")
        np.save(tmp_path / f"{split}.npy", pixels)
    return ImageData("made", tuple(names), pd.DataFrame(rows, columns=columns), "", tmp_path)


def test_buttons_and_slider_turn_pages(explorer):
    pages = -(-len(explorer.source.train) // PAGE)
    assert (explorer.page.value, explorer.page.max) == (1, pages)
    assert pages >= 2
    seen = [explorer.picture.png]
    explorer.buttons["Next"].click()
    assert explorer.page.value == 2
    seen.append(explorer.picture.png)
    assert f"{PAGE + 1} to " in explorer.status.value
    explorer.buttons["First"].click()
    assert explorer.picture.png == seen[0] != seen[1]
    explorer.buttons["Previous"].click()
    assert explorer.page.value == 1
    explorer.buttons["Last"].click()
    assert explorer.page.value == pages
    explorer.buttons["Next"].click()
    assert explorer.page.value == pages
    explorer.page.value = 2
    assert explorer.picture.png == seen[1]


def test_all_pages_together_show_every_image_once(explorer):
    rows = []
    for page in range(1, explorer.page.max + 1):
        explorer.page.value = page
        rows += explorer.shown["row"].tolist()
    assert sorted(rows) == list(range(len(explorer.source.train)))


@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_those_of_the_library(explorer, order):
    by, backwards = ORDERS[order]
    explorer.order.value = order
    expected = sort_images(explorer.source, "train", None, by)
    expected = expected.iloc[::-1] if backwards else expected
    pd.testing.assert_frame_equal(explorer.shown, expected.head(PAGE))
    assert MEANINGS[by] in explorer.picture.alt
    assert MEANINGS[by] in explorer.status.value
    steps = np.diff(explorer.shown["value"])
    assert by == "chance" or (steps <= 0 if backwards else steps >= 0).all()


def test_class_and_split_choose_images(explorer):
    explorer.page.value = 2
    explorer.label.value = 1
    assert explorer.page.value == 1
    assert set(explorer.shown["label"]) == {explorer.source.class_names[1]}
    explorer.split.value = "val"
    assert set(explorer.shown["path"]) <= set(explorer.source.val.paths)
    assert "validation images" in explorer.status.value
    assert "test" not in dict(explorer.split.options).values()


def test_the_picture_keeps_its_size(explorer):
    size = explorer.picture.size
    for label in (1, EVERY):
        explorer.label.value = label
        explorer.buttons["Last"].click()
        assert explorer.picture.size == size


def test_paths_are_listed_on_request(explorer):
    assert explorer.paths.layout.display == "none"
    explorer.want_paths.value = True
    assert explorer.paths.layout.display is None
    assert explorer.shown["path"].iloc[0] in explorer.paths.value
    explorer.buttons["Next"].click()
    assert f'start="{PAGE + 1}"' in explorer.paths.value
    assert explorer.shown["path"].iloc[0] in explorer.paths.value


def test_colour_images_with_their_own_splits(split_images):
    source = load_data(Experiment(data=str(split_images)))
    explorer = ImageExplorer(source, "size of the file: largest first")
    assert explorer.problem.value == ""
    assert (explorer.shown["value"] == 24 * 24).all()


def test_two_hundred_hostile_classes(tmp_path):
    names = [f"<script>{number}</script> & $x$ {'long ' * 40}" for number in range(200)]
    explorer = ImageExplorer(many_classes(tmp_path, names, 2))
    size = explorer.picture.size
    assert len(explorer.label.options) == 201
    explorer.want_paths.value = True
    for label in (0, 199):
        explorer.label.value = label
        assert explorer.problem.value == ""
        assert len(explorer.shown) == 2
        assert "<script>" not in explorer.status.value + explorer.paths.value
        assert "&lt;script&gt;" in explorer.paths.value
        assert len(explorer.status.value) < 400
    assert explorer.picture.size == size


def test_a_class_without_validation_images(tmp_path):
    source = many_classes(tmp_path, ["a", "b"], 3)
    table = source.table
    table.loc[table["split"] == "val", "label"] = "a"
    explorer = ImageExplorer(source)
    size = explorer.picture.size
    explorer.split.value = "val"
    explorer.label.value = 1
    for order in ORDERS:
        explorer.order.value = order
        assert explorer.problem.value == ""
        assert "No images" in explorer.status.value
    assert explorer.picture.size == size
    explorer.buttons["Next"].click()
    assert explorer.page.value == 1


def test_errors_of_the_explorer_are_shown(explorer, monkeypatch):
    def broken(*_: object) -> None:
        raise InputError("The <table> is gone")

    monkeypatch.setattr("imgclf_lib.course.widgets.data.sort_images", broken)
    explorer.label.value = 2
    assert "The &lt;table&gt; is gone" in explorer.problem.value


STRENGTHS = {
    **{"flip": "both", "shift": 0.2, "rotate": 30.0, "zoom": 0.3},
    **{"brightness": 0.4, "contrast": 0.5, "random_erasing": 0.4},
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), "uint8")


@pytest.fixture
def preview(pixels: np.ndarray) -> AugmentationPreview:
    return AugmentationPreview(Experiment(), pixels)


def test_nothing_is_changed_at_first(preview, pixels):
    assert preview.problem.value == ""
    np.testing.assert_array_equal(preview.before, pixels[:8])
    np.testing.assert_array_equal(preview.after, pixels[:8])
    assert "<code>Experiment()</code>" in preview.call.value
    assert "with nothing" in preview.picture.alt


@pytest.mark.parametrize(("name", "value"), STRENGTHS.items())
def test_each_control_changes_the_lower_row(preview, pixels, name, value):
    picture, size = preview.picture.png, preview.picture.size
    preview.controls.controls[name].value = value
    assert preview.problem.value == ""
    assert preview.picture.png != picture
    assert preview.picture.size == size
    np.testing.assert_array_equal(preview.before, pixels[:8])
    expected = augment(pixels[:8], Experiment(**{name: value}))
    np.testing.assert_array_equal(preview.after, expected)
    assert preview.experiment == Experiment(**{name: value})


def test_the_call_is_equal_to_the_sliders(preview):
    for name, value in STRENGTHS.items():
        preview.controls.controls[name].value = value
    call = preview.call.value.partition("<code>")[2].partition("</code>")[0]
    written = eval(call.replace("&#x27;", "'"), {"Experiment": Experiment})
    assert written == preview.experiment == Experiment(**STRENGTHS)


def test_another_throw_gives_others_and_the_same_throw_the_same(pixels):
    start = Experiment(shift=0.2, rotate=20.0, seed=3)
    preview, again = (AugmentationPreview(start, pixels) for _ in range(2))
    first = preview.after
    np.testing.assert_array_equal(first, again.after)
    preview.again.click()
    assert (preview.after != first).any()
    again.again.click()
    np.testing.assert_array_equal(preview.after, again.after)


def test_a_split_few_images_and_grey_ones(images):
    train = load_data(Experiment(data=str(images))).train
    assert AugmentationPreview(Experiment(zoom=0.2), train).before.shape == (8, 24, 24, 1)
    three = AugmentationPreview(Experiment(zoom=0.2), train.images[:3])
    assert three.after.shape == (3, 24, 24, 1)
    assert three.problem.value == ""


def test_no_image_is_an_error(pixels):
    with pytest.raises(InputError, match="no image"):
        AugmentationPreview(Experiment(), pixels[:0])


def test_errors_of_the_preview_are_shown(preview, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("no <dice>")

    monkeypatch.setattr("imgclf_lib.course.widgets.data.augment", broken)
    preview.again.click()
    assert "no &lt;dice&gt;" in preview.problem.value


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
    assert f"1 of {len(walk.found.findings):,}" in walk.status.value
    walk.kind.value = "damaged"
    rows = walk.found.findings.index[walk.found.findings["problem"] == "damaged"]
    count = len(rows)
    assert count > 10
    seen = [walk.finding.name]
    while not walk.buttons["Next"].disabled:
        walk.buttons["Next"].click()
        assert walk.problem.value == ""
        seen.append(walk.finding.name)
        assert walk.finding["problem"] in walk.status.value
    assert seen == list(rows)
    walk.buttons["First"].click()
    assert walk.finding.name == rows[0]
    assert walk.buttons["Previous"].disabled
    walk.buttons["Last"].click()
    assert walk.finding.name == rows[-1]
    walk.buttons["Previous"].click()
    assert walk.finding.name == rows[-2]
    walk.number.value = 7
    assert walk.finding.name == rows[6]


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
    walk.kind.value = EVERY
    assert set(walk.shown["severity"]) == {"remark"}


def test_the_picture_shows_twins_and_reasons_and_keeps_its_size(walk):
    walk.kind.value = "duplicate across splits"
    size, png = walk.picture.size, walk.picture.png
    figure, alt = finding_picture(walk.found, walk.finding)
    titles = [axes.get_title() for axes in figure.axes]
    assert len([title for title in titles if title.strip()]) >= 2
    assert titles[0].startswith("leaked.png\ntest\n")
    framed = 1 + len(walk.finding["related"][:5])  # no frame stands round nothing
    assert [axes.axison for axes in figure.axes] == [place < framed for place in range(6)]
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
    for _ in range(8):
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


def test_errors_of_the_walk_are_shown(walk, monkeypatch):
    def broken(*_: object) -> None:
        raise InputError("The <picture> is gone")

    monkeypatch.setattr("imgclf_lib.course.widgets.data.finding_picture", broken)
    walk.buttons["Next"].click()
    assert "The &lt;picture&gt; is gone" in walk.problem.value


def test_every_kind_has_words(walk):
    for kind in dict(walk.kind.options).values():
        assert kind == EVERY or FINDINGS[kind].meaning
