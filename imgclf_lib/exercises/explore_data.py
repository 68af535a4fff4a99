"""The exercises of notebook 01: shares, distances, misfits, and what a leak adds to a score."""

from typing import Any

import numpy as np

from imgclf_lib.data import ImageData
from imgclf_lib.exercises.exercise import Exercise, Mistake, array, call, number

ROUNDING = 0.0011  # somebody rounds to three decimals
LEAKED = 0.4


def _judge_largest_share(answer: Any, source: ImageData) -> str:
    used = source.table[source.table["problem"] == ""]
    sizes = used.loc[used["split"] == "train", "label"].value_counts()
    right, found = sizes.max() / sizes.sum(), number(answer)
    if abs(found - right) < ROUNDING:
        return (
            f"{sizes.max():,} of {sizes.sum():,} training images: {right:.3f}. A classifier that"
            " always names this class is right about as often, and has learned nothing."
        )
    if found > 1 and abs(found / 100 - right) < ROUNDING:
        raise Mistake(
            f'In percent, yes. Write it as a share, {found / 100:g}, or as "{found:g} %".'
        )
    if found == sizes.max():
        raise Mistake("That is the number of its images. Divide it by all training images.")
    if abs(found - sizes.max() / len(used)) < ROUNDING:
        raise Mistake("You have divided by the images of all splits. Count training images only.")
    if abs(found - sizes.max() / sizes.min()) < ROUNDING:
        raise Mistake("That compares the largest class with the smallest. Divide by all of them.")
    if abs(found - sizes.min() / sizes.sum()) < ROUNDING:
        raise Mistake("That is the share of the smallest class. The largest one is wanted.")
    if abs(found - (1 - right)) < ROUNDING:
        raise Mistake("That is the share of all the other classes together.")
    raise Mistake("The training images of the largest class, divided by all training images.")


def _solve_largest_share(source):
    used = source.table[source.table["problem"] == ""]
    sizes = used[used["split"] == "train"]["label"].value_counts()
    return sizes.max() / sizes.sum()


largest_share = Exercise(
    "largest_share",
    "The share of the largest class",
    ["counting the images of a class", "a share instead of a count"],
    _judge_largest_share,
    _solve_largest_share,
    "A share is a part divided by the whole: images of the largest class by all training images.",
    [
        "Two numbers are needed: the images of the largest class, and all training images.",
        "`sizes` holds the training images of each class: sizes.max() and sizes.sum().",
    ],
)


def _judge_distances(answer: Any) -> str:
    generator = np.random.default_rng(0)
    for shape in ((5, 4, 6, 3), (3, 7, 2, 1)):
        images = generator.integers(0, 256, shape, "uint8")
        image = generator.integers(0, 256, shape[1:], "uint8")
        given = images.copy(), image.copy()
        found = array(call(answer, *given))
        if not (np.array_equal(given[0], images) and np.array_equal(given[1], image)):
            raise Mistake("Your function changes the images that it is given. Work on a copy.")
        _compare_distances(found, images, image)
    return "One number for each image, 0 only for an equal one. This is how images are ranked."


def _compare_distances(found: np.ndarray, images: np.ndarray, image: np.ndarray) -> None:
    if found.shape != (len(images),):
        raise Mistake(
            f"For images of shape {images.shape} your function returns shape {found.shape}; wanted"
            f" is ({len(images)},), one number for each image. Sum over the axes 1, 2 and 3; axis 0"
            " counts the images."
        )
    pixels = (1, 2, 3)
    exact = images.astype(float) - image
    with np.errstate(over="ignore"):
        wrapped = images - image
        squares = wrapped**2
    overflow = (
        "Mind uint8: 3 - 5 is 254 there, and 20 * 20 is 144. Make the images floats before you"
        " subtract, for example with images.astype(float)."
    )
    wrong = [
        ((exact**2).sum(pixels), "Nearly: these are the squared distances. Take the root."),
        (np.sqrt((exact**2).mean(pixels)), "You took the mean of the squares. Sum them."),
        (np.abs(exact).sum(pixels), "You summed the differences without squaring them first."),
        (np.abs(exact.sum(pixels)), "Differences of both signs cancel. Square before you sum."),
        (exact.sum(pixels), "Differences of both signs cancel. Square before you sum."),
        (np.sqrt((wrapped.astype(float) ** 2).sum(pixels)), overflow),
        (np.sqrt(squares.sum(pixels)), overflow),
        (squares.sum(pixels), overflow),
    ]
    if np.allclose(found, np.sqrt((exact**2).sum(pixels)), rtol=1e-3):
        return
    for values, message in wrong:
        if np.allclose(found, values, rtol=1e-3):
            raise Mistake(message)
    raise Mistake(
        "One number for each image, but not its distance: subtract, square, sum over all pixels"
        " and channels of one image, take the root."
    )


def _solve_distances():
    import numpy as np

    def distances(images, image):
        differences = images.astype("float64") - image
        return np.sqrt((differences**2).sum(axis=(1, 2, 3)))

    return distances


distances = Exercise(
    "distances",
    "From one image to all others",
    ["sums over the right axes", "uint8 overflow", "the distance between two images"],
    _judge_distances,
    _solve_distances,
    "As floats the differences can be negative. They are squared and summed over height, width and"
    " channels, so axis 0, the images, remains; the root brings back the unit of the pixels.",
    [
        "NumPy subtracts one image from all images at once: images - image. But of which dtype?",
        "Square, then .sum(axis=(1, 2, 3)): height, width and channels. Then np.sqrt.",
    ],
)


def _judge_misfit(answer: Any, source: ImageData, means: np.ndarray) -> str:
    train, names = source.train, source.class_names
    if isinstance(answer, str) and answer.strip(" .'\"").lower() == "none":
        if _solve_misfit(source, means) == "none":
            return "So it is: every image is nearest to the mean of its own class. That is rare."
        raise Mistake("There is at least one. Compare each image with the means of all classes.")
    row = number(answer)
    if row != int(row) or not 0 <= row < len(train):
        raise Mistake(f"A row of train.images is wanted: a whole number, 0 to {len(train) - 1:,}.")
    label = train.labels[int(row)]
    others = [each for each in np.unique(train.labels) if each != label]
    own, *away = (
        np.sqrt(np.square(train.images[int(row)] - means[each]).sum()) for each in (label, *others)
    )
    nearest = int(np.argmin(away))
    facts = (
        f"Row {int(row):,} is of class {names[label]!r}. To the mean of its own class the distance"
        f" is {own:,.1f}, to that of {names[others[nearest]]!r} it is {away[nearest]:,.1f}."
    )
    if away[nearest] < own:
        return (
            f"{facts} To answer with the nearest mean would be wrong here. Look at this image: is"
            " it an unusual one, or is its label wrong?"
        )
    raise Mistake(f"{facts} No other mean is nearer. Images far from their own mean are likelier.")


def _solve_misfit(source, means):
    import numpy as np

    train = source.train
    present = np.unique(train.labels)
    for row, label in enumerate(train.labels):
        distances = np.square(train.images[row] - means[present]).sum(axis=(1, 2, 3))
        if distances.min() < distances[present == label]:
            return row
    return "none"


misfit = Exercise(
    "misfit",
    "An image in the wrong company",
    ["comparing an image with the mean of every class", "reading an unusual image"],
    _judge_misfit,
    _solve_misfit,
    "For each image the distances to all mean images are computed (the root may be left out, it"
    " changes no order). The first one that is not nearest to its own mean is a right answer.",
    [
        "Sort the explorer by 'unusual first'. Such images are far from their own mean.",
        "Choose 'by chance' or use sort_images(source, by=\"distance\") to learn the rows.",
        "For a row: np.square(train.images[row] - means).sum(axis=(1, 2, 3)) gives one number for"
        " each class. Which is the smallest, and is it that of train.labels[row]?",
    ],
)


def _judge_remembered(answer: Any, scores: dict[float, float]) -> str:
    honest, found = scores[0], number(answer)
    right = LEAKED + (1 - LEAKED) * honest
    if abs(found - right) < 0.006:
        return (
            f"{LEAKED} x 1 + {1 - LEAKED:.1f} x {honest:.3f} = {right:.3f}, and {honest:.3f} is"
            " honest. Compare it with the curve above."
        )
    if found > 1 and abs(found / 100 - right) < 0.006:
        raise Mistake("In percent, yes. Write it as a share between 0 and 1.")
    wrong = [
        (LEAKED + honest, "You have added the two. Only the other images are left to be guessed."),
        ((1 - LEAKED) * honest, "And the images that it remembers? It gets all of those right."),
        (LEAKED * honest, "It remembers the leaked images: it gets all of those right."),
        (honest, "That is the score without a leak. The leaked images are all right now."),
        (LEAKED, "These are remembered. Of the other images it still gets some right."),
        ((LEAKED + honest) / 2, "The two parts are not equally large: weigh each by its share."),
    ]
    for value, message in wrong:
        if abs(found - value) < 0.006:
            raise Mistake(message)
    raise Mistake("Two parts: the remembered images, and the others. What share of each is right?")


def _solve_remembered(scores):
    remembered, others = 0.4, 0.6
    return remembered * 1 + others * scores[0]


remembered = Exercise(
    "remembered",
    "What a leak adds",
    ["what a leak does to a score", "a weighted mean"],
    _judge_remembered,
    _solve_remembered,
    "Of the remembered images all are right, of the others as many as without a leak.",
    [
        "Think of 100 validation images. How many are remembered, and how many of the others are"
        " right?",
        "0.4 of the images times 1, plus 0.6 of the images times scores[0].",
    ],
)
