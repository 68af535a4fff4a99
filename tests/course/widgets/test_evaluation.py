"""Confusions open and show the right images; pictures of one's own take the one pixel path."""

import io
import json
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.cli import main
from imgclf_lib.course.widgets import ConfusionExplorer, TryIt
from imgclf_lib.course.widgets.base import MOST_BYTES
from imgclf_lib.course.widgets.evaluation import DRAWING, LONGEST, OFFERED
from imgclf_lib.data import Split, load_data
from imgclf_lib.evaluation import Evaluation, evaluate, measure, predict_files
from imgclf_lib.evaluation.metrics import prediction_table
from imgclf_lib.experiment import Experiment
from imgclf_lib.plots import cell_images
from imgclf_lib.training import Run, train


def invent(
    classes: int = 3, count: int = 90, channels: int = 1, skill: float = 2.0, names=None
) -> Evaluation:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, count)
    powers = np.exp(generator.normal(size=(count, classes)) + skill * np.eye(classes)[labels])
    probabilities = (powers / powers.sum(1, keepdims=True)).astype("float32")
    images = generator.integers(0, 256, (count, 12, 12, channels), "uint8")
    split = Split("test", images, labels, np.array([f"{n}.png" for n in range(count)], object))
    names = names or tuple(f"class {number}" for number in range(classes))
    figures = measure(probabilities, labels, names)
    table = prediction_table(probabilities, split, names)
    return Evaluation(figures, table, probabilities, split, names)


def text(widget) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", widget.value)).strip()


def test_it_opens_at_the_most_frequent_confusion():
    result = invent()
    explorer = ConfusionExplorer(result)
    mistakes = np.array(result.metrics["confusion_matrix"])
    np.fill_diagonal(mistakes, 0)
    true, said = np.unravel_index(mistakes.argmax(), mistakes.shape)
    assert explorer.matrix.chosen == [true, said]
    assert (explorer.true.value, explorer.said.value) == (true, said)
    assert f"{mistakes.max()} images of class {true} taken for class {said}" in text(
        explorer.status
    )
    assert 'role="status"' in explorer.status.value
    assert not explorer.problem.value


def test_a_chosen_cell_opens():
    explorer = ConfusionExplorer(invent())
    before = explorer.images.png
    explorer.matrix.chosen = [2, 2]
    assert (explorer.true.value, explorer.said.value) == (2, 2)
    assert "of class 2, answered right. 1 to 12" in text(explorer.status)
    assert explorer.images.png != before
    assert explorer.often.value == ()
    count = int(explorer.matrix.alt != "") and explorer._count(explorer.answered)[2, 2]
    assert text(explorer.status).startswith(f"{count} images")


def test_the_menus_move_the_mark():
    explorer = ConfusionExplorer(invent())
    explorer.true.value = 1
    assert explorer.matrix.chosen[0] == 1
    explorer.often.value = explorer.pairs[-1][:2]
    assert explorer.matrix.chosen == list(explorer.pairs[-1][:2])
    assert (explorer.true.value, explorer.said.value) == explorer.pairs[-1][:2]


def test_pages_show_all_images_worst_first(monkeypatch):
    result = invent(2, 70)
    seen = []

    def remember(cell, images, page):
        seen.append(cell.index[page * 12 : page * 12 + 12].tolist())
        return cell_images(cell, images, page)

    monkeypatch.setattr("imgclf_lib.course.widgets.evaluation.cell_images", remember)
    explorer = ConfusionExplorer(result)
    explorer.matrix.chosen = [1, 1]
    sizes, pages = {tuple(explorer.images.size)}, [seen[-1]]
    assert explorer.previous.disabled
    while not explorer.following.disabled:
        explorer.following.click()
        pages.append(seen[-1])
        sizes.add(tuple(explorer.images.size))
    rows = [row for page in pages for row in page]
    table = result.predictions
    wanted = table[(table["label"] == "class 1") & (table["predicted"] == "class 1")]
    assert rows == wanted.sort_values("probability", ascending=False).index.tolist()
    assert len(sizes) == 1, "nothing jumps"
    explorer.previous.click()
    assert seen[-1] == pages[-2]


def test_an_empty_cell_says_so_at_the_same_size():
    explorer = ConfusionExplorer(invent(skill=9.0))
    assert not explorer.pairs
    assert "no mistakes" in explorer.often.options[0][0]
    size = explorer.images.size
    explorer.matrix.chosen = [0, 1]
    assert text(explorer.status) == "No images of class 0 taken for class 1."
    assert explorer.images.size == size
    assert explorer.previous.disabled
    assert explorer.following.disabled


@pytest.mark.parametrize("threshold", [0.0, 0.55, 0.8, 1.0])
def test_the_threshold_counts_right(threshold):
    result = invent(count=300)
    explorer = ConfusionExplorer(result)
    explorer.threshold.value = threshold
    sure = result.probabilities.max(1) >= threshold
    right = result.probabilities.argmax(1)[sure] == result.split.labels[sure]
    said = text(explorer.figures)
    assert said.startswith(f"{sure.mean():.1%} coverage")
    assert f"{sure.sum()} of 300 images" in said
    accuracy = f"{right.mean():.1%}" if sure.any() else "nothing is answered"
    assert f"{accuracy} accuracy of the answered" in said
    assert not explorer.problem.value


def test_the_threshold_moves_matrix_images_and_curve():
    explorer = ConfusionExplorer(invent(count=300))
    pictures = [each.png for each in (explorer.matrix, explorer.images, explorer.coverage)]
    count = int(text(explorer.status).split()[0])
    explorer.threshold.value = 0.7
    assert int(text(explorer.status).split()[0]) < count
    for old, new in zip(
        pictures, (explorer.matrix, explorer.images, explorer.coverage), strict=True
    ):
        assert old != new.png


def test_two_hundred_classes_stay_usable():
    result = invent(200, 3000, channels=3, skill=1.0)
    explorer = ConfusionExplorer(result)
    assert explorer.matrix.cells == [12, 12]
    assert len(explorer.true.options) == 200
    assert len(explorer.often.options) == 21
    missing = next(label for label in range(200) if label not in explorer.shown)
    explorer.true.value = missing
    assert missing in explorer.shown
    row, column = explorer.matrix.chosen
    assert (explorer.shown[row], explorer.shown[column]) == (missing, explorer.said.value)
    assert not explorer.problem.value


def test_two_classes_and_hostile_names():
    names = ("<script>alert(1)</script>", "$x & " + 200 * "y")
    explorer = ConfusionExplorer(invent(2, 40, names=names))
    for cell in ([0, 0], [0, 1], [1, 0], [1, 1]):
        explorer.matrix.chosen = cell
        assert "<script" not in explorer.status.value
        assert len(text(explorer.status)) < 200
    assert not explorer.problem.value


def test_a_real_run(trained, tmp_path):
    for path in trained.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    explorer = ConfusionExplorer(evaluate(Run(tmp_path)))
    assert not explorer.problem.value


def test_errors_are_shown(monkeypatch):
    explorer = ConfusionExplorer(invent())
    monkeypatch.setattr(explorer, "_show_cell", lambda: 1 / 0)
    explorer.matrix.chosen = [1, 2]
    assert "ZeroDivisionError" in explorer.problem.value
    assert not explorer._busy, "the next choice works again"


OUTLINE = [[0.3, 0.1], [0.7, 0.1], [0.7, 0.9], [0.3, 0.9], [0.3, 0.1]]


@pytest.fixture
def bench(trained: Run) -> TryIt:
    return TryIt(trained)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A colour photo that lies on its side."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), "uint8")
    note = Image.Exif()
    note[0x0112] = 6
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, exif=note)
    return path


def upload(bench: TryIt, name: str, content: bytes, size: int | None = None) -> None:
    """What the page does when a file was chosen."""
    bench.upload.set_state(
        {
            "name": name,
            "size": len(content) if size is None else size,
            "content": memoryview(content),
            "number": bench.upload.number + 1,
        }
    )


def names(bench: TryIt) -> list[str]:
    return [name for name, _ in bench.menu.options]


def test_opens_with_the_first_validation_image(bench: TryIt, tiny: Experiment) -> None:
    first = load_data(tiny).val.sample(OFFERED)
    assert bench.problem.value == ""
    np.testing.assert_array_equal(bench.prediction.seen, first.images[0])
    assert f"{bench.prediction.probabilities.iloc[0]:.1%}" in bench.status.value
    assert 'role="status"' in bench.status.value
    assert bench.picture.png.startswith(b"\x89PNG")
    assert bench.picture.alt.startswith("validation 1, in truth ")
    assert len(bench.menu.options) == OFFERED


def test_the_menu_shows_other_images_in_a_picture_of_the_same_size(bench: TryIt) -> None:
    before, size = bench.picture.png, bench.picture.size
    bench.menu.value = 3
    assert bench.picture.png != before
    assert bench.picture.size == size
    assert "validation 4" in bench.picture.alt


def test_one_file_has_the_same_probabilities_everywhere(
    bench: TryIt, trained: Run, photo: Path, capsys: pytest.CaptureFixture
) -> None:
    bench.path.value = str(photo)
    assert bench.problem.value == ""
    by_path = bench.prediction.probabilities
    upload(bench, "x", photo.read_bytes())
    by_upload = bench.prediction.probabilities
    table = predict_files(trained, [photo]).table
    assert main(["predict", str(trained.folder), str(photo), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["predictions"]
    for found in (by_path, by_upload):
        assert found.index.tolist() == table["class"].tolist()
        assert found.tolist() == table["probability"].tolist()
        assert found.tolist() == [each["probability"] for each in printed]
    assert bench.prediction.given.shape == (50, 30, 3)  # turned as the file says
    assert bench.prediction.seen.shape == (24, 24, 1)


def test_a_folder_fills_the_menu(bench: TryIt, tmp_path: Path, photo: Path) -> None:
    examples = names(bench)
    Image.new("L", (9, 9)).save(tmp_path / "black.png")
    (tmp_path / "notes.txt").write_text("no image")
    bench.path.value = f" {tmp_path} "
    assert names(bench) == ["black.png", "photo.jpg"]
    assert bench.prediction.given.shape == (9, 9)
    bench.menu.value = 1
    assert bench.prediction.given.shape == (50, 30, 3)
    bench.path.value = ""
    assert names(bench) == examples


def test_a_large_folder_says_how_much_of_it_is_offered(
    bench: TryIt, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgclf_lib.course.widgets.evaluation.MOST_FILES", 5)
    bench.path.value = str(images / "rows")
    assert len(names(bench)) == 5
    assert "(the first 5 of 24 files)" in bench.status.value
    bench.path.value = ""
    assert "the first" not in bench.status.value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty: the file has no bytes"),
        (b"Dear diary", "not an image: its content is text"),
        ("half", "damaged: "),
        ("bomb", "too large: "),
    ],
)
def test_damaged_files_show_their_reason(
    bench: TryIt, photo: Path, tmp_path: Path, content: bytes | str, reason: str
) -> None:
    if content == "half":
        content = photo.read_bytes()[: photo.stat().st_size // 2]
    elif content == "bomb":
        packed = io.BytesIO()
        Image.new("1", (1, 1)).save(packed, "PNG")
        whole = bytearray(packed.getvalue())
        whole[16:24] = (20_000).to_bytes(4, "big") * 2  # what the header says
        whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
        content = bytes(whole)
    for give in (
        lambda: upload(bench, "bad.jpg", content),
        lambda: setattr(bench.path, "value", str(tmp_path / "bad.jpg")),
    ):
        (tmp_path / "bad.jpg").write_bytes(content)
        bench.menu.value = len(bench.menu.options) - 1
        give()
        assert "bad.jpg" in bench.problem.value
        assert reason in bench.problem.value
        assert "Where it happened" not in bench.problem.value
        assert bench.prediction is None
        assert "No prediction." in bench.status.value
        bench.menu.value = len(bench.menu.options) - 1
        assert bench.problem.value == ""
        assert bench.prediction is not None


def test_a_large_upload_is_refused_with_a_way_out(bench: TryIt) -> None:
    before = names(bench)
    upload(bench, "video.mp4", b"", MOST_BYTES + 1)
    assert "too large to upload" in bench.problem.value
    assert "file or folder" in bench.problem.value
    assert names(bench) == before


def test_paths_that_lead_nowhere(bench: TryIt, tmp_path: Path) -> None:
    bench.path.value = str(tmp_path / "nowhere")
    assert "There is no file or folder" in bench.problem.value
    bench.path.value = str(tmp_path)
    assert "There is no image in the folder" in bench.problem.value


def test_a_drawing_is_predicted_changed_and_taken_back(bench: TryIt) -> None:
    bench.sketch.strokes = [OUTLINE]
    assert names(bench)[0] == DRAWING
    drawn = bench.prediction.probabilities
    filled = bench.prediction.seen.mean()
    bench.fill_shape.value = not bench.fill_shape.value
    assert bench.prediction.seen.mean() != filled
    assert not bench.prediction.probabilities.equals(drawn)
    dark = bench.sketch.dark
    corner = int(bench.prediction.seen[0, 0, 0])
    bench.invert.value = True
    assert bench.sketch.dark != dark
    assert int(bench.prediction.seen[0, 0, 0]) == 255 - corner
    ink = bench.prediction.seen.astype(int)
    bench.brush.value = 0.16
    assert bench.sketch.brush == 0.16
    assert (bench.prediction.seen != ink).any()
    bench.sketch.strokes = [OUTLINE, [[0.1, 0.1]]]
    assert names(bench).count(DRAWING) == 1
    bench.sketch.strokes = []
    assert DRAWING not in names(bench)
    assert bench.picture.alt.startswith("validation 1,")


def test_settings_of_the_pen_leave_other_pictures_alone(bench: TryIt) -> None:
    bench.sketch.strokes = [OUTLINE]
    bench.menu.value = 2
    before = bench.picture.png
    bench.brush.value = 0.1
    assert bench.picture.png == before


def test_names_are_shown_and_never_interpreted(trained: Run, tmp_path: Path, photo: Path) -> None:
    nasty = "<script>alert(1)</script> $x$ & " + "long " * 30
    bench = TryIt(trained)
    upload(bench, nasty, photo.read_bytes())
    assert "<script" not in bench.status.value
    assert bench.menu.options[0][0].startswith("<script>")  # a menu shows text as text
    assert len(bench.menu.options[0][0]) == LONGEST
    upload(bench, nasty, b"broken")
    assert "&lt;script&gt;" in bench.problem.value
    assert "<script" not in bench.problem.value
    strange = tmp_path / "odd"
    strange.mkdir()
    (strange / "bad\udcff\nname.png").write_bytes(b"no image")
    bench.path.value = str(strange)
    bench.menu.options[0][0].encode("utf-8")  # what cannot be encoded would break the connection
    bench.problem.value.encode("utf-8")
    assert "cannot be decoded" in bench.problem.value


@pytest.mark.parametrize(("classes", "channels"), [(2, 3), (40, 1)])
def test_other_numbers_of_classes_and_colour(
    classes: int, channels: int, tmp_path: Path, photo: Path
) -> None:
    generator = np.random.default_rng(0)
    for number in range(classes):
        folder = tmp_path / "data" / (f"<b>{number}</b> & $cats$ " + "long " * 9)
        folder.mkdir(parents=True)
        for each in range(6):
            shape = (16, 16, 3)[: 2 if channels == 1 else 3]
            pixels = generator.integers(0, 256, shape, "uint8")
            Image.fromarray(pixels).save(folder / f"{each}.png")
    experiment = Experiment(
        data=str(tmp_path / "data"), filters=(4,), dense_units=(), epochs=1, image_size=16
    )
    run = train(experiment, out=tmp_path / "run", progress="none")
    bench = TryIt(run)
    assert bench.problem.value == ""
    assert len(bench.prediction.probabilities) == classes
    assert "<b>0" not in bench.status.value
    assert bench.prediction.seen.shape == (16, 16, channels)
    bench.sketch.strokes = [OUTLINE]
    bench.path.value = str(photo)
    assert bench.problem.value == ""


def test_works_without_the_data_of_the_run(trained: Run, tmp_path: Path, photo: Path) -> None:
    run = Run(shutil.copytree(trained.folder, tmp_path / "elsewhere"))
    away = run.experiment.replace(data="/gone").to_json()
    (run.folder / "experiment.json").write_text(away)
    bench = TryIt(Run(run.folder))
    assert "/gone" in bench.problem.value
    assert names(bench) == []
    assert "No prediction." in bench.status.value
    bench.path.value = str(photo)
    assert bench.problem.value == ""
    assert bench.prediction is not None
    bench.sketch.strokes = [OUTLINE]
    bench.sketch.strokes = []
    assert bench.problem.value == ""
