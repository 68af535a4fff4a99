"""Notebook 03: right answers of every form pass, and each typical mistake has its own message."""

import re

import numpy as np
import pytest
from scipy.signal import convolve2d

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises import build_model as exercises
from imgclf_lib.course.exercises.build_model import _leads
from imgclf_lib.course.exercises.exercise import Mistake, Unanswered
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment, preset

keras = load_keras()
SMALL = Experiment(filters=(8, 12, 16), dense_units=(), dropout=0.0, learning_rate=0.01)


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.mark.parametrize(
    "answer", [3216, 3216.0, "3,216", [3216], np.int64(3216), keras.ops.convert_to_tensor(3216)]
)
def test_parameters_in_every_form(answer):
    assert "201" in exercises.convolution_parameters.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (5 * 5 * 8 * 16, "these are the weights"),
        (5 * 5 * 8 * 16 + 1, "one bias is not enough"),
        (5 * 5 * 8 * 16 + 8, "belong to the filters"),
        (5 * 5 * 16 + 16, "reads all incoming maps"),
        (400, "something else besides"),
        (201, "one filter. How many"),
        (200, "without its bias"),
        (26 * 8 * 16, "every kernel a bias"),
        (17, "Count one filter first"),
        ("many", "A number is wanted"),
    ],
)
def test_parameter_mistakes(answer, why):
    assert why in mistake(exercises.convolution_parameters, answer)


@pytest.mark.parametrize("answer", [10, "10", np.float32(10), (10,), "10 x 10", "10×10", (10, 10)])
def test_receptive_field(answer):
    assert "10 pixels" in exercises.receptive_field.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (8, "a step is 2 pixels wide"),
        (9, "pooling has a window too"),
        (7, "without the pooling"),
        (6, "One more convolution"),
        (5, "Go on with the pooling"),
        (12, "not before"),
        (14, "not for the first two"),
        (100, "its side"),
        (18, "what comes after"),
        (11, "layer by layer"),
    ],
)
def test_receptive_field_mistakes(answer, why):
    assert why in mistake(exercises.receptive_field, answer)


def slide_same(picture, kernel):
    return exercises.slide_same.solve()(picture, kernel)


def with_frame(mode):
    def answer(picture, kernel):
        margin = len(kernel) // 2
        inner = slice(margin, -margin or None)
        return slide_same(np.pad(picture, margin, mode=mode), kernel)[inner, inner]

    return answer


def cut_to_whole(picture, kernel):
    result = np.zeros_like(picture)
    result[:] = slide_same(picture, kernel)
    return result


def wrong_corner(picture, kernel):
    result = slide_same(picture, kernel)
    result[0, 0] = 7
    return result


@pytest.mark.parametrize(
    "form", [lambda each: each, lambda each: each.tolist(), keras.ops.convert_to_tensor]
)
def test_sliding_in_every_form(form):
    assert exercises.slide_same.judge(lambda *given: form(slide_same(*given)))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda picture, kernel: slide_same(picture, kernel)[1:-1, 1:-1], "frame of zeros first"),
        (lambda picture, kernel: slide_same(np.pad(picture, 1), kernel), "as large as the picture"),
        (with_frame("edge"), "repeat the outermost"),
        (with_frame("reflect"), "mirror the picture"),
        (with_frame("wrap"), "at the other side"),
        (lambda picture, kernel: convolve2d(picture, kernel, mode="same"), "half a turn"),
        (lambda picture, kernel: slide_same(picture, kernel.T), "exchanged"),
        (cut_to_whole, "lose their decimals"),
        (wrong_corner, "other numbers at the border"),
        (lambda picture, kernel: 2 * slide_same(picture, kernel), "other numbers inside"),
        (lambda picture, kernel: "wide", "Numbers are wanted"),
        (3, "A function is wanted"),
    ],
)
def test_sliding_mistakes(answer, why):
    assert why in mistake(exercises.slide_same, answer)


def test_a_function_that_is_still_empty():
    with pytest.raises(Unanswered):
        exercises.slide_same.judge(lambda picture, kernel: ...)


def verdict(answer, dataset) -> str:
    try:
        return exercises.small_network.judge(answer, dataset)
    except Mistake as mistaken:
        return str(mistaken)


@pytest.fixture(scope="module")
def dataset(images):
    return load_data(Experiment(data=str(images), validation_fraction=0.3))


def own_model(shape=(24, 24, 1), classes=3, filters=8, last="softmax") -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(filters, 3, activation="relu"),
            keras.layers.MaxPooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, last),
        ]
    )


def test_the_small_network_of_the_solution(dataset, split_images):
    for data in (dataset, load_data(Experiment(data=str(split_images)))):
        answer = exercises.small_network.solve(data)
        assert "Small and good" in exercises.small_network.judge(answer, data)


def test_the_solution_is_small_for_any_data():
    from imgclf_lib.course.exercises.build_model import MOST_PARAMETERS
    from imgclf_lib.network import plan_network

    class Data:
        pass

    for shape in ((16, 16, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3), (256, 256, 3)):
        for classes in (2, 10, 100, 200):
            Data.image_shape, Data.class_names = shape, ("name",) * classes
            plan = plan_network(exercises.small_network.solve(Data), shape, classes)
            assert plan["parameters"].sum() < MOST_PARAMETERS


@pytest.mark.parametrize(
    "optimizer", [None, "sgd", keras.optimizers.Adam(0.01)], ids=["raw", "named", "object"]
)
def test_a_keras_model_of_ones_own(dataset, optimizer):
    model = own_model()
    if optimizer is not None:
        model.compile(optimizer, "sparse_categorical_crossentropy")
    before = [each.copy() for each in model.get_weights()]
    assert re.search("does not beat|Small and good", verdict(model, dataset))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new, "the learner's model stays as it is")


def test_a_model_that_is_trained_already_is_judged_as_it_is(dataset, monkeypatch):
    model = own_model()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(np.asarray(dataset.train.images), dataset.train.labels, epochs=30, verbose=0)
    monkeypatch.setattr("imgclf_lib.course.exercises.build_model._train", None)
    assert "Small and good" in exercises.small_network.judge(model, dataset)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Experiment(), "parameters are too many"),
        (own_model(filters=400), "parameters are too many"),
        (own_model(shape=(28, 28, 1)), r"takes (28, 28, 1)"),
        (own_model(classes=10), r"gives (10,)"),
        (own_model(last="relu"), "no probabilities"),
        (SMALL.replace(learning_rate=1e-7), "does not beat the baseline"),
        (preset("linear"), "no convolution"),
        ("a small one", "An Experiment or a Keras model"),
    ],
)
def test_small_network_mistakes(answer, why, dataset):
    found = mistake(exercises.small_network, answer, dataset)
    assert why in found
    if "too many" in why:
        assert "20,000" in found
    if "beat" in why:
        assert found.count("%") >= 2


@pytest.mark.parametrize(
    ("right", "rival", "leads"),
    [(0.821, 0.820, False), (0.84, 0.82, True), (1.0, 1.0, True), (0.8, 0.82, False)],
)
def test_one_image_more_is_no_lead(right, rival, leads):
    places = (np.arange(4000) + 0.5) / 4000
    assert _leads(places < right, places < rival, tries=10) is leads


def test_the_best_of_many_epochs_needs_a_larger_lead():
    """Of 4,000 images one side alone gets 40 right, the other 65: luck in 2 of 100 cases."""
    both, mine, its, none = np.repeat(np.arange(4), [3000, 65, 40, 895]) == np.arange(4)[:, None]
    assert none.sum() == 895
    assert _leads(both | mine, both | its, tries=1)
    assert not _leads(both | mine, both | its, tries=10)


@pytest.mark.parametrize("images", [4, 20, 100])
def test_where_the_rule_cannot_see_a_quarter_fewer_mistakes_a_lead_is_enough(images):
    places = (np.arange(images) + 0.5) / images
    assert _leads(places < 0.75, places < 0.5, tries=10)
    assert not _leads(places < 0.5, places < 0.5, tries=10)
    assert not _leads(places < 0.5, places < 0.75, tries=10)


def test_every_experiment_can_be_judged(dataset):
    hard = SMALL.replace(label_smoothing=0.1, scaling="standardize", class_weights="balanced")
    assert re.search("does not beat|Small and good", verdict(hard, dataset))
