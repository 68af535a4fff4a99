"""The exercises of notebook 02: scaling, statistics without a leak, a shift, an honest split."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Exercise, Mistake, array, call, number
from imgclf_lib.exercises.split_judge import judge_split, solve_split

CLOSE = 0.006  # somebody rounds to two decimals


def _judge_white_pixel(answer: Any, mean: np.ndarray, deviation: np.ndarray) -> str:
    middle, spread = float(mean[0]), float(deviation[0])
    right, found = (255 - middle) / spread, number(answer)
    if abs(found - right) < CLOSE:
        return (
            f"(255 - {middle:.2f}) / {spread:.2f} = {right:.3f}: so many deviations above the mean."
        )
    wrong = [
        (1.0, "That is what unit makes of it. What does standardize do?"),
        (255 / spread, "You have divided by the deviation. Subtract the mean first."),
        (255 - middle, "The mean is subtracted. Now divide by the standard deviation."),
        (255 - middle / spread, "Subtract first, then divide: mind the brackets."),
        (-right, "The other way round: the value minus the mean, not the mean minus the value."),
        ((255 - middle) / spread**2, "You have divided by the variance. Take the deviation."),
        ((1 - middle) / spread, "The statistics are those of 0..255, so white is 255 here, not 1."),
    ]
    for value, message in wrong:
        if abs(found - value) < CLOSE:
            raise Mistake(message)
    raise Mistake("White is 255. Subtract the mean of channel 0, then divide by its deviation.")


def _solve_white_pixel(mean, deviation):
    return (255 - mean[0]) / deviation[0]


white_pixel = Exercise(
    "white_pixel",
    "What becomes of white?",
    ["standardising one value", "the range of standardised pixels"],
    _judge_white_pixel,
    _solve_white_pixel,
    "Standardising subtracts the mean and divides by the deviation, for every pixel alike.",
    [
        "By which two steps does `standardize` change a value?",
        "The value is 255; mean[0] and deviation[0] belong to channel 0.",
    ],
)


def _judge_standardise(answer: Any) -> str:
    generator = np.random.default_rng(0)
    centres, widths = np.array([60, 120, 180]), np.array([10, 25, 40])
    pixels = generator.normal(centres, widths, (50, 6, 5, 3))
    pixels[40:] += 30  # the validation images are brighter
    images = pixels.clip(0, 255).astype("uint8")
    given = images[:40].copy(), images[40:].copy()
    found = call(answer, *given)
    if not (isinstance(found, tuple | list) and len(found) == 2):
        raise Mistake("Two arrays are wanted: return training, validation")
    results = [array(each) for each in found]
    if not np.array_equal(np.concatenate(given), images):
        raise Mistake("Your function changes the images that it is given. Work on a copy.")
    if [len(each) if each.ndim else 0 for each in results] == [10, 40]:
        raise Mistake("In the other order: training first, then validation.")
    if [each.shape for each in results] != [each.shape for each in given]:
        raise Mistake("Both arrays keep their shape: images, height, width, channels.")
    if any(each.dtype.kind in "biu" for each in results):
        raise Mistake("Standardised values are fractions and may be negative: return floats.")
    _compare_standardised(results, images[:40].astype(float), images[40:].astype(float))
    return (
        "Training has mean 0 and deviation 1 in each channel. Validation has not, and need not:"
        " it is measured with the same ruler."
    )


def _compare_standardised(
    found: list[np.ndarray], training: np.ndarray, validation: np.ndarray
) -> None:
    both, channels = np.concatenate([training, validation]), (0, 1, 2)

    def scaled(
        images: np.ndarray, source: np.ndarray, axes: tuple[int, ...] = channels, power: int = 1
    ) -> np.ndarray:
        spread = source.std(axes, keepdims=True) ** power
        return (images - source.mean(axes, keepdims=True)) / np.where(spread, spread, 1)

    def same(values: np.ndarray, expected: np.ndarray) -> bool:
        return np.allclose(values, expected, rtol=0.01, atol=0.01)

    if same(found[0], scaled(training, training)):
        if same(found[1], scaled(validation, training)):
            return
        if same(found[1], scaled(validation, validation)):
            raise Mistake(
                "You have used the statistics of the validation images for themselves. Then their"
                " difference to training is wiped out. Use those of the training images for both."
            )
        raise Mistake("Training is right. Use its mean and deviation for validation, too.")
    wrong = [
        (scaled(training, both), "The validation images have helped to find mean and deviation:"
         " that is a leak. Ask the training images only."),
        (scaled(training, training, (0, 1, 2, 3)), "One mean for all channels. Each channel has"
         " its own: take the mean over the axes 0, 1 and 2."),
        (scaled(training, training, (0,)), "One mean for each pixel. Wanted is one for each"
         " channel: take the mean over the axes 0, 1 and 2."),
        (scaled(training, training, (1, 2)), "Each image has got its own mean. Take it over all"
         " training images: the axes 0, 1 and 2."),
        (scaled(training, training, (1, 2, 3)), "Each image has got its own mean. Take it over all"
         " training images: the axes 0, 1 and 2."),
        (scaled(training, training, power=2), "You have divided by the variance. Its root is the"
         " standard deviation."),
        (scaled(training, training, power=0), "The mean is subtracted. Now divide by the"
         " standard deviation."),
        (training / training.std(channels), "Subtract the mean before you divide."),
        (training / 255, "That is unit. Subtract the mean and divide by the deviation instead."),
    ]  # fmt: skip
    for values, message in wrong:
        if same(found[0], values):
            raise Mistake(message)
    raise Mistake(
        "After it, the training images should have mean 0 and deviation 1 in each channel. Yours"
        f" have means {found[0].mean(channels).round(2).tolist()} and deviations"
        f" {found[0].std(channels).round(2).tolist()}."
    )


def _solve_standardise():
    def standardise(training, validation):
        mean = training.mean(axis=(0, 1, 2))
        deviation = training.std(axis=(0, 1, 2))
        return (training - mean) / deviation, (validation - mean) / deviation

    return standardise


standardise = Exercise(
    "standardise",
    "One ruler for both",
    ["standardising channel by channel", "statistics of the training images only"],
    _judge_standardise,
    _solve_standardise,
    "Mean and deviation are learnt from the training images, one number for each channel, and then"
    " used for both arrays. The validation images are measured; they are not asked.",
    [
        "Which axes count the images, the rows and the columns? The channel axis must remain.",
        "mean = training.mean(axis=(0, 1, 2)), and the deviation likewise.",
        "Subtract the same mean and divide by the same deviation in both arrays.",
    ],
)


def _judge_shift(answer: Any) -> str:
    images = np.random.default_rng(0).integers(1, 256, (3, 5, 7, 3), "uint8")
    for right in (2, 1, 0, 7):
        given = images.copy()
        result = call(answer, given, right)
        found = array(result)
        if not np.array_equal(given, images):
            raise Mistake("Your function changes the images that it is given. Start with a copy.")
        expected = np.zeros_like(images)
        expected[:, :, right:] = images[:, :, : 7 - right]
        if found.shape != images.shape:
            raise Mistake(
                f"Images of shape {images.shape}, shifted by {right}, keep their shape; yours have"
                f" {found.shape}." + (" Mind that x[:-0] is empty." if right == 0 else "")
            )
        if not np.array_equal(found, expected):
            _explain_shift(found, images, right)
        if found.dtype != images.dtype:
            raise Mistake(f"uint8 images went in, {found.dtype} came out. Keep the dtype.")
    return "It moves, it fills with zeros, and nothing comes back on the other side."


def _explain_shift(found: np.ndarray, images: np.ndarray, right: int) -> None:
    """Say what is not right about images that should have been shifted."""
    if right == 0:
        raise Mistake("A shift by 0 should change nothing. Mind that x[:-0] is empty in Python.")
    if right == images.shape[2]:
        raise Mistake("Shifted by their whole width, the images should be all zeros.")
    if np.array_equal(found, images):
        raise Mistake("Nothing has moved.")
    if np.array_equal(found, np.roll(images, right, axis=2)):
        raise Mistake(
            "What leaves on the right comes back on the left: np.roll does that. Fill the first"
            " columns with 0."
        )
    down, left = np.zeros_like(images), np.zeros_like(images)
    down[:, right:] = images[:, :-right]
    left[:, :, :-right] = images[:, :, right:]
    if any(np.array_equal(found, each) for each in (down, np.roll(images, right, axis=1))):
        raise Mistake("The images moved down. Axis 1 is the height; the width is axis 2.")
    if any(np.array_equal(found, each) for each in (left, np.roll(images, -right, axis=2))):
        raise Mistake("The images moved to the left.")
    if any(np.array_equal(found, np.roll(images, right, axis=each)) for each in (0, 3, None)):
        raise Mistake("Axis 0 counts the images and axis 3 the channels. The width is axis 2.")
    if np.array_equal(found[:, :, right:], images[:, :, :-right]):
        raise Mistake("The images have moved as they should, but the gap is not filled with 0.")
    raise Mistake(
        f"After a shift by {right}, column {right} should hold what column 0 held, for every image,"
        " row and channel; the columns before it hold 0."
    )


def _solve_shift():
    import numpy as np

    def shift(images, right):
        shifted = np.zeros_like(images)
        width = images.shape[2]
        shifted[:, :, right:] = images[:, :, : width - right]
        return shifted

    return shift


shift = Exercise(
    "shift",
    "Shift a whole batch",
    ["the axes of a batch of images", "filling instead of wrapping around", "the case of zero"],
    _judge_shift,
    _solve_shift,
    "We start with zeros of the same shape and dtype, and copy the columns that stay in the"
    " picture. Counting from the left (width - right) also works for a shift by 0.",
    [
        "The shape is images, height, width, channels. Which axis is the width?",
        "Begin with shifted = np.zeros_like(images). Which columns of it receive something?",
        "shifted[:, :, right:] receives the first (width - right) columns of images.",
    ],
)

split = Exercise(
    "split",
    "A split that keeps together what belongs together",
    ["splitting by groups", "no group on both sides", "a function for any groups"],
    judge_split,
    solve_split,
    "The groups are shuffled and divided, not the images. np.isin then says for each image whether"
    " its group was chosen, and so all images of a group land on the same side.",
    [
        "np.unique(groups) gives every group once. Divide those.",
        "Shuffle the different groups, and keep the first round(share * how many) of them.",
        "np.isin(groups, chosen) is True for every image whose group was chosen.",
    ],
)
