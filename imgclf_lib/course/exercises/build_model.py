"""The exercises of notebook 03: counting, seeing, sliding, and a small network."""

import re
import time
from typing import Any

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.course import overwritten_line
from imgclf_lib.course.exercises.exercise import (
    Mistake,
    judge_function,
    judge_number,
    number,
    question,
)
from imgclf_lib.data import ImageData, Split
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model, pixel_statistics, plan_network, predict_probabilities
from imgclf_lib.training import Batches, compile_model, fit_batches

MOST_PARAMETERS = 20_000
MOST_IMAGES = 4000  # for training, and for validation
MOST_SECONDS = 60


def write_slide_same():
    import numpy as np

    def slide_same(picture, kernel):
        margin = len(kernel) // 2
        framed = np.pad(picture, margin)  # a frame of zeros
        feature_map = np.zeros(picture.shape)
        for row in range(picture.shape[0]):
            for column in range(picture.shape[1]):
                patch = framed[row : row + len(kernel), column : column + len(kernel)]
                feature_map[row, column] = (patch * kernel).sum()
        return feature_map

    return slide_same


def _framed(picture: np.ndarray, kernel: np.ndarray, mode: Any) -> np.ndarray:
    """What another frame than one of zeros leads to."""
    margin = len(kernel) // 2
    whole = write_slide_same()(np.pad(picture, margin, mode=mode), kernel)
    return whole[margin:-margin, margin:-margin] if margin else whole


def _name_case(picture: np.ndarray, kernel: np.ndarray) -> str:
    (height, width), side = picture.shape, len(kernel)
    return f"A picture of {height} × {width} with a kernel of {side} × {side}"


def _why_shape(found: np.ndarray, wanted: np.ndarray, picture: Any, kernel: Any) -> str:
    small = tuple(length - len(kernel) + 1 for length in picture.shape)
    why = "The result must be as large as the picture: think about the frame's width."
    why = "Pad it with a frame of zeros first." if found.shape == small else why
    return f"{_name_case(picture, kernel)} gave a result of shape {found.shape}. {why}"


def _why_numbers(found: np.ndarray, wanted: np.ndarray, picture: Any, kernel: Any) -> str:
    if picture.dtype.kind == "i" and np.abs(found - wanted).max() <= 1:
        return (
            "With whole numbers in the picture, your results lose their decimals: np.zeros_like and"
            " np.pad take over the kind of number. Use np.zeros."
        )
    inner = (slice(len(kernel) // 2, -(len(kernel) // 2) or None),) * 2
    where = "inside" if not np.allclose(found[inner], wanted[inner], atol=1e-4) else "at the border"
    return (
        f"{_name_case(picture, kernel)}: the result has the right size, but other numbers {where}."
    )


@question(
    "A convolution that keeps the size",
    tests=["padding", "sliding a kernel"],
    hints=[
        "slide in this notebook does all but one thing: it loses a border.",
        "np.pad(picture, 1) puts a frame of one zero around a picture. How wide must the frame be"
        " for a kernel of 5 by 5?",
        "The frame is len(kernel) // 2 wide. Then slide the kernel over the framed picture.",
    ],
    solve=write_slide_same,
    explanation="A frame as wide as half the kernel gives back the rows and columns that would be"
    " lost.",
)
def slide_same(answer: Any) -> str:
    draw, right = np.random.default_rng(0), write_slide_same()
    shapes = (((6, 9), 3), ((8, 7), 5), ((5, 5), 1))
    cases = [(draw.normal(size=shape), draw.normal(size=(side, side))) for shape, side in shapes]
    kernel = np.array([[0.25, 0, 0.5], [0.1, 1, 0], [0, 0.3, 0.7]])
    border = "The inside is right, the border is not."
    return judge_function(
        answer,
        right,
        [*cases, (draw.integers(0, 9, (5, 6)), kernel)],
        'Same size, same numbers as padding="same" in Keras: the frame of zeros does it.',
        lambda picture, kernel: {
            f"{border} You repeat the outermost pixels around the picture. Put zeros there.": (
                _framed(picture, kernel, "edge")
            ),
            f"{border} You mirror the picture beyond its border. Put zeros there.": (
                _framed(picture, kernel, "reflect")
            ),
            f"{border} Your picture goes on at the other side. Put zeros around it.": (
                _framed(picture, kernel, "wrap")
            ),
            "You give the kernel half a turn first. That is what mathematics calls a convolution;"
            " lay the kernel over the picture as it is.": right(picture, kernel[::-1, ::-1]),
            "Rows and columns of the kernel are exchanged.": right(picture, kernel.T),
        },
        _why_numbers,
        shape=_why_shape,
        close=1e-4,
    )


def follow_receptive_field():
    side, step = 1, 1
    for window, stride in [(3, 1), (3, 1), (2, 2), (3, 1)]:
        side, step = side + (window - 1) * step, step * stride
    return side


@question(
    "How far does it see?",
    tests=["receptive field of stacked layers", "pooling doubles the step"],
    hints=[
        "Write two columns, side and step, and a row for each of the four layers.",
        "After the two convolutions: side 5, step 1. The pooling has window 2 and stride 2.",
        "After the pooling: side 6, step 2. The last convolution adds (3 - 1) * 2.",
    ],
    solve=follow_receptive_field,
    explanation="The side grows by (window - 1) * step at every layer; the pooling doubles the step"
    " for everything after it.",
)
def receptive_field(answer: Any) -> str:
    return judge_number(
        _side(answer),
        follow_receptive_field(),
        "1, then 3, 5, 6 (the step becomes 2), and 6 + 2 * 2 = 10 pixels.",
        {
            "After the pooling a step is 2 pixels wide: the last convolution adds (3 - 1) * 2.": 8,
            "The pooling has a window too, of 2: it adds (2 - 1) * 1.": 9,
            "That would be three convolutions without the pooling. What does the pooling do to the"
            " step, and to the side?": 7,
            "That is what a value sees after the pooling. One more convolution follows.": 6,
            "That is what a value sees after two convolutions. Go on with the pooling.": 5,
            "The step doubles after the pooling's own window has been added, not before.": 12,
            "The step is 2 for the last convolution only, and not for the first two.": 14,
            "These are all the pixels of the square. The question asks for its side.": 100,
            "Halving the map does not double what was seen before, only what comes after.": 18,
        },
        "Begin with a side of 1 and a step of 1, and apply the two rules layer by layer.",
    )


def _side(answer: Any) -> Any:
    """The side of a square that is given by both of its sides, such as 10 x 10."""
    sides = answer
    if isinstance(answer, str):
        sides = re.split(r"\s*(?:x|×|\*|by)\s*", answer.strip().lower())
    two = isinstance(sides, list | tuple) and len(sides) == 2
    return sides[0] if two and number(sides[0]) == number(sides[1]) else answer


def count_parameters():
    kernel, maps, filters = 5, 8, 16
    return (kernel * kernel * maps + 1) * filters


@question(
    "How many parameters has this convolution?",
    tests=["weights for each input channel", "one bias a filter"],
    hints=[
        "Begin with one filter that reads one map: how many numbers does its kernel have?",
        "A filter has one such kernel for each of the 8 maps, and one bias.",
        "Multiply what one filter has by the number of filters: (5 * 5 * 8 + 1) * 16.",
    ],
    solve=count_parameters,
    explanation="A filter has one kernel for each map that comes in, and one bias; the size of the"
    " image does not matter.",
)
def convolution_parameters(answer: Any) -> str:
    return judge_number(
        answer,
        count_parameters(),
        "5 × 5 × 8 weights and 1 bias make 201 numbers for a filter, and there are 16 filters.",
        {
            "Nearly: these are the weights. What else does each filter have?": 5 * 5 * 8 * 16,
            "Nearly: one bias is not enough. Each filter has its own.": 5 * 5 * 8 * 16 + 1,
            "The biases belong to the filters, not to the maps that come in.": 5 * 5 * 8 * 16 + 8,
            "A filter reads all incoming maps, and has a kernel for each of them.": 26 * 16,
            "A filter has a kernel for each incoming map; and something else besides.": 25 * 16,
            "That is one filter. How many are there?": 5 * 5 * 8 + 1,
            "That is one filter, without its bias. How many filters are there?": 5 * 5 * 8,
            "You gave every kernel a bias. A filter adds all its kernels up, and then adds one"
            " bias.": (5 * 5 + 1) * 8 * 16,
        },
        "Count one filter first: a kernel for each incoming map, and one bias. Then think of how"
        " many filters there are.",
    )


def design_small_network(dataset):
    from imgclf_lib.experiment import Experiment
    from imgclf_lib.network import plan_network

    design = Experiment(
        filters=(16, 24, 32),
        dense_units=(),
        dropout=0.0,
        learning_rate=0.005,
        schedule="one_cycle",
        batch_size=32,
    )
    shape, classes = dataset.image_shape, len(dataset.class_names)
    if plan_network(design, shape, classes)["parameters"].sum() >= 20_000:
        design = design.replace(head="average")  # for large images, or many classes
    return design


@question(
    "A small network that beats the baseline",
    tests=["where the parameters are", "an architecture by the fields of an experiment"],
    hints=[
        "Play with the designer above: which single change takes away the most parameters?",
        "The first dense layer reads every value of the last map. Make that map smaller with a"
        " third block, and leave the hidden dense layer out: dense_units=().",
        "Try filters=(16, 24, 32), dense_units=(), dropout=0.0, and a learning rate of 0.005. For"
        ' large images or many classes also head="average".',
    ],
    solve=design_small_network,
    explanation="Three blocks make the maps so small that one dense layer has little to read;"
    " without a hidden dense layer most of the parameters are gone.",
)
def small_network(answer: Any, dataset: ImageData) -> str:
    # Loading scikit-learn takes a second, which an unanswered exercise need not cost.
    from imgclf_lib.evaluation import predict_linear, predict_most_frequent, predict_nearest

    classes = len(dataset.class_names)
    if isinstance(answer, Experiment):
        count = int(plan_network(answer, dataset.image_shape, classes)["parameters"].sum())
        _check_count(count)
        design = answer.replace(label_smoothing=0.0)
        model = build_model(design, dataset.image_shape, classes, _statistics(design, dataset))
    else:
        model, design = _check_model(answer, dataset.image_shape, classes), Experiment()
        count = model.count_params()
    if not any(len(each.shape) == 4 for each in model.weights):
        raise Mistake(
            "There is no convolution in it: that is one of the baselines again. Give it filters."
        )
    train, val = dataset.train.sample(MOST_IMAGES), dataset.val.sample(MOST_IMAGES)
    rivals = {
        "linear model": predict_linear,
        "nearest neighbours": predict_nearest,
        "most frequent class": predict_most_frequent,
    }
    marks = {name: each(train, val.images) == val.labels for name, each in rivals.items()}
    rival = max(marks, key=lambda name: marks[name].sum())
    right = np.zeros(len(val), bool)
    if not isinstance(answer, Experiment):
        right = _right(model, val)
    tries = _passes(train)  # each epoch is another chance to be lucky
    if not _leads(right, marks[rival], tries):
        right = _train(model, answer, design, train, val, marks[rival])
    report = (
        f"{right.mean():.1%} of {len(val):,} validation images with {count:,} parameters,"
        f" against {marks[rival].mean():.1%} of the best baseline ({rival})."
    )
    if _leads(right, marks[rival], tries):
        return f"Small and good: {report}"
    if right.sum() > marks[rival].sum():
        raise Mistake(
            f"Small enough, and ahead, but it may be luck: {report} It does not beat the baseline"
            f" yet. A larger lead is wanted, because the best of {tries} epochs is a lucky one."
        )
    raise Mistake(
        f"Small enough, but it does not beat the baseline yet: {report} More blocks, no hidden"
        " dense layer, or another learning rate may help. (Pixels come in as 0 to 255: a Keras"
        " model of your own needs a Rescaling layer.)"
    )


def _leads(right: np.ndarray, rival: np.ndarray, tries: int) -> bool:
    """Whether a network is better on the same images by the rule for luck, as one of many tries.

    Where the rule could not even see a quarter fewer mistakes, being ahead is enough.
    """
    if right.all():  # nobody can be better than perfect
        return True
    mistakes = int((~rival).sum())
    # A network seldom only mends: of two mistakes that it mends, it makes one anew.
    kept, mended = np.repeat([[True, False], [False, True]], [mistakes // 4, mistakes // 2], axis=1)
    if _verdict(kept, mended, tries) == "higher":
        return _verdict(rival, right, tries) == "higher"
    return bool(right.sum() > rival.sum())


def _verdict(before: np.ndarray, after: np.ndarray, many: int) -> str:
    """The rule for luck, on which images each got right."""
    from imgclf_lib.evaluation import compare_predictions

    return compare_predictions(np.ones(len(before)), before, after, many=many).verdict


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


def _right(model: Any, val: Split) -> np.ndarray:
    """Which validation images a model gets right."""
    chances = predict_probabilities(model, val.images)
    if chances.min() < -1e-3 or not np.allclose(chances.sum(1), 1, atol=1e-2):
        raise Mistake("The model's outputs are no probabilities. Does it end with a softmax?")
    return chances.argmax(1) == val.labels


def _passes(train: Split) -> int:
    """Epochs at most: more where an epoch is short."""
    return int(np.clip(40_000 // len(train), 10, 50))


def _train(
    model: Any, answer: Any, design: Experiment, train: Split, val: Split, rival: np.ndarray
) -> np.ndarray:
    """Train for a few seconds, until it leads; which images it got right in its best epoch."""
    passes, say = _passes(train), overwritten_line()
    batch = min(design.batch_size, 32)
    given = None if isinstance(answer, Experiment) else getattr(answer, "optimizer", None)
    compile_model(model, design, passes * -(-len(train) // batch))
    if given is not None:
        model.optimizer.learning_rate = float(given.learning_rate)
    design = design.replace(batch_size=batch)
    batches = Batches(train, design, model.output_shape[-1], training=True)
    best, end = np.zeros(len(val), bool), time.monotonic() + MOST_SECONDS
    for epoch in range(passes):
        say(f"Training your network: epoch {epoch + 1} of {passes} at most …")
        fit_batches(model, batches, initial_epoch=epoch, epochs=epoch + 1)
        best = max(best, _right(model, val), key=np.sum)
        if _leads(best, rival, passes) or time.monotonic() > end:
            break
    say(f"Your network was trained for {epoch + 1} epochs.")
    return best
