"""The exercises of notebook 05: reading, counting, choosing a threshold, comparing."""

from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    array,
    call,
    judge_function,
    judge_number,
    number,
    question,
    words,
)
from imgclf_lib.evaluation import coverage_table, lowest_threshold, mcnemar_test


def count_images(right):
    return 3**2 * len(right)


@question(
    "What does a narrower interval cost?",
    tests=["the width goes with one over the square root of the number of images"],
    hints=[
        "Look again at the rows of 100 and of 10,000 images in the table of intervals.",
        "Half the width costs 2 * 2 times the images, a tenth 10 * 10 times.",
        "A third costs 3 * 3 times the images that you have: 9 * len(right).",
    ],
    solve=count_images,
    explanation="The width goes with one over the square root of the number of images: three times"
    " as narrow needs three times three as many.",
)
def images_for_a_third(answer: Any, right: Any) -> str:
    count = len(array(right))
    return judge_number(
        answer,
        9 * count,
        f"A third of the width costs nine times the images: 9 × {count:,} = {9 * count:,}.",
        {
            "That is how many times as many. How many images is that?": 9,
            "Three times the images make the interval narrower by the root of 3 only.": 3 * count,
            "That would give half the width.": 4 * count,
            "The width goes with one over the square root of the number of images.": 6 * count,
            "Nearly: these are the images in addition. How many are there in all?": 8 * count,
            "The other way round: the square of 3, not its root.": np.sqrt(3) * count,
            "The square of 3 is enough; you took its cube.": 27 * count,
            "Fewer images make the interval wider.": [count / 9, count / 3],
        },
        "Half the width costs four times the images: what is the rule, and what does a third cost?",
        relative=0.01,
    )


def count_precision():
    cats_called_cat, dogs_called_cat = 60, 20
    return cats_called_cat / (cats_called_cat + dogs_called_cat)


@question(
    "Precision from a confusion matrix",
    tests=["rows are true classes, columns are answers", "precision and recall"],
    hints=[
        "Precision asks about an answer: when the network says cat, how often is it one?",
        "All that were called cat stand in one column. Add it up.",
        "60 cats and 20 dogs were called cat: 60 / (60 + 20).",
    ],
    solve=count_precision,
    explanation="Precision goes down the column of an answer, recall along the row of a class.",
)
def precision_of_a_class(answer: Any) -> str:
    return judge_number(
        answer,
        60 / 80,
        "60 of the 80 that were called cat are cats. (Its recall is 60 of 100.)",
        {
            "That is the recall: of the cats, how many were found. Precision goes down the"
            " column: of all that were called cat, how many are cats?": 60 / 100,
            "That is the accuracy, over both classes. Only the column of cat matters.": 240 / 300,
            "That is the precision of dog. Look at the other column.": 180 / 220,
            "That is the recall of dog.": 180 / 200,
            "That is the share of false alarms. What is the share of the right ones?": 20 / 80,
            "That is F1, which mixes precision with recall.": 2 * 60 / 180,
            "You divided by all photos. Divide by those that were called cat.": 60 / 300,
        },
        "Take the column of everything that was called cat: how many are there, and how many of"
        " them are cats?",
        share=True,
        close=0.0051,
    )


def write_top_k_accuracy():
    import numpy as np

    def top_k_accuracy(probabilities, labels, k):
        best = np.argsort(probabilities, axis=1)[:, -k:]  # from small to large
        return (best == labels[:, np.newaxis]).any(axis=1).mean()

    return top_k_accuracy


def _invented(generator: np.random.Generator, count: int, classes: int) -> tuple[np.ndarray, ...]:
    """Probabilities, and labels that are often among the best."""
    labels = generator.integers(0, classes, count)
    chances = generator.dirichlet(np.ones(classes), count)
    chances[np.arange(count), labels] += 0.1
    return chances / chances.sum(1, keepdims=True), labels


def _wrong_accuracies(chances: np.ndarray, labels: np.ndarray, k: int) -> dict[str, float]:
    own = chances[np.arange(len(labels)), labels]
    place = (chances > own[:, np.newaxis]).sum(1)  # how many are more probable than the true class
    right = (place < k).mean()
    return {
        "You gave a count. Divide it by the number of images.": (place < k).sum(),
        "You gave percent. A share between 0 and 1 is wanted.": 100 * right,
        "You gave the share of images that are missed.": 1 - right,
        "You took the k classes of the lowest probability: argsort sorts from small to large.": (
            (place >= chances.shape[1] - k).mean()
        ),
        "You counted the images whose true class is exactly at place k. The places before count"
        " too.": (place == k - 1).mean(),
        "You looked at k + 1 classes. Places are counted from 0.": (place <= k).mean(),
        "You looked at k - 1 classes only.": (place < k - 1).mean(),
        "You gave the plain accuracy. What does k do?": (place == 0).mean(),
        "You divided by k too. An image counts once, wherever its class is found.": right / k,
    }


@question(
    "Among the first k",
    tests=["sorting probabilities", "a share of images"],
    hints=[
        "np.argsort(probabilities, axis=1) sorts the classes of each image, the best one last.",
        "[:, -k:] keeps the k best. Compare them with labels[:, np.newaxis].",
        "(best == labels[:, np.newaxis]).any(axis=1) says for each image whether it is found; the"
        " mean of that is the answer.",
    ],
    solve=write_top_k_accuracy,
    explanation="argsort gives the classes from the least to the most probable; the last k are the"
    " best ones. An image counts if its true class is among them.",
)
def top_k_accuracy(answer: Any) -> str:
    generator = np.random.default_rng(0)
    sizes = (97, 7, 3), (50, 4, 1), (30, 6, 5), (60, 9, 4)
    return judge_function(
        answer,
        write_top_k_accuracy(),
        [(*_invented(generator, count, classes), k) for count, classes, k in sizes],
        "The place of the true class decides: it counts if it is among the first k.",
        _wrong_accuracies,
        lambda found, right, p, y, k: (
            f"For {len(y)} images, {p.shape[1]} classes and k = {k}, your function gives"
            f" {found:.4g} instead of {right:.4g}. Check one image by hand: is its true class among"
            " the k most probable?"
        ),
    )


def compare_baselines(all_right):
    from imgclf_lib.evaluation import mcnemar_test

    first, second = "nearest neighbours", "linear model"
    paired = mcnemar_test(all_right[first], all_right[second])
    if paired["p_value"] >= 0.05:
        return "cannot tell"
    return first if paired["only_first"] > paired["only_second"] else second


@question(
    "Which baseline is better?",
    tests=["comparing on the same images", "what a p-value says, and what not"],
    hints=[
        "Two accuracies are not enough. Count the images that only one of the two gets right.",
        'mcnemar_test(all_right["nearest neighbours"], all_right["linear model"]) counts them,'
        " and gives the p-value.",
        "If the p-value is 0.05 or more, these images cannot tell. Otherwise the one that is alone"
        " in the right more often is better.",
    ],
    solve=compare_baselines,
    explanation="This is McNemar's test. Only the images that exactly one of the two gets right can"
    " tell, and only if they are split more unevenly than fair coins usually fall.",
)
def better_baseline(answer: Any, all_right: dict[str, np.ndarray]) -> str:
    first, second, neither = "nearest neighbours", "linear model", "cannot tell"
    known = {first: first, "nearest neighbour": first, "nearest": first}
    known |= {second: second, "linear": second}
    known |= dict.fromkeys((neither, "can't tell", "cannot say", "can not tell"), neither)
    said = known.get(words(answer))
    if not said:
        raise Mistake(f"One of three texts is wanted: {first!r}, {second!r} or {neither!r}.")
    paired = mcnemar_test(all_right[first], all_right[second])
    figures = (
        f"{paired['only_first']:,} images only the nearest neighbours get right,"
        f" {paired['only_second']:,} only the linear model; p-value {paired['p_value']:.4f}"
    )
    truth = compare_baselines(all_right)
    if said == truth:
        return f"{figures}."
    if truth == neither:
        raise Mistake(
            f"Luck alone explains a difference like this easily ({figures}). A higher accuracy on"
            " these images is not enough."
        )
    if said == neither:
        raise Mistake(f"They can: so uneven a split is hardly luck ({figures}).")
    raise Mistake(f"The other way round: the {said} is the worse one ({figures}).")


def write_careful_threshold():
    from imgclf_lib.evaluation import coverage_table, lowest_threshold

    def careful_threshold(probabilities, labels):
        table = coverage_table(probabilities, labels)
        wish = 1 - (1 - table["accuracy"].iloc[-1]) / 4  # the last row answers every image
        return lowest_threshold(table, wish)

    return careful_threshold


def _exam(generator: np.random.Generator, count: int, hard: int) -> tuple[np.ndarray, ...]:
    """Of these images the hard ones are guesses of two classes; of the others 1 in 50 is wrong."""
    sure = np.concatenate([generator.uniform(0.5, 0.7, hard), generator.uniform(0.7, 1, count)])
    right = generator.random(count + hard) < np.where(sure < 0.7, 0.5, 0.98)
    return np.stack([1 - sure, sure], 1), right.astype(int)


def _wrong_thresholds(chances: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    table = coverage_table(chances, labels)
    everything = table["accuracy"].iloc[-1]
    half, quarter, fifth = (1 - (1 - everything) / part for part in (2, 4, 5))
    chosen = lowest_threshold(table, quarter)
    granted = table[table["low"] >= quarter]
    above = table[table["threshold"] > chosen]
    wrong = {
        "That is the plain rule: the accuracy on these images reaches the wish, by luck perhaps."
        " Let the low end of its interval reach it.": [_plain(table, quarter)],
        "That grants half the mistakes; a quarter is wished.": [
            lowest_threshold(table, half),
            _plain(table, half),
        ],
        "That is the wish, an accuracy. Which threshold grants it?": [quarter],
        "That grants a fifth of the mistakes.": [lowest_threshold(table, fifth)],
        "That grants the wish, but it is the highest such threshold. The lowest one answers"
        " more.": [granted["threshold"].max()],
        "One step too high: the confidence at which the wish is still granted belongs to it.": [
            above["threshold"].min()
        ],
        "You gave the share of images that are answered. Which confidence answers so many?": [
            granted["coverage"].max()
        ],
    }
    return {said: [each for each in found if np.isfinite(each)] for said, found in wrong.items()}


def _plain(table: pd.DataFrame, wish: float) -> float:
    """The lowest threshold with so high an accuracy on these images."""
    return float(table.loc[table["accuracy"] >= wish, "threshold"].min())


@question(
    "A quarter of the mistakes",
    tests=["coverage and accuracy", "a choice that keeps its promise on other images"],
    hints=[
        "The cell above does nearly this: what is different about the wish?",
        "table = coverage_table(probabilities, labels); its last row answers every image, so"
        ' table["accuracy"].iloc[-1] is the accuracy without a threshold.',
        "wish = 1 - (1 - that accuracy) / 4, and lowest_threshold(table, wish) is the answer.",
    ],
    solve=write_careful_threshold,
    explanation="Every confidence that occurs is a candidate. The lowest one whose interval lies"
    " above the wish answers the most, and its promise holds for other images too.",
)
def careful_threshold(answer: Any, probabilities: Any, labels: Any) -> str:
    generator = np.random.default_rng(0)
    sizes = (1500, 500), (700, 300), (40, 20)
    said = judge_function(
        answer,
        write_careful_threshold(),
        [_exam(generator, count, hard) for count, hard in sizes],
        "",
        _wrong_thresholds,
        lambda found, right, p, y: (
            f"For {len(y):,} invented images your function gives {found:.4g} instead of"
            f" {right:.4g}. Which accuracy is the wish, and at which threshold does the low end of"
            " the interval reach it?"
        ),
    )
    threshold = number(call(answer, array(probabilities), array(labels)))
    answered = (array(probabilities).max(1) >= threshold).mean()
    if not answered:
        return f"{said}Your {len(labels):,} images can promise it with no threshold."
    return f"{said}On your {len(labels):,} images: {threshold:.4f}, {answered:.1%} are answered."
