"""What the numbers of a data set and of an evaluation ask for, in plain words, and no more."""

import numpy as np
import pandas as pd

from imgclf_lib.data import ImageData
from imgclf_lib.evaluation.luck import LEVEL
from imgclf_lib.evaluation.metrics import Evaluation, confused_pairs, wilson_interval
from imgclf_lib.training import Run

FEW_IMAGES = 20  # training images of a class, below which luck decides what is learnt
BALANCED = 1.5  # the largest class in terms of the smallest, up to which we say balanced
FEW_STEPS = 200
WIDE_INTERVAL = 0.1
WIDE_GAP = 0.1  # between training and validation accuracy
COARSE = 16  # pixels of a file for each pixel of the network
MANY_NAMES = 5  # more names than this are counted, not listed


def data_advice(data: ImageData) -> list[str]:
    """What a data set asks for before anything is trained.

    Args:
        data: The data set.

    Returns:
        Sentences, the most urgent first; empty if its numbers ask for nothing.
    """
    table = data.table
    used = table[table["problem"] == ""]
    said = []
    unused = table["problem"].drop(used.index)
    unused = unused[~unused.isin(["excluded", "hidden"])]
    if len(unused):
        said.append(
            f"{len(unused):,} of {len(table):,} files are not used. `imgclf audit` names each of"
            " them with its reason: repair them, or leave them out on purpose."
        )
    training = used[used["split"] == "train"]
    sizes = training["label"].value_counts().reindex(data.class_names, fill_value=0)
    sizes = sizes.sort_values(kind="stable")
    few = list(sizes.index[sizes < FEW_IMAGES])
    if few:
        many = f"{len(few)} of {len(sizes)} classes" if len(few) < len(sizes) else "every class"
        names = _listed(few) if len(few) <= MANY_NAMES else many
        said.append(
            f"Collect more images of {names}: fewer than {FEW_IMAGES} training images make a"
            " class mostly a matter of luck."
        )
    ratio = sizes.iloc[-1] / max(sizes.iloc[0], 1)
    if ratio > BALANCED:
        said.append(
            f"The largest class, {_quoted(sizes.index[-1])}, has {ratio:.1f} times as many training"
            f" images as the smallest, {_quoted(sizes.index[0])}. Look at the recall of each class,"
            ' and try class_weights="balanced" or sampling="balanced".'
        )
    height, width, _ = data.image_shape
    coarse = float((training["width"] * training["height"]).median()) / (height * width)
    if coarse > COARSE:
        said.append(
            f"A file has about {coarse:,.0f} times as many pixels as the network gets ({width} x"
            f" {height}). If you cannot tell the classes apart in the small pictures, try a larger"
            " image_size."
        )
    return said


def result_advice(
    result: Evaluation, run: Run, training_images: int, baseline: str, paired: dict[str, float]
) -> list[str]:
    """What an evaluation asks for next.

    Args:
        result: The evaluation on the test split.
        run: The run that was evaluated.
        training_images: How many images it learned from.
        baseline: Name of the best simple classifier.
        paired: Network against baseline, as from ``luck.mcnemar_test``.

    Returns:
        Sentences, the most urgent first; empty if the numbers ask for nothing.
    """
    metrics, training, said = result.metrics, run.metrics, []
    low, high = metrics["accuracy_ci95"]
    if paired["p_value"] >= LEVEL:
        said.append(
            f"Do not rely on this network yet: {metrics['n']:,} test images cannot tell it from the"
            f" baseline {_quoted(baseline)}."
        )
    elif paired["only_second"] > paired["only_first"]:
        said.append(
            f"Do not use this network: the baseline {_quoted(baseline)} is better, and luck does"
            " not explain it."
        )
    if high - low > WIDE_INTERVAL:
        said.append(
            f"Test on more images before you compare models: with {metrics['n']:,} of them the"
            f" accuracy may lie anywhere between {low:.0%} and {high:.0%}."
        )
    known, unknown = training["train_accuracy"], training["val_accuracy"]
    if known - unknown > WIDE_GAP:
        said.append(
            f"The network knows its training images better than others ({known:.0%} right against"
            f" {unknown:.0%} of the validation images). More images help most; augmentation and"
            " dropout may help too."
        )
    best, last = _best_epoch(run.history), training["epochs_run"]
    steps = last * -(-training_images // run.experiment.batch_size)
    if steps < FEW_STEPS:
        said.append(
            f"The network took only {steps:,} steps in {last} epochs, so it has hardly begun to"
            " learn: give it more epochs and smaller batches, for example"
            f" `-p epochs {10 * last} -p batch_size 16`."
        )
    elif best == last:
        said.append(
            f"The best epoch was the last of {last}: train longer, for example {2 * last} epochs."
        )
    return said + _about_classes(result) + _about_confidence(result)


def _about_classes(result: Evaluation) -> list[str]:
    metrics, said = result.metrics, []
    low, _ = metrics["accuracy_ci95"]
    counts = np.array(metrics["confusion_matrix"])
    tested = [each for each in metrics["per_class"] if each["support"]]
    worst = min(tested, key=lambda each: (each["recall"], -each["support"]))
    found = round(worst["recall"] * worst["support"])
    if wilson_interval(found, worst["support"])[1] < low:
        said.append(
            f"The class {_quoted(worst['class'])} is found in only {found:,} of its"
            f" {worst['support']:,} test images, clearly less often than the average. Look at its"
            " images, and collect more of them."
        )
    both = np.triu(counts + counts.T, 1)
    mistakes = int(both.sum())
    pairs, even = confused_pairs(both, 1), mistakes / max(1, len(counts) * (len(counts) - 1) / 2)
    if len(counts) > 2 and pairs and pairs[0][2] >= max(3, 2 * even, mistakes / 20):
        first, second, often = pairs[0]
        names = result.class_names
        said.append(
            f"{_quoted(names[first])} and {_quoted(names[second])} are mixed up most: {often:,} of"
            f" {mistakes:,} mistakes. Look whether their labels are right, and whether you can"
            " tell them apart in the small pictures that the network gets."
        )
    return said


def _about_confidence(result: Evaluation) -> list[str]:
    confidence = float(result.probabilities.max(1).mean())
    low, high = result.metrics["accuracy_ci95"]
    if low <= confidence <= high:
        return []
    kind = "higher than its accuracy" if confidence > high else "lower than its accuracy"
    return [
        f"The mean confidence, {confidence:.0%}, is {kind}, {result.metrics['accuracy']:.0%}: fit a"
        " temperature (notebook 05) before you use the probabilities."
    ]


def _best_epoch(history: pd.DataFrame) -> int:
    return int(history.set_index("epoch")["val_accuracy"].idxmax())


def _quoted(name: str) -> str:
    return f"'{name}'"


def _listed(names: list[str]) -> str:
    quoted = [_quoted(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
