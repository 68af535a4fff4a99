"""Notebook 06: right answers of every form pass, and each typical mistake has its own message."""

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises import predict as exercises
from imgclf_lib.course.exercises.exercise import Mistake, Unanswered
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import predict_probabilities
from imgclf_lib.training import train

keras = load_keras()
# The second image is the least sure one.
PROBABILITIES = np.array([[0.9, 0.05, 0.03, 0.02], [0.1, 0.4, 0.3, 0.2], [0.6, 0.2, 0.1, 0.1]])


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.fixture(scope="module")
def real(tiny):
    return load_data(tiny).val.sample(500)


@pytest.fixture(scope="module")
def color_run(split_images, tmp_path_factory):
    experiment = Experiment(data=str(split_images), filters=(4,), dense_units=(), epochs=1)
    return train(experiment, out=tmp_path_factory.mktemp("color") / "run", progress="none")


@pytest.mark.parametrize("answer", [0.1, "0.100", "10 %", [0.1], np.float32(0.1)])
def test_left_over(answer):
    assert "All classes together" in exercises.left_over.judge(answer, PROBABILITIES)


@pytest.mark.parametrize("classes", [2, 3, 4, 200])
def test_left_over_on_other_data(classes):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), 12).astype("float32")
    answer = exercises.left_over.solve(probabilities)
    assert exercises.left_over.judge(answer, probabilities)
    assert classes > 3 or answer == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (0.9, "How much is missing"),
        (0.6, "first bar alone"),
        (10, "In percent, yes"),
        (-0.1, "between 0 and 1"),
        (7, "between 0 and 1"),
        (0.02, "last image"),
        ("much", "A number is wanted"),
    ],
)
def test_left_over_mistakes(answer, why):
    assert why in mistake(exercises.left_over, answer, PROBABILITIES)


class Striped:
    """A model that sees only whether the first column, or the first row, is bright."""

    def predict(self, images, **_):
        bright = (images[:, :, 0].mean((1, 2)) > 100) | (images[:, 0].mean((1, 2)) > 100)
        return np.stack([bright, ~bright], 1).astype("float32")


class Fake:
    model = Striped()


def photo(row=6, column=5, size=12):
    """Dark, with one bright row and one bright column."""
    pixels = np.zeros((size, size, 1), "uint8")
    pixels[row], pixels[:, column] = 255, 255
    return pixels


def test_first_change_to_the_right():
    # The column comes round to the left edge after 7 steps; the row comes to the top after 6.
    right = exercises.first_change.solve(Fake(), photo())
    assert right == 7
    for answer in (7, 7.0, "7", [7], np.int64(7)):
        assert "gets another name" in exercises.first_change.judge(answer, Fake(), photo())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (6, "still the old one"),
        (-5, "to the left"),
        (5, "to the left"),
        (12, "from 1 to 11"),
        (2.5, "whole number"),
        (0, "does change"),
        (3, "still gets the old answer"),
    ],
)
def test_first_change_mistakes(answer, why):
    assert why in mistake(exercises.first_change, answer, Fake(), photo())


def test_first_change_downwards_is_another_question():
    assert "down: axis 0" in mistake(exercises.first_change, 9, Fake(), photo(row=3, column=8))


def test_first_change_may_never_come(trained, real, color_run):
    constant = np.zeros((12, 12, 1), "uint8")
    assert exercises.first_change.solve(Fake(), constant) == 0
    assert "No shift" in exercises.first_change.judge(0, Fake(), constant)
    assert "still gets" in mistake(exercises.first_change, 4, Fake(), constant)
    color = load_data(color_run.experiment).val.images[0]
    for run, image in ((trained, real.images[0]), (color_run, color)):
        answer = exercises.first_change.solve(run, image)
        assert exercises.first_change.judge(answer, run, image)


def stable(scores):
    powers = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def in_place(scores):
    scores -= scores.max(-1, keepdims=True)
    return stable(scores)


def one_maximum(scores):
    powers = np.exp(scores - np.max(scores))
    with np.errstate(all="ignore"):
        return np.nan_to_num(powers / powers.sum(-1, keepdims=True))


def test_softmax_of_every_kind():
    answers = (
        exercises.softmax.solve(),
        stable,
        lambda scores: stable(scores).tolist(),
        lambda scores: keras.ops.softmax(keras.ops.convert_to_tensor(scores)),
    )
    for answer in answers:
        assert "adds up to 1" in exercises.softmax.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (0.5, "A function is wanted"),
        (in_place, "changes the scores"),
        (lambda scores: stable(scores).sum(), "3 probabilities"),
        (np.exp, "exp is done"),
        (lambda scores: np.exp(scores) / np.exp(scores).sum(axis=1), "axis=-1 fits one row"),
        (lambda scores: scores / scores.sum(), "Take exp of them first"),
        (lambda scores: stable(scores) * 100, "add up to 100"),
        (lambda scores: stable(-scores), "the answer should be"),
        (lambda scores: np.exp(scores) / np.exp(scores).sum(-1, keepdims=True), "too large"),
        (lambda scores: stable(scores.ravel()), "must give two rows"),
        (lambda scores: stable(scores.ravel()).reshape(scores.shape), "each row must add up"),
        (lambda scores: stable(scores.T).T, "each row must add up"),
        (one_maximum, "max of each row"),
        (lambda scores: "half", "Numbers are wanted"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_softmax_mistakes(answer, why):
    assert why in mistake(exercises.softmax, answer)


def test_softmax_without_an_answer():
    with pytest.raises(Unanswered):
        exercises.softmax.judge(lambda scores: ...)


SURE = np.array([[0.95, 0.05], [0.92, 0.08], [0.03, 0.97], [0.6, 0.4], [0.55, 0.45], [0.7, 0.3]])
LABELS = np.array([0, 1, 1, 0, 0, 1])  # three are sure, two of these right; four are right in all


@pytest.mark.parametrize("answer", [2 / 3, "0.667", "66.7%", [0.6667], np.float32(0.667)])
def test_kept_accuracy(answer):
    said = exercises.kept_accuracy.judge(answer, SURE, LABELS, 0.9)
    assert "66.7% of the given answers are right" in said
    assert "50.0% of the real images" in said


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (66.67, "In percent, yes"),
        (0.5, "how many images get an answer"),
        (2 / 6, "number of all images"),
        (1 / 3, "number of all images"),
        (2, "a number of images"),
        (0.123, "what share"),
        ("most", "A number is wanted"),
    ],
)
def test_kept_accuracy_mistakes(answer, why):
    assert why in mistake(exercises.kept_accuracy, answer, SURE, LABELS, 0.9)


def test_more_kept_accuracy_mistakes():
    labels = np.array([0, 0, 0, 0, 0, 0])  # sure: 2 of 3 right; refused: 3 of 3; all: 5 of 6
    assert "accuracy on all images" in mistake(exercises.kept_accuracy, 5 / 6, SURE, labels, 0.9)
    assert "below the threshold" in mistake(exercises.kept_accuracy, 1, SURE, labels, 0.9)
    assert "given answers is wrong" in mistake(exercises.kept_accuracy, 1 / 4, SURE, labels, 0.65)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_kept_accuracy_on_other_thresholds(threshold):
    answer = exercises.kept_accuracy.solve(SURE, LABELS, threshold)
    assert exercises.kept_accuracy.judge(answer, SURE, LABELS, threshold)
    if threshold == 1.0:
        assert exercises.kept_accuracy.judge(np.nan, SURE, LABELS, threshold)
        assert "answer 0" in mistake(exercises.kept_accuracy, 0.5, SURE, LABELS, threshold)


def test_nonsense_is_found_for_grey_and_for_colour(trained, real, color_run):
    others = load_data(color_run.experiment).val.images
    for run, images in ((trained, real.images), (color_run, others)):
        picture = exercises.nonsense.solve(run, images)
        assert "no proof" in exercises.nonsense.judge(picture, run, images)
    grey = exercises.nonsense.solve(trained, real.images)
    for form in (grey[..., 0], grey[np.newaxis], grey.tolist(), grey.astype(float)):
        assert "no proof" in exercises.nonsense.judge(form, trained, real.images)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda real: np.zeros((24, 24, 3)), "takes one image of shape (24, 24, 1)"),
        (lambda real: np.zeros((28, 28, 1)), "Yours has (28, 28, 1)"),
        (lambda real: np.full((24, 24, 1), 300), "from 0 to 255"),
        (lambda real: np.full((24, 24, 1), -1), "from 0 to 255"),
        (lambda real: np.full((24, 24, 1), np.nan), "from 0 to 255"),
        (lambda real: np.full((24, 24, 1), 0.5), "Multiply by 255"),
        (lambda real: real[0], "one of the real images"),
        (lambda real: real[1] // 2 * 2, "one of the real images"),
        (lambda real: "noise", "Numbers are wanted"),
    ],
)
def test_nonsense_mistakes(make, why, trained, real):
    assert why in mistake(exercises.nonsense, make(real.images), trained, real.images)


def test_nonsense_is_your_own(trained, real):
    noise = np.random.default_rng(0).integers(0, 256, real.images.shape, "uint8")
    made = real.images[:, ::-1], noise
    for picture in (noise[3], noise[3] // 2 * 2, made[0][1]):
        found = mistake(exercises.nonsense, picture, trained, real.images, *made)
        assert "made this picture already" in found
    own = exercises.nonsense.solve(trained, real.images)
    assert "no proof" in exercises.nonsense.judge(own, trained, real.images, *made)


def test_nonsense_must_convince_the_model(trained, real):
    # Between images of different classes lie pictures that the model cannot decide about.
    first, second = np.random.default_rng(0).integers(0, len(real), (2, 1000))
    keep = real.labels[first] != real.labels[second]
    pictures = real.images[first[keep]] // 2 + real.images[second[keep]] // 2
    confidence = predict_probabilities(trained.model, pictures).max(1)
    dull = pictures[confidence.argmin()]
    assert f"with {confidence.min():.1%}" in mistake(exercises.nonsense, dull, trained, real.images)
