"""The exercises of notebook 05: reading, counting, choosing a threshold, comparing."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.evaluation_judges import judge_comparison, judge_threshold, judge_top_k
from imgclf_lib.exercises.exercise import Exercise, Mistake, array, number


def _judge_precision(answer: Any) -> str:
    value = number(answer)
    if abs(value - 60 / 80) < 0.0051:
        return "60 of the 80 that were called cat are cats. (Its recall is 60 of 100.)"
    for wrong, why in (
        (
            60 / 100,
            "That is the recall: of the cats, how many were found. Precision goes down the"
            " column: of all that were called cat, how many are cats?",
        ),
        (240 / 300, "That is the accuracy, over both classes. Only the column of cat matters."),
        (180 / 220, "That is the precision of dog. Look at the other column."),
        (180 / 200, "That is the recall of dog."),
        (20 / 80, "That is the share of false alarms. What is the share of the right ones?"),
        (2 * 60 / 180, "That is F1, which mixes precision with recall."),
        (60 / 300, "You divided by all photos. Divide by those that were called cat."),
    ):
        if abs(value - wrong) < 0.0051:
            raise Mistake(why)
        if abs(value - 100 * wrong) < 0.51 and value > 1:
            raise Mistake(f"As a share between 0 and 1, please; and it is another share. {why}")
    if abs(value - 75) < 0.51:
        raise Mistake("The right share, but in percent. Give it as a number between 0 and 1.")
    raise Mistake(
        f"{value:.4g} is not it. Take the column of everything that was called cat: how many are"
        " there, and how many of them are cats?"
    )


def count_precision():
    """Go down the column of the answer."""
    cats_called_cat, dogs_called_cat = 60, 20
    return cats_called_cat / (cats_called_cat + dogs_called_cat)


def _judge_images(answer: Any, right: Any) -> str:
    value, count = number(answer), len(array(right))
    wanted = 9 * count
    if abs(value - wanted) <= 0.01 * wanted:
        return f"A third of the width costs nine times the images: 9 × {count:,} = {wanted:,}."
    for wrong, why in (
        (9, "That is how many times as many. How many images is that?"),
        (3 * count, "Three times the images make the interval narrower by the root of 3 only."),
        (4 * count, "That would give half the width."),
        (6 * count, "The width goes with one over the square root of the number of images."),
        (8 * count, "Nearly: these are the images in addition. How many are there in all?"),
        (np.sqrt(3) * count, "The other way round: the square of 3, not its root."),
        (27 * count, "The square of 3 is enough; you took its cube."),
        (count / 9, "Fewer images make the interval wider."),
        (count / 3, "Fewer images make the interval wider."),
    ):
        if abs(value - wrong) <= 0.01 * wrong:
            raise Mistake(why)
    raise Mistake(
        f"{value:,.10g} is not it. Half the width costs four times the images: what is the rule,"
        " and what does a third cost?"
    )


def count_images(right):
    """Three times as narrow needs three times three as many images.

    Args:
        right: For each test image, whether it was answered right.
    """
    return 3**2 * len(right)


def write_top_k_accuracy():
    """Sort the classes of each image, and look for the true one among the last k."""
    import numpy as np

    def top_k_accuracy(probabilities, labels, k):
        best = np.argsort(probabilities, axis=1)[:, -k:]  # from small to large
        return (best == labels[:, np.newaxis]).any(axis=1).mean()

    return top_k_accuracy


def choose_threshold(val_probabilities, val_labels, probabilities, labels):
    """Try every confidence that occurs, on validation images alone.

    Args:
        val_probabilities: Of the validation images.
        val_labels: Their true classes.
        probabilities: Of the test images; they must not be used here.
        labels: Their true classes; not used either.
    """
    from imgclf_lib.evaluate import coverage_table

    table = coverage_table(val_probabilities, val_labels)
    wish = 1 - (1 - table["accuracy"].iloc[-1]) / 4  # the last row answers every image
    good_enough = table[table["accuracy"] >= wish]
    return good_enough["threshold"].min() if len(good_enough) else float("inf")


def compare_baselines(all_right):
    """McNemar's test on the images that exactly one of the two gets right.

    Args:
        all_right: By name of a classifier, for each test image whether it was right.
    """
    from imgclf_lib.baselines import compare_paired

    first, second = "nearest neighbours", "linear model"
    paired = compare_paired(all_right[first], all_right[second])
    if paired["p_value"] >= 0.05:
        return "cannot tell"
    return first if paired["only_first"] > paired["only_second"] else second


images_for_a_third = Exercise(
    "images_for_a_third",
    "What does a narrower interval cost?",
    ["the width goes with one over the square root of the number of images"],
    _judge_images,
    count_images,
    "The width goes with one over the square root of the number of images.",
    [
        "Look again at the rows of 100 and of 10,000 images in the table of intervals.",
        "Half the width costs 2 * 2 times the images, a tenth 10 * 10 times.",
        "A third costs 3 * 3 times the images that you have: 9 * len(right).",
    ],
)

precision_of_a_class = Exercise(
    "precision_of_a_class",
    "Precision from a confusion matrix",
    ["rows are true classes, columns are answers", "precision and recall"],
    _judge_precision,
    count_precision,
    "Precision goes down the column of an answer, recall along the row of a class.",
    [
        "Precision asks about an answer: when the network says cat, how often is it one?",
        "All that were called cat stand in one column. Add it up.",
        "60 cats and 20 dogs were called cat: 60 / (60 + 20).",
    ],
)

top_k_accuracy = Exercise(
    "top_k_accuracy",
    "Among the first k",
    ["sorting probabilities", "a share of images"],
    judge_top_k,
    write_top_k_accuracy,
    "argsort gives the classes from the least to the most probable; the last k are the best ones.",
    [
        "np.argsort(probabilities, axis=1) sorts the classes of each image, the best one last.",
        "[:, -k:] keeps the k best. Compare them with labels[:, np.newaxis].",
        "(best == labels[:, np.newaxis]).any(axis=1) says for each image whether it is found; the"
        " mean of that is the answer.",
    ],
)

better_baseline = Exercise(
    "better_baseline",
    "Which baseline is better?",
    ["comparing on the same images", "what a p-value says, and what not"],
    judge_comparison,
    compare_baselines,
    "Only the images that exactly one of the two gets right can tell, and only if they are split"
    " more unevenly than fair coins usually fall.",
    [
        "Two accuracies are not enough. Count the images that only one of the two gets right.",
        'compare_paired(all_right["nearest neighbours"], all_right["linear model"]) counts them,'
        " and gives the p-value.",
        "If the p-value is 0.05 or more, these images cannot tell. Otherwise the one that is alone"
        " in the right more often is better.",
    ],
)

lowest_good_threshold = Exercise(
    "lowest_good_threshold",
    "A quarter of the mistakes",
    ["coverage and accuracy", "choosing on validation images, not on test images"],
    judge_threshold,
    choose_threshold,
    "Every confidence that occurs is a candidate; the lowest one that grants the wish on the"
    " validation images answers the most.",
    [
        "The cell above does nearly this: what is different about the wish?",
        "wish = 1 - (1 - val_right.mean()) / 4. Then take the granted places on validation.",
        "np.sort(val_confidence)[::-1][granted[-1]], with granted computed for the new wish.",
    ],
)
