"""Batches of images: their order in each epoch, and how ``fit`` reads them."""

import math
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf_lib.backend import load_keras, place_on_gpu
from imgclf_lib.data import Split
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import move_pixels

if TYPE_CHECKING:
    import keras

PREPARED = 2  # batches that wait ready while a step computes


class Batches:
    """The batches of a split, taken from the array on disk as they are asked for.

    Args:
        split: The images and labels.
        experiment: Batch size, seed, sampling, label smoothing, and what ``move_pixels`` reads.
        classes: Number of classes.
        training: Whether each epoch has a new order, chosen by the seed and the epoch, and
            augmented images; else they come as they are.
    """

    def __init__(self, split: Split, experiment: Experiment, classes: int, training: bool) -> None:
        self.split, self.experiment, self.training = split, experiment, training
        self.images: Any = split.images  # ``feed`` may put them on a GPU
        self.identity = np.eye(classes, dtype="float32")
        self.order = np.arange(len(split))
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Put the images into the order of an epoch.

        Args:
            epoch: Counted from 0.
        """
        self.epoch = epoch
        if self.training:
            generator = np.random.default_rng([self.experiment.seed, epoch])
            self.order = generator.permutation(len(self.split))
            if self.experiment.sampling == "balanced":
                self.order = balanced_order(self.split.labels, generator)

    def __len__(self) -> int:
        return math.ceil(len(self.split) / self.experiment.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        """One batch: ``uint8`` images, and labels or whole distributions (label smoothing)."""
        start = number * self.experiment.batch_size
        rows = self.order[start : start + self.experiment.batch_size]
        labels = self.split.labels[rows]
        if self.images is self.split.images:
            images = self.images[rows]
        else:
            images = load_keras().ops.take(self.images, rows, axis=0)
        if self.training and images.ndim == 4:  # features of a backbone have 2
            images = move_pixels(images, self.experiment, rows, self.epoch, number)
        return images, self.identity[labels] if self.experiment.label_smoothing else labels


def feed(batches: Batches) -> Any:
    """What ``fit`` and ``evaluate`` of Keras read, made beside the step, a batch or two ahead.

    On TensorFlow it is a pipeline of our own, because the one that Keras makes of a
    ``PyDataset`` costs much time in TensorFlow 2.21: whoever lets go of a pipeline that tunes
    itself waits, after each epoch, for nearly as long as the epoch took; and a generator in it
    makes the C library give back memory after every use (M_TRIM_THRESHOLD), only to ask for it
    again in the next step. This one neither tunes itself nor holds a generator.

    On the other backends the images are on the GPU from now on, if there is one and they fit.
    """
    keras = load_keras()
    if keras.backend.backend() != "tensorflow":
        batches.images = place_on_gpu(batches.images)
        beside = ThreadPoolExecutor(1)
        ahead: dict[tuple[int, int], Future] = {}

        class Feed(keras.utils.PyDataset):  # type: ignore[name-defined]
            def __len__(self) -> int:
                return len(batches)

            def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
                ready = ahead.pop((batches.epoch, number), None)
                ahead.clear()  # of an epoch that was left early
                batch = ready.result() if ready else batches[number]
                if number + 1 < len(batches):
                    ahead[batches.epoch, number + 1] = beside.submit(
                        batches.__getitem__, number + 1
                    )
                return batch

        return Feed()
    tensorflow = sys.modules["tensorflow"]  # nothing in Keras serves, see above
    samples = batches[0]

    def take(number: Any) -> tuple[Any, ...]:
        kinds = [sample.dtype for sample in samples]
        values = tensorflow.numpy_function(batches.__getitem__, [number], kinds)
        return tuple(
            tensorflow.ensure_shape(value, (None, *sample.shape[1:]))
            for value, sample in zip(values, samples, strict=True)
        )

    options = tensorflow.data.Options()
    options.autotune.enabled = False
    numbers = tensorflow.data.Dataset.range(len(batches))
    return numbers.map(take).prefetch(PREPARED).with_options(options)


def fit_batches(
    model: "keras.Model", batches: Batches, callbacks: Iterable[Any] = (), **options: Any
) -> None:
    """Call the ``fit`` of Keras, quietly; each epoch sees the batches in its own order.

    Other arguments, such as ``epochs``, go to ``fit`` as they are.

    Args:
        model: A compiled model.
        batches: What it learns from.
        callbacks: ``keras.callbacks.Callback`` objects.
    """
    order = load_keras().callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.begin(epoch)
    )
    # A step in which metrics are first made is traced again without that, for seconds.
    answers = batches[0][1]
    model.compute_metrics(None, answers, batches.identity[[0] * len(answers)])
    model.reset_metrics()
    model.fit(feed(batches), callbacks=[order, *callbacks], shuffle=False, verbose=0, **options)


def balanced_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An order of images in which every class comes equally often.

    Images of a small class come again and again, none of them twice before all came once; of a
    large class some wait for another epoch.
    """
    classes = np.unique(labels)
    turns = [len(each) for each in np.array_split(np.arange(len(labels)), len(classes))]
    chosen = []
    for label, turn in zip(classes, turns, strict=True):
        rows = np.flatnonzero(labels == label)
        rounds = [generator.permutation(rows) for _ in range(math.ceil(turn / len(rows)))]
        chosen.append(np.concatenate([rows[:0], *rounds])[:turn])
    return generator.permutation(np.concatenate(chosen))


def class_weights(labels: np.ndarray, classes: int) -> dict[int, float]:
    """Weights that give every class the same total weight: ``n / (classes * count)``.

    Args:
        labels: ``int64`` array of shape ``(n,)``.
        classes: Number of classes.

    Returns:
        Weight by label. Same formula as scikit-learn's ``compute_class_weight("balanced")``, which
        refuses a class without images.
    """
    counts = np.bincount(labels, minlength=classes)
    return {label: len(labels) / (classes * max(1, count)) for label, count in enumerate(counts)}
