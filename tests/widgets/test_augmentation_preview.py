"""The preview: what the sliders say is what the layers of training do."""

import numpy as np
import pytest

from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import augment
from imgclf_lib.widgets.augmentation_preview import AugmentationPreview

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


def test_errors_are_shown(preview, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("no <dice>")

    monkeypatch.setattr("imgclf_lib.widgets.augmentation_preview.augment", broken)
    preview.again.click()
    assert "no &lt;dice&gt;" in preview.problem.value
