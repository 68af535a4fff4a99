"""The exercises of notebook 02: scaling, statistics without a leak, a shift, an honest split."""

from typing import Any

import numpy as np

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    array,
    call,
    judge_function,
    judge_number,
    question,
)

SLACK = 0.12  # groups cannot be cut, so the share is met roughly


def standardise_white(mean, deviation):
    return (255 - mean[0]) / deviation[0]


@question(
    "What becomes of white?",
    tests=["standardising one value", "the range of standardised pixels"],
    hints=[
        "By which two steps does `standardize` change a value?",
        "The value is 255; mean[0] and deviation[0] belong to channel 0.",
    ],
    solve=standardise_white,
    explanation="Standardising subtracts the mean and divides by the deviation, for every pixel"
    " alike.",
)
def white_pixel(answer: Any, mean: np.ndarray, deviation: np.ndarray) -> str:
    middle, spread = float(mean[0]), float(deviation[0])
    right = standardise_white(mean, deviation)
    return judge_number(
        answer,
        right,
        f"(255 - {middle:.2f}) / {spread:.2f} = {right:.3f}: so many deviations above the mean.",
        {
            "That is what unit makes of it. What does standardize do?": 1.0,
            "You have divided by the deviation. Subtract the mean first.": 255 / spread,
            "The mean is subtracted. Now divide by the standard deviation.": 255 - middle,
            "Subtract first, then divide: mind the brackets.": 255 - middle / spread,
            "The other way round: the value minus the mean, not the mean minus the value.": -right,
            "You have divided by the variance. Take the deviation.": right / spread,
            "The statistics are those of 0..255, so white is 255 here, not 1.": (1 - middle)
            / spread,
        },
        "White is 255. Subtract the mean of channel 0, then divide by its deviation.",
        close=0.006,  # somebody rounds to two decimals
    )


def write_standardise():
    def standardise(training, validation):
        mean = training.mean(axis=(0, 1, 2))
        deviation = training.std(axis=(0, 1, 2))
        return (training - mean) / deviation, (validation - mean) / deviation

    return standardise


def _scaled(images: Any, source: Any, axes: Any = (0, 1, 2), power: int = 1) -> np.ndarray:
    spread = source.std(axes, keepdims=True) ** power
    return (images - source.mean(axes, keepdims=True)) / np.where(spread, spread, 1)


def _name_standards(training: np.ndarray, validation: np.ndarray) -> dict[str, Any]:
    wrong = {  # as seen in the training images, whatever became of the validation images
        "Training is right. Use its mean and deviation for validation, too.": (
            _scaled(training, training)
        ),
        "The validation images have helped to find mean and deviation: that is a leak. Ask the"
        " training images only.": _scaled(training, np.concatenate([training, validation])),
        "One mean for all channels. Each channel has its own: take the mean over the axes 0, 1 and"
        " 2.": _scaled(training, training, None),
        "One mean for each pixel. Wanted is one for each channel: take the mean over the axes 0, 1"
        " and 2.": _scaled(training, training, 0),
        "Each image has got its own mean in each channel. Take it over all training images: the"
        " axes 0, 1 and 2.": _scaled(training, training, (1, 2)),
        "Each image has got its own mean. Take it over all training images: the axes 0, 1 and"
        " 2.": _scaled(training, training, (1, 2, 3)),
        "You have divided by the variance. Its root is the standard deviation.": (
            _scaled(training, training, power=2)
        ),
        "The mean is subtracted. Now divide by the standard deviation.": (
            _scaled(training, training, power=0)
        ),
        "Subtract the mean before you divide.": training / training.std((0, 1, 2)),
        "That is unit. Subtract the mean and divide by the deviation instead.": training / 255,
    }
    own = _scaled(training, training), _scaled(validation, validation)
    return {
        "You have used the statistics of the validation images for themselves. Then their"
        " difference to training is wiped out. Use those of the training images for both.": own,
        **{message: (scaled, validation * np.nan) for message, scaled in wrong.items()},
    }


def _read_two(found: Any) -> np.ndarray:
    if not (isinstance(found, tuple | list) and len(found) == 2):
        raise Mistake("Two arrays are wanted: return training, validation")
    first, second = map(array, found)
    if [len(each) if each.ndim else 0 for each in (first, second)] == [10, 40]:
        raise Mistake("In the other order: training first, then validation.")
    if (first.shape, second.shape) != ((40, 6, 5, 3), (10, 6, 5, 3)):
        raise Mistake("Both arrays keep their shape: images, height, width, channels.")
    if {first.dtype.kind, second.dtype.kind} & set("biu"):
        raise Mistake("Standardised values are fractions and may be negative: return floats.")
    return np.concatenate([first, second])


def _why_not_standard(found: np.ndarray, *_: Any) -> str:
    training = found[:40]
    means, deviations = training.mean((0, 1, 2)), training.std((0, 1, 2))
    return (
        "After it, the training images should have mean 0 and deviation 1 in each channel. Yours"
        f" have means {means.round(2).tolist()} and deviations {deviations.round(2).tolist()}."
    )


@question(
    "One ruler for both",
    tests=["standardising channel by channel", "statistics of the training images only"],
    hints=[
        "Which axes count the images, the rows and the columns? The channel axis must remain.",
        "mean = training.mean(axis=(0, 1, 2)), and the deviation likewise.",
        "Subtract the same mean and divide by the same deviation in both arrays.",
    ],
    solve=write_standardise,
    explanation="Mean and deviation are learnt from the training images, one number for each"
    " channel, and then used for both arrays. The validation images are measured; they are not"
    " asked.",
)
def standardise(answer: Any) -> str:
    centres, widths = np.array([60, 120, 180]), np.array([10, 25, 40])
    pixels = np.random.default_rng(0).normal(centres, widths, (50, 6, 5, 3))
    pixels[40:] += 30  # the validation images are brighter
    images = pixels.clip(0, 255).astype("uint8")
    return judge_function(
        answer,
        write_standardise(),
        [(images[:40], images[40:])],
        "Training has mean 0 and deviation 1 in each channel. Validation has not, and need not: it"
        " is measured with the same ruler.",
        _name_standards,
        _why_not_standard,
        changed="Your function changes the images that it is given. Work on a copy.",
        read=_read_two,
        close=0.01,
        relative=0.01,
    )


def write_shift():
    import numpy as np

    def shift(images, right):
        shifted = np.zeros_like(images)
        width = images.shape[2]
        shifted[:, :, right:] = images[:, :, : width - right]
        return shifted

    return shift


@question(
    "Shift a whole batch",
    tests=[
        "the axes of a batch of images",
        "filling instead of wrapping around",
        "the case of zero",
    ],
    hints=[
        "The shape is images, height, width, channels. Which axis is the width?",
        "Begin with shifted = np.zeros_like(images). Which columns of it receive something?",
        "shifted[:, :, right:] receives the first (width - right) columns of images.",
    ],
    solve=write_shift,
    explanation="We start with zeros of the same shape and dtype, and copy the columns that stay in"
    " the picture. Counting from the left (width - right) also works for a shift by 0.",
)
def shift(answer: Any) -> str:
    images, moved = np.random.default_rng(0).integers(1, 256, (3, 5, 7, 3), "uint8"), write_shift()

    def mistakes(images: np.ndarray, right: int) -> dict[str, Any]:
        standing, mirrored = images.swapaxes(1, 2), images[:, :, ::-1]
        return {
            "Nothing has moved.": images,
            "What leaves on the right comes back on the left: np.roll does that. Fill the first"
            " columns with 0.": np.roll(images, right, 2),
            "The images moved down. Axis 1 is the height; the width is axis 2.": [
                moved(standing, right).swapaxes(1, 2),
                np.roll(images, right, 1),
            ],
            "The images moved to the left.": [
                moved(mirrored, right)[:, :, ::-1],
                np.roll(images, -right, 2),
            ],
            "Axis 0 counts the images and axis 3 the channels. The width is axis 2.": [
                np.roll(images, right, axis) for axis in (0, 3, None)
            ],
            "The images have moved as they should, but the gap is not filled with 0.": np.where(
                np.arange(7)[:, np.newaxis] < right, np.nan, moved(images, right)
            ),
        }

    for right, named, otherwise in (
        (2, mistakes, ""),
        (1, mistakes, ""),
        (0, {}, "A shift by 0 should change nothing. Mind that x[:-0] is empty in Python."),
        (7, {}, "Shifted by their whole width, the images should be all zeros."),
    ):
        said = judge_function(
            answer,
            moved,
            [(images, right)],
            "It moves, it fills with zeros, and nothing comes back on the other side.",
            named,
            otherwise
            or f"After a shift by {right}, column {right} should hold what column 0 held, for every"
            " image, row and channel; the columns before it hold 0.",
            shape=lambda found, wanted, images, right: (
                f"Images of shape {wanted.shape}, shifted by {right}, keep their shape; yours have"
                f" {found.shape}." + (" Mind that x[:-0] is empty." if right == 0 else "")
            ),
            changed="Your function changes the images that it is given. Start with a copy.",
        )
    kind = array(call(answer, images.copy(), 2)).dtype
    if kind != images.dtype:
        raise Mistake(f"uint8 images went in, {kind} came out. Keep the dtype.")
    return said


def write_split():
    import numpy as np

    def split(groups, share):
        different = np.unique(groups)
        order = np.random.default_rng(0).permutation(different)
        chosen = order[: round(share * len(order))]
        return np.isin(groups, chosen)

    return split


@question(
    "A split that keeps together what belongs together",
    tests=["splitting by groups", "no group on both sides", "a function for any groups"],
    hints=[
        "np.unique(groups) gives every group once. Divide those.",
        "Shuffle the different groups, and keep the first round(share * how many) of them.",
        "np.isin(groups, chosen) is True for every image whose group was chosen.",
    ],
    solve=write_split,
    explanation="The groups are shuffled and divided, not the images. np.isin then says for each"
    " image whether its group was chosen, and so all images of a group land on the same side.",
)
def split(answer: Any) -> str:
    generator = np.random.default_rng(0)
    people = np.array([f"person {number}" for number in range(120)])
    uneven = np.repeat(people, generator.integers(1, 7, len(people)))
    twins = np.tile(np.arange(100), 2)
    for groups in (twins, generator.permutation(uneven), np.arange(200)):
        for share in (0.2, 0.4):
            _judge_held(array(call(answer, groups.copy(), share)), groups, share)
    return "No group is divided, and both parts have their share. Such a score can be believed."


def _judge_held(held: np.ndarray, groups: np.ndarray, share: float) -> None:
    count = len(groups)
    if held.shape != (count,):
        raise Mistake(
            f"For {count} groups a list of {count} truth values is wanted, True for validation;"
            f" yours has shape {held.shape}. Row numbers can be turned into one with"
            " np.isin(np.arange(len(groups)), rows)."
        )
    if not np.isin(held, (0, 1)).all():
        raise Mistake("Truth values are wanted: True for validation, False for training.")
    held = held.astype(bool)
    if held.all() or not held.any():
        raise Mistake(f"One of the two parts is empty, for {count} images and a share of {share}.")
    both = np.intersect1d(groups[held], groups[~held])
    if len(both):
        raise Mistake(
            f"Group {both[0].item()!r} has images in both parts ({len(both)} groups are divided):"
            " that is the leak. Choose groups, not images."
        )
    if abs(held.mean() - share) > SLACK:
        if abs(held.mean() - (1 - share)) <= SLACK:
            raise Mistake("You have marked the training images. True is for validation.")
        raise Mistake(
            f"Asked for a share of {share}, your validation part holds {held.mean():.2f} of the"
            " images. How many different groups are there, and how many of them do you take?"
        )
