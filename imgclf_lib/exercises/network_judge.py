"""The judge of small networks: counts, trains for a few seconds, compares with the baselines."""

import time
from typing import Any

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.batches import Batches, fit_batches
from imgclf_lib.data import ImageData, Split
from imgclf_lib.exercises.exercise import Mistake
from imgclf_lib.experiment import Experiment
from imgclf_lib.fitting import compile_model
from imgclf_lib.model import build_model, plan_network, predict_probabilities
from imgclf_lib.preprocess import pixel_statistics

MOST_PARAMETERS = 20_000
MOST_IMAGES = 4000  # for training; 1000 for validation
MOST_SECONDS = 60


def judge_small_network(answer: Any, dataset: ImageData) -> str:
    """Whether a network has few parameters and still beats the simple baselines.

    It is trained for a few seconds, until it is good enough, on at most 4,000 images; the
    baselines learn from the same images.

    Args:
        answer: An ``Experiment`` or a Keras model, trained or not.
        dataset: The data; training and validation images are used.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it is too large, does not fit the data or is not good enough.
    """
    # Loading scikit-learn takes a second, which an unanswered exercise need not cost.
    from imgclf_lib.baselines import predict_linear, predict_most_frequent, predict_nearest

    classes = len(dataset.class_names)
    if isinstance(answer, Experiment):
        count = int(plan_network(answer, dataset.image_shape, classes)["parameters"].sum())
        _check_count(count)
        design = answer.replace(label_smoothing=0.0)
        model = build_model(design, dataset.image_shape, classes, _statistics(design, dataset))
    else:
        model, design = _check_model(answer, dataset.image_shape, classes), Experiment()
        count = model.count_params()
    train, val = dataset.train.sample(MOST_IMAGES), dataset.val.sample(1000)
    rivals = {
        "linear model": predict_linear,
        "nearest neighbours": predict_nearest,
        "most frequent class": predict_most_frequent,
    }
    marks = {
        name: int((each(train, val.images) == val.labels).sum()) for name, each in rivals.items()
    }
    rival = max(marks, key=lambda name: marks[name])
    # Nobody can be better than perfect.
    wanted = min(marks[rival] + 1, len(val))
    reached = 0 if isinstance(answer, Experiment) else _right(model, val)
    if reached < wanted:
        reached = _train(model, answer, design, train, val, wanted)
    report = (
        f"{reached / len(val):.1%} of {len(val):,} validation images with {count:,} parameters,"
        f" against {marks[rival] / len(val):.1%} of the best baseline ({rival})."
    )
    if reached < wanted:
        raise Mistake(
            f"Small enough, but it does not beat the baseline yet: {report} More blocks, no hidden"
            " dense layer, or another learning rate may help. (Pixels come in as 0 to 255: a Keras"
            " model of your own needs a Rescaling layer.)"
        )
    return f"Small and good: {report}"


def _check_count(count: int) -> None:
    if count >= MOST_PARAMETERS:
        raise Mistake(
            f"{count:,} parameters are too many; under {MOST_PARAMETERS:,} are asked for. Where are"
            " most of them? More blocks make the maps smaller before the dense layers read them."
        )


def _statistics(design: Experiment, dataset: ImageData) -> Any:
    return pixel_statistics(dataset.train.images) if design.scaling == "standardize" else None


def _check_model(answer: Any, shape: tuple[int, int, int], classes: int) -> Any:
    """The learner's Keras model, if it can be judged at all."""
    if not isinstance(answer, load_keras().Model):
        raise Mistake("An Experiment or a Keras model is wanted here.")
    if tuple(answer.input_shape[1:]) != shape or tuple(answer.output_shape[1:]) != (classes,):
        raise Mistake(
            f"The model takes {answer.input_shape[1:]} and gives {answer.output_shape[1:]}; your"
            f" images have the shape {shape}, and {classes} probabilities are wanted."
        )
    _check_count(answer.count_params())
    keras = load_keras()
    copy = keras.models.clone_model(answer)  # the learner's own model stays as it is
    copy.set_weights(answer.get_weights())
    return copy


def _right(model: Any, val: Split) -> int:
    chances = predict_probabilities(model, val.images)
    if chances.min() < -1e-3 or not np.allclose(chances.sum(1), 1, atol=1e-2):
        raise Mistake("The model's outputs are no probabilities. Does it end with a softmax?")
    return int((chances.argmax(1) == val.labels).sum())


def _train(
    model: Any, answer: Any, design: Experiment, train: Split, val: Split, wanted: int
) -> int:
    """Train for a few seconds, until it is good enough; the best number of right answers."""
    passes = int(np.clip(40_000 // len(train), 10, 50))
    batch = min(design.batch_size, 32)
    given = None if isinstance(answer, Experiment) else getattr(answer, "optimizer", None)
    compile_model(model, design, passes * -(-len(train) // batch))
    if given is not None:
        model.optimizer.learning_rate = float(given.learning_rate)
    design = design.replace(batch_size=batch)
    batches = Batches(train, design, model.output_shape[-1], training=True)
    best, end = 0, time.monotonic() + MOST_SECONDS
    for epoch in range(passes):
        fit_batches(model, batches, initial_epoch=epoch, epochs=epoch + 1)
        best = max(best, _right(model, val))
        if best >= wanted or time.monotonic() > end:
            break
    return best
