"""The exercises of notebook 03: counting, seeing, sliding, and a small network."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Exercise, Mistake, array, call, number
from imgclf_lib.exercises.network_judge import judge_small_network


def _judge_parameters(answer: Any) -> str:
    value = number(answer)
    mistakes = {
        5 * 5 * 8 * 16: "Nearly: these are the weights. What else does each filter have?",
        5 * 5 * 8 * 16 + 1: "Nearly: one bias is not enough. Each filter has its own.",
        5 * 5 * 8 * 16 + 8: "The biases belong to the filters, not to the maps that come in.",
        (5 * 5 + 1) * 16: "A filter reads all incoming maps, and has a kernel for each of them.",
        5 * 5 * 16: "A filter has a kernel for each incoming map; and something else besides.",
        5 * 5 * 8 + 1: "That is one filter. How many are there?",
        5 * 5 * 8: "That is one filter, without its bias. How many filters are there?",
        (5 * 5 + 1) * 8 * 16: "You gave every kernel a bias. A filter adds all its kernels up, and"
        " then adds one bias.",
    }
    if value in mistakes:
        raise Mistake(mistakes[int(value)])
    if value != (5 * 5 * 8 + 1) * 16:
        raise Mistake(
            f"{value:,.10g} is not it. Count one filter first: a kernel for each incoming map,"
            " and one bias. Then think of how many filters there are."
        )
    return "5 × 5 × 8 weights and 1 bias make 201 numbers for a filter, and there are 16 filters."


def count_parameters():
    """Count the weights and the bias of one filter, then all filters."""
    kernel, maps, filters = 5, 8, 16
    return (kernel * kernel * maps + 1) * filters


def _judge_field(answer: Any) -> str:
    value = number(answer)
    mistakes = {
        8: "After the pooling a step is 2 pixels wide: the last convolution adds (3 - 1) * 2.",
        9: "The pooling has a window too, of 2: it adds (2 - 1) * 1.",
        7: "That would be three convolutions without the pooling. What does the pooling do to the"
        " step, and to the side?",
        6: "That is what a value sees after the pooling. One more convolution follows.",
        5: "That is what a value sees after two convolutions. Go on with the pooling.",
        12: "The step doubles after the pooling's own window has been added, not before.",
        14: "The step is 2 for the last convolution only, and not for the first two.",
        100: "These are all the pixels of the square. The question asks for its side.",
        18: "Halving the map does not double what was seen before, only what comes after.",
    }
    if value in mistakes:
        raise Mistake(mistakes[int(value)])
    if value != 10:
        raise Mistake(
            f"{value:,.10g} is not it. Begin with a side of 1 and a step of 1, and apply the two"
            " rules layer by layer."
        )
    return "1, then 3, 5, 6 (the step becomes 2), and 6 + 2 * 2 = 10 pixels."


def follow_receptive_field():
    """Apply the two rules, layer by layer."""
    side, step = 1, 1
    for window, stride in [(3, 1), (3, 1), (2, 2), (3, 1)]:
        side, step = side + (window - 1) * step, step * stride
    return side


def _judge_same_size(answer: Any) -> str:
    generator = np.random.default_rng(0)
    for shape, side in (((6, 9), 3), ((8, 7), 5), ((5, 5), 1)):
        picture, kernel = generator.normal(size=shape), generator.normal(size=(side, side))
        _compare_same_size(array(call(answer, picture, kernel)), picture, kernel)
    whole = generator.integers(0, 9, (5, 6))
    kernel = np.array([[0.25, 0, 0.5], [0.1, 1, 0], [0, 0.3, 0.7]])
    _compare_same_size(array(call(answer, whole, kernel)), whole, kernel)
    return "Same size, same numbers as padding=“same” in Keras: the frame of zeros does it."


def _compare_same_size(found: np.ndarray, picture: np.ndarray, kernel: np.ndarray) -> None:
    from scipy.signal import correlate2d  # loaded here: it takes a while

    side, shape = len(kernel), picture.shape
    what = f"A picture of {shape[0]} × {shape[1]} with a kernel of {side} × {side}"
    if found.shape != shape:
        small = tuple(length - side + 1 for length in shape)
        why = "Pad it with a frame of zeros first." if found.shape == small else ""
        why = why or "The result must be as large as the picture: think about the frame's width."
        raise Mistake(f"{what} gave a result of shape {found.shape}. {why}")
    wanted = correlate2d(picture, kernel, mode="same")
    if np.allclose(found, wanted, atol=1e-4):
        return
    for mode, why in (
        ("edge", "You repeat the outermost pixels around the picture. Put zeros there."),
        ("reflect", "You mirror the picture beyond its border. Put zeros there."),
        ("wrap", "Your picture goes on at the other side. Put zeros around it."),
    ):
        margin = side // 2
        framed = np.pad(picture, margin, mode=mode)  # type: ignore[call-overload]
        if margin and np.allclose(found, correlate2d(framed, kernel, mode="valid"), atol=1e-4):
            raise Mistake(f"The inside is right, the border is not. {why}")
    if np.allclose(found, correlate2d(picture, kernel[::-1, ::-1], mode="same"), atol=1e-4):
        raise Mistake(
            "You give the kernel half a turn first. That is what mathematics calls a convolution;"
            " lay the kernel over the picture as it is."
        )
    if np.allclose(found, correlate2d(picture, kernel.T, mode="same"), atol=1e-4):
        raise Mistake("Rows and columns of the kernel are exchanged.")
    if picture.dtype.kind == "i" and np.abs(found - wanted).max() <= 1:
        raise Mistake(
            "With whole numbers in the picture, your results lose their decimals: np.zeros_like"
            " and np.pad take over the kind of number. Use np.zeros."
        )
    inner = (slice(side // 2, -(side // 2) or None),) * 2
    where = "inside" if not np.allclose(found[inner], wanted[inner], atol=1e-4) else "at the border"
    raise Mistake(f"{what}: the result has the right size, but other numbers {where}.")


def write_slide_same():
    """Slide the kernel over the framed picture."""
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


def design_small_network(dataset):
    """Three blocks, and no hidden dense layer.

    Args:
        dataset: The images that it is for.
    """
    from imgclf_lib.experiment import Experiment
    from imgclf_lib.model import plan_network

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


slide_same = Exercise(
    "slide_same",
    "A convolution that keeps the size",
    ["padding", "sliding a kernel"],
    _judge_same_size,
    write_slide_same,
    "A frame as wide as half the kernel gives back the rows and columns that would be lost.",
    [
        "slide in this notebook does all but one thing: it loses a border.",
        "np.pad(picture, 1) puts a frame of one zero around a picture. How wide must the frame be"
        " for a kernel of 5 by 5?",
        "The frame is len(kernel) // 2 wide. Then slide the kernel over the framed picture.",
    ],
)

receptive_field = Exercise(
    "receptive_field",
    "How far does it see?",
    ["receptive field of stacked layers", "pooling doubles the step"],
    _judge_field,
    follow_receptive_field,
    "The side grows by (window - 1) * step at every layer; the pooling doubles the step for"
    " everything after it.",
    [
        "Write two columns, side and step, and a row for each of the four layers.",
        "After the two convolutions: side 5, step 1. The pooling has window 2 and stride 2.",
        "After the pooling: side 6, step 2. The last convolution adds (3 - 1) * 2.",
    ],
)

convolution_parameters = Exercise(
    "convolution_parameters",
    "How many parameters has this convolution?",
    ["weights for each input channel", "one bias a filter"],
    _judge_parameters,
    count_parameters,
    "A filter has one kernel for each map that comes in, and one bias; the size of the image does"
    " not matter.",
    [
        "Begin with one filter that reads one map: how many numbers does its kernel have?",
        "A filter has one such kernel for each of the 8 maps, and one bias.",
        "Multiply what one filter has by the number of filters: (5 * 5 * 8 + 1) * 16.",
    ],
)

small_network = Exercise(
    "small_network",
    "A small network that beats the baseline",
    ["where the parameters are", "an architecture by the fields of an experiment"],
    judge_small_network,
    design_small_network,
    "Three blocks make the maps so small that one dense layer has little to read; without a hidden"
    " dense layer most of the parameters are gone.",
    [
        "Play with the designer above: which single change takes away the most parameters?",
        "The first dense layer reads every value of the last map. Make that map smaller with a"
        " third block, and leave the hidden dense layer out: dense_units=().",
        "Try filters=(16, 24, 32), dense_units=(), dropout=0.0, and a learning rate of 0.005. For"
        ' large images or many classes also head="average".',
    ],
)
