"""The exercises of notebook 01: shares, distances, misfits, and what a leak adds to a score."""

from typing import Any

import numpy as np

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    judge_function,
    judge_number,
    number,
    question,
    words,
)
from imgclf_lib.data import ImageData, Split

CLEARLY = 1.5  # times as far: true of 3 in 100 images of Fashion-MNIST, where 31 are misfits


def share_of_largest(source):
    accepted = source.table[source.table["problem"] == ""]
    sizes = accepted[accepted["split"] == "train"]["label"].value_counts()
    return sizes.max() / sizes.sum()


@question(
    "The share of the largest class",
    tests=["counting the images of a class", "a share instead of a count"],
    hints=[
        "Two numbers are needed: the images of the largest class, and all training images.",
        "`sizes` holds the training images of each class: sizes.max() and sizes.sum().",
    ],
    solve=share_of_largest,
    explanation="A share is a part divided by the whole: images of the largest class by all"
    " training images.",
)
def largest_share(answer: Any, source: ImageData) -> str:
    used = source.table[source.table["problem"] == ""]
    sizes, right = (
        used.loc[used["split"] == "train", "label"].value_counts(),
        share_of_largest(source),
    )
    most, least, count = sizes.max(), sizes.min(), sizes.sum()
    return judge_number(
        answer,
        right,
        f"{most:,} of {count:,} training images: {right:.3f}. A classifier that always names this"
        " class is right about as often, and has learned nothing.",
        {
            "That is the number of its images. Divide it by all training images.": most,
            "You have divided by the images of all splits. Count training images only.": (
                most / len(used)
            ),
            "That compares the largest class with the smallest. Divide by all of them.": (
                most / least
            ),
            "That is the share of the smallest class. The largest one is wanted.": least / count,
            "That is the share of all the other classes together.": 1 - right,
        },
        "The training images of the largest class, divided by all training images.",
        share=True,
        close=0.0011,  # somebody rounds to three decimals
    )


def write_distances():
    import numpy as np

    def distances(images, image):
        differences = images.astype("float64") - image
        return np.sqrt((differences**2).sum(axis=(1, 2, 3)))

    return distances


def _name_distances(images: np.ndarray, image: np.ndarray) -> dict[str, Any]:
    pixels, exact, wrapped = (1, 2, 3), images.astype(float) - image, images - image
    squares, signed = (exact**2).sum(pixels), exact.sum(pixels)
    return {
        "Nearly: these are the squared distances. Take the root.": squares,
        "You took the mean of the squares. Sum them.": np.sqrt(squares / image.size),
        "You summed the differences without squaring them first.": np.abs(exact).sum(pixels),
        "Differences of both signs cancel. Square before you sum.": [signed, np.abs(signed)],
        "Mind uint8: 3 - 5 is 254 there, and 20 * 20 is 144. Make the images floats before you"
        " subtract, for example with images.astype(float).": [
            np.sqrt((wrapped.astype(float) ** 2).sum(pixels)),
            np.sqrt((wrapped**2).sum(pixels)),
            (wrapped**2).sum(pixels),
        ],
    }


@question(
    "From one image to all others",
    tests=["sums over the right axes", "uint8 overflow", "the distance between two images"],
    hints=[
        "NumPy subtracts one image from all images at once: images - image. But of which dtype?",
        "Square, then .sum(axis=(1, 2, 3)): height, width and channels. Then np.sqrt.",
    ],
    solve=write_distances,
    explanation="As floats the differences can be negative. They are squared and summed over"
    " height, width and channels, so axis 0, the images, remains; the root brings back the unit of"
    " the pixels.",
)
def distances(answer: Any) -> str:
    generator = np.random.default_rng(0)
    cases = [
        tuple(generator.integers(0, 256, each, "uint8") for each in (shape, shape[1:]))
        for shape in ((5, 4, 6, 3), (3, 7, 2, 1))
    ]
    return judge_function(
        answer,
        write_distances(),
        cases,
        "One number for each image, 0 only for an equal one. This is how images are ranked.",
        _name_distances,
        "One number for each image, but not its distance: subtract, square, sum over all pixels and"
        " channels of one image, take the root.",
        shape=lambda found, right, images, image: (
            f"For images of shape {images.shape} your function returns shape {found.shape}; wanted"
            f" is {right.shape}, one number for each image. Sum over the axes 1, 2 and 3; axis 0"
            " counts the images."
        ),
        changed="Your function changes the images that it is given. Work on a copy.",
        relative=1e-3,
    )


def find_misfit(source, means):
    import numpy as np

    train = source.train
    clearest, found = 1.0, None
    present = np.unique(train.labels)
    for row, label in enumerate(train.labels):
        away = np.square(train.images[row] - means[present]).sum(axis=(1, 2, 3)) ** 0.5
        times = away[present == label].item() / max(away.min(), 1e-9)
        if times > clearest:
            clearest, found = times, row
    return "none" if found is None else found


@question(
    "An image in the wrong company",
    tests=["comparing an image with the mean of every class", "reading an unusual image"],
    hints=[
        "Sort the explorer by 'unusual first'. Such images are far from their own mean.",
        "Choose 'by chance' or use sort_images(source, by=\"distance\") to learn the rows.",
        "For a row: np.square(train.images[row] - means).sum(axis=(1, 2, 3)) gives one number for"
        " each class. Which is the smallest, and is it that of train.labels[row]?",
    ],
    solve=find_misfit,
    explanation="For each image the distances to all mean images are computed. The image whose own"
    " mean is farthest away, compared with the nearest one, is the clearest answer; others are"
    " right, too.",
)
def misfit(answer: Any, source: ImageData, means: np.ndarray) -> str:
    train, names = source.train, source.class_names
    if isinstance(answer, str) and words(answer) == "none":
        if find_misfit(source, means) == "none":
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
        clear = _times(train, means, int(row))
        if clear < CLEARLY and clear < 0.99 * _times(train, means, find_misfit(source, means)):
            raise Mistake(
                f"{facts} That is so, but narrowly, as for many images that a guess hits. Find one"
                f" whose own mean is {CLEARLY:g} times as far away, or the clearest of all."
            )
        return (
            f"{facts} To answer with the nearest mean would be wrong here. Look at this image: is"
            " it an unusual one, or is its label wrong?"
        )
    raise Mistake(f"{facts} No other mean is nearer. Images far from their own mean are likelier.")


def _times(train: Split, means: np.ndarray, row: int) -> float:
    """How many times as far its own mean is as the nearest one."""
    away = np.sqrt(np.square(train.images[row] - means[np.unique(train.labels)]).sum((1, 2, 3)))
    own = np.sqrt(np.square(train.images[row] - means[train.labels[row]]).sum())
    return float(own / max(away.min(), 1e-9))


def weigh_remembered(scores):
    remembered, others = 0.4, 0.6
    return remembered * 1 + others * scores[0]


@question(
    "What a leak adds",
    tests=["what a leak does to a score", "a weighted mean"],
    hints=[
        "Think of 100 validation images. How many are remembered, and how many of the others are"
        " right?",
        "0.4 of the images times 1, plus 0.6 of the images times scores[0].",
    ],
    solve=weigh_remembered,
    explanation="Of the remembered images all are right, of the others as many as without a leak.",
)
def remembered(answer: Any, scores: dict[float, float]) -> str:
    honest, right = scores[0], weigh_remembered(scores)
    return judge_number(
        answer,
        right,
        f"0.4 x 1 + 0.6 x {honest:.3f} = {right:.3f}, and {honest:.3f} is honest. Compare it with"
        " the curve above.",
        {
            "You have added the two. Only the other images are left to be guessed.": 0.4 + honest,
            "And the images that it remembers? It gets all of those right.": 0.6 * honest,
            "It remembers the leaked images: it gets all of those right.": 0.4 * honest,
            "That is the score without a leak. The leaked images are all right now.": honest,
            "These are remembered. Of the other images it still gets some right.": 0.4,
            "The two parts are not equally large: weigh each by its share.": (0.4 + honest) / 2,
        },
        "Two parts: the remembered images, and the others. What share of each is right?",
        share=True,
        close=0.006,
    )
