"""Predicting files; drawings take the manner of the images of a data set."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.evaluation import Manner, draw_strokes, manner_of, predict_files, predict_image
from imgclf_lib.evaluation.prediction import DRAWING, PIECE
from imgclf_lib.files import decode
from imgclf_lib.network import predict_probabilities
from imgclf_lib.training import Run


def test_files_get_the_probabilities_of_their_arrays(trained, tiny, images):
    test = load_data(tiny).test
    wanted = predict_probabilities(trained.model, test.images)
    found = predict_files(trained, [images / path for path in test.paths])
    assert found.problems.empty
    for number, path in enumerate(test.paths):
        rows = found.table[found.table["path"] == str(images / path)]
        assert rows["rank"].tolist() == [1, 2, 3]
        order = np.argsort(-wanted[number])
        assert rows["class"].tolist() == [trained.class_names[label] for label in order]
        np.testing.assert_allclose(rows["probability"], wanted[number][order], atol=1e-5)


def test_files_are_resized_as_the_run_says(trained, tmp_path):
    wide = np.random.default_rng(0).integers(0, 256, (12, 48), "uint8")
    path = tmp_path / "wide.png"
    Image.fromarray(wide).save(path)
    ways = {
        how: predict_probabilities(trained.model, decode(path, 24, 1, how).pixels[np.newaxis])[0]
        for how in ("pad", "crop", "squash")
    }
    assert trained.experiment.resize == "pad"
    found = predict_files(trained, [path]).table.set_index("class")["probability"]
    np.testing.assert_allclose(found[list(trained.class_names)], ways["pad"], atol=1e-5)
    assert all(np.abs(ways[how] - ways["pad"]).max() > 1e-3 for how in ("crop", "squash"))


@pytest.mark.parametrize(("top", "ranks"), [(1, [1]), (2, [1, 2]), (99, [1, 2, 3])])
def test_top(top, ranks, trained, images):
    found = predict_files(trained, [images / "rows" / "000.png"], top)
    assert found.table["rank"].tolist() == ranks
    assert list(found.table) == ["path", "rank", "class", "probability"]


def test_a_folder_means_what_training_takes_of_it(trained, images, tmp_path):
    content = (images / "blob" / "000.png").read_bytes()
    (tmp_path / "far").mkdir()
    folder = tmp_path / "new"
    (folder / "deep").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    taken = ("a.PNG", "b.png", "deep/c.png", "linked/far.png", "no_ending", "notes.txt")
    (folder / "linked").symlink_to(tmp_path / "far")
    for name in (*taken, ".hidden.png", "._a.PNG", ".ipynb_checkpoints/a-checkpoint.png"):
        (folder / name).write_bytes(content)
    (folder / "linked" / "around").symlink_to(folder)  # a circle
    found = predict_files(trained, [folder], top=1)
    assert found.table["path"].tolist() == [str(folder / name) for name in taken]
    assert found.table["probability"].nunique() == 1
    assert found.problems["problem"].str.startswith("link: ").tolist() == [True]


def test_what_is_no_image_by_name_and_content_is_told_apart(trained, images, tmp_path):
    (tmp_path / "a.png").write_bytes((images / "blob" / "000.png").read_bytes())
    (tmp_path / "b.png").write_bytes(b"some text")
    (tmp_path / "notes.txt").write_bytes(b"some text")
    found = predict_files(trained, [tmp_path], top=1)
    assert len(found.table) == 1
    kinds = [each.partition(":")[0] for each in found.problems["problem"]]
    assert kinds == ["not an image", "unknown extension"]
    named = predict_files(trained, [tmp_path / "notes.txt"]).problems
    assert named["problem"].str.startswith("not an image").all(), "whoever names it wants it"


def test_names_that_are_no_text_stop_nothing(trained, images, tmp_path):
    content = (images / "blob" / "000.png").read_bytes()
    odd = tmp_path / os.fsdecode(b"\xff.png")
    try:
        odd.write_bytes(content)
    except OSError:
        pytest.skip("this file system refuses such names")
    (tmp_path / "a.png").write_bytes(content)
    found = predict_files(trained, [tmp_path], top=1)
    assert found.table["path"].tolist() == [str(tmp_path / "a.png")]
    assert found.problems["problem"].str.startswith("bad name").all()
    named = predict_files(trained, [odd], top=1)
    assert named.table["path"].str.endswith(r"\xff.png").all()


def test_broken_files_are_reported_and_the_others_predicted(trained, images, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    good = images / "rows" / "001.png"
    found = predict_files(trained, [bad, good], top=1)
    assert found.table["path"].tolist() == [str(good)]
    assert found.problems["path"].tolist() == [str(bad)]
    assert found.problems["problem"][0] == "not an image: its content is text."
    only = predict_files(trained, [bad])
    assert only.table.empty
    assert len(only.problems) == 1


def test_more_files_than_one_piece(trained, images):
    few = sorted(images.glob("*/00[0-3].png"))
    files = few * (PIECE // len(few) + 2)
    found = predict_files(trained, files, top=1).table
    assert found["path"].tolist() == [str(path) for path in files]
    alone = predict_files(trained, few, top=1).table
    for start in range(0, len(files), len(few)):
        part = found["probability"][start : start + len(few)]
        np.testing.assert_allclose(part, alone["probability"], atol=1e-5)


def test_wrong_input(trained, images, tmp_path):
    with pytest.raises(InputError, match=r"top is too small.*1 or more.*Received: 0"):
        predict_files(trained, [images], top=0)
    with pytest.raises(InputError, match=r"no file or folder '.*nowhere\.png'"):
        predict_files(trained, [images, tmp_path / "nowhere.png"])
    with pytest.raises(InputError, match="no image to predict"):
        predict_files(trained, [tmp_path])
    with pytest.raises(InputError, match=r"no image to predict\. Received: \[\]"):
        predict_files(trained, [])


def test_one_image_from_anywhere_is_predicted_like_its_file(trained, images):
    path = images / "rows" / "001.png"
    wanted = predict_files(trained, [path]).table
    for source in (path, path.read_bytes(), Image.open(path)):
        found = predict_image(trained, source)
        assert found.probabilities.index.tolist() == wanted["class"].tolist()
        assert found.probabilities.tolist() == wanted["probability"].tolist()
        np.testing.assert_array_equal(found.seen, decode(path, 24, 1, "pad").pixels)
        assert found.given.shape == (24, 24)
    best = wanted.iloc[0]
    assert str(found).startswith(f"{best['class']} {best['probability']:.1%}, ")


def test_grey_of_twelve_bits_is_decoded_as_it_was_for_training(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    place = folder / "environment.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "bits": 12}))
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(0, 4096, 7, "uint16")[:576].reshape(24, 24)).save(path)
    found = predict_image(Run(folder), path)
    np.testing.assert_array_equal(found.seen, decode(path, 24, 1, "pad", 12).pixels)
    assert found.seen.max() > 240
    rows = predict_files(Run(folder), [path]).table
    np.testing.assert_allclose(rows["probability"], found.probabilities.to_numpy(), atol=1e-6)
    assert not np.allclose(predict_image(trained, path).probabilities, found.probabilities)


def test_what_is_shown_of_a_large_image_is_small(trained):
    found = predict_image(trained, Image.new("RGBA", (900, 300), "red"))
    assert found.given.shape == (100, 300, 3)
    assert found.seen.shape == (24, 24, 1)


def test_an_image_that_cannot_be_decoded_has_a_name_and_a_reason(trained, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(
        InputError, match="'bad' cannot be decoded: not an image: its content is text"
    ):
        predict_image(trained, bad, "'bad'")


def things(ground, ink, extent, filled, channels=1):
    """Images with a square of this extent, as an area or as an outline."""
    size = 40
    images = np.full((5, size, size, channels), ground, "uint8")
    first = round(size * (1 - extent) / 2)
    inner = slice(first, size - first)
    images[:, inner, inner] = ink
    if not filled:
        hollow = slice(first + 2, size - first - 2)
        images[:, hollow, hollow] = ground
    return images


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (30, 160)])
@pytest.mark.parametrize(  # an area that fills the frame would be the background
    ("extent", "filled"), [(0.5, True), (0.5, False), (0.8, True), (0.8, False), (1.0, False)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_manner_of_images(ground, ink, extent, filled, channels):
    images = things(ground, ink, extent, filled, channels)
    if extent < 1:
        assert manner_of(images) == Manner(ground < ink, extent, filled)
    assert manner_of(images).extent == extent or extent == 1


def test_the_manner_of_empty_images():
    assert manner_of(np.full((3, 8, 8, 1), 9, "uint8")) == Manner(True, 1.0, False)


LINE = [[0.1, 0.1], [0.1, 0.4]]
BOX = [[0.1, 0.1], [0.3, 0.1], [0.3, 0.3], [0.1, 0.3], [0.1, 0.1]]


@pytest.mark.parametrize("strokes", [[LINE], [BOX], [BOX, LINE], [[[0.9, 0.9]]]])
@pytest.mark.parametrize("manner", [Manner(True, 0.7, False), Manner(False, 0.7, True)])
def test_a_drawing_has_the_usual_size_and_stands_in_the_middle(strokes, manner):
    pixels = np.asarray(draw_strokes(strokes, manner))
    assert pixels.shape == (DRAWING, DRAWING)
    ink = pixels == (255 if manner.light_on_dark else 0)
    down, across = np.nonzero(ink)
    assert abs(down.mean() - DRAWING / 2) < 3
    assert abs(across.mean() - DRAWING / 2) < 3
    if len(strokes[0]) > 1:
        longer = max(np.ptp(down), np.ptp(across)) / DRAWING
        assert abs(longer - 0.7) < 0.02


def test_a_shape_is_filled_even_if_it_is_not_quite_closed():
    open_box = [BOX[:-1]]
    outline = np.asarray(draw_strokes(open_box, Manner(True, 0.8, False)))
    filled = np.asarray(draw_strokes(open_box, Manner(True, 0.8, True)))
    assert outline[DRAWING // 2, DRAWING // 2] == 0
    assert filled[DRAWING // 2, DRAWING // 2] == 255
    two = [[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8]], [[0.2, 0.2], [0.2, 0.8], [0.8, 0.8]]]
    assert np.asarray(draw_strokes(two, Manner(True, 0.8, True)))[DRAWING // 2, DRAWING // 2]


def test_a_thicker_brush_leaves_more_ink():
    thin, thick = (
        np.asarray(draw_strokes([LINE], Manner(True, 0.8, False), brush)).mean()
        for brush in (0.03, 0.12)
    )
    assert thick > 2 * thin


def test_nothing_of_a_lopsided_drawing_is_cut_off():
    heavy = [*[[[0.1, 0.1 + step / 50], [0.2, 0.1 + step / 50]] for step in range(10)]]
    pixels = np.asarray(draw_strokes([*heavy, [[0.1, 0.1], [0.9, 0.9]]], Manner(True, 1.0, False)))
    down, across = np.nonzero(pixels)
    assert np.ptp(down) > 0.97 * DRAWING
    assert np.ptp(across) > 0.97 * DRAWING


def test_no_strokes_are_an_empty_picture():
    assert draw_strokes([], Manner(True, 1.0, True)).getextrema() == (0, 0)
    assert draw_strokes([[]], Manner(False, 1.0, True)).getextrema() == (255, 255)
