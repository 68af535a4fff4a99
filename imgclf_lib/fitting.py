"""What ``fit`` needs: a compiled model, batches, and a learning rate."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imgclf_lib.backend import load_keras, number_format
from imgclf_lib.data import Split, load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model
from imgclf_lib.muon import muon_class
from imgclf_lib.preprocess import mirror_alternately, pixel_statistics

if TYPE_CHECKING:
    import keras

WARM_UP = 0.3  # share of one_cycle in which the learning rate rises


def compile_model(model: "keras.Model", experiment: Experiment, steps: int) -> None:
    """Give a model its optimiser, loss and metric.

    Args:
        model: An uncompiled model with softmax outputs.
        experiment: Optimiser, learning rate, schedule, weight decay and label smoothing.
        steps: Training steps of the whole run; the schedules need to know.
    """
    keras = load_keras(experiment.backend)
    rate: Any = experiment.learning_rate
    if experiment.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    elif experiment.schedule == "one_cycle":
        rising = max(1, round(steps * WARM_UP))
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 25, max(1, steps - rising), warmup_target=rate, warmup_steps=rising
        )
    kind: Any = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }.get(experiment.optimizer)
    options: dict[str, Any] = {"weight_decay": experiment.weight_decay}
    if experiment.optimizer == "sgd":
        options |= {"momentum": 0.9, "nesterov": True}
    if experiment.optimizer == "muon":
        kind = muon_class()
        options |= {"momentum": 0.9, "adam_weight_decay": experiment.weight_decay}
    if experiment.averaging:
        options |= {"use_ema": True, "ema_momentum": experiment.averaging}
    optimizer = kind(rate, **options)
    if experiment.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if number_format(experiment.precision) == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # Sparse labels are enough for plain cross-entropy; smoothing needs whole distributions.
    loss = (
        keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing)
        if experiment.label_smoothing
        else keras.losses.SparseCategoricalCrossentropy()
    )
    model.compile(optimizer, loss, metrics=["accuracy"])
    # A step that first makes the optimiser's variables would be traced a second time without them.
    optimizer.build(model.trainable_variables)


def make_batches(
    split: Split, experiment: Experiment, classes: int, shuffle: bool, epoch: int = 0
) -> Any:
    """Batches that ``fit`` can read, taken from the array on disk as they are needed.

    Args:
        split: The images and labels.
        experiment: Batch size, seed and label smoothing.
        classes: Number of classes.
        shuffle: Whether each epoch has a new order, chosen by the seed and the epoch.
        epoch: First epoch, counted from 0.

    Returns:
        A ``keras.utils.PyDataset`` of ``(images, labels)``.
    """
    keras = load_keras(experiment.backend)
    identity = np.eye(classes, dtype="float32")

    class Batches(keras.utils.PyDataset):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.epoch = epoch - 1
            self.order = np.arange(len(split))
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(split) / experiment.batch_size)

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            start = number * experiment.batch_size
            rows = self.order[start : start + experiment.batch_size]
            labels, images = split.labels[rows], split.images[rows]
            if shuffle and experiment.flip == "alternate" and images.ndim == 4:
                images = mirror_alternately(images, rows, experiment.seed, self.epoch)
            return images, identity[labels] if experiment.label_smoothing else labels

        def on_epoch_end(self) -> None:
            self.epoch += 1
            if shuffle:
                generator = np.random.default_rng([experiment.seed, self.epoch])
                self.order = generator.permutation(len(split))
            if shuffle and experiment.sampling == "balanced":
                self.order = balanced_order(split.labels, generator)

    return Batches()


def balanced_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An order of images in which every class comes equally often.

    Images of a small class come again and again, none of them twice before all came once; of a
    large class some wait for another epoch.

    Args:
        labels: ``int64`` array of shape ``(n,)``.
        generator: Source of chance.

    Returns:
        ``int64`` array of shape ``(n,)``: rows, in a random order.
    """
    classes = np.unique(labels)
    turns = [len(each) for each in np.array_split(np.arange(len(labels)), len(classes))]
    chosen = []
    for label, turn in zip(classes, turns, strict=True):
        rows = np.flatnonzero(labels == label)
        rounds = [generator.permutation(rows) for _ in range(math.ceil(turn / len(rows)))]
        chosen.append(np.concatenate([rows[:0], *rounds])[:turn])
    return generator.permutation(np.concatenate(chosen))


def learning_rate_range_test(
    experiment: Experiment, lowest: float = 1e-5, highest: float = 1.0, steps: int = 100
) -> pd.DataFrame:
    """Raise the learning rate a little after every step and watch the loss.

    From Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).

    Args:
        experiment: What to train; its own learning rate is not used.
        lowest: First learning rate.
        highest: Last learning rate.
        steps: Number of steps; the rate grows by the same factor each time.

    Returns:
        A table with the columns ``learning_rate`` and ``loss``. It ends early where the loss
        is more than four times its best value.
    """
    load_keras(experiment.backend)
    data = load_data(experiment)
    plain = experiment.replace(schedule="constant", learning_rate=lowest)
    model = build_model(
        plain, data.image_shape, len(data.class_names), pixel_statistics(data.train.images)
    )
    compile_model(model, plain, steps)
    batches = make_batches(data.train, plain, len(data.class_names), shuffle=True)
    rows = []
    for step, rate in enumerate(np.geomspace(lowest, highest, steps)):
        model.optimizer.learning_rate = rate
        if step and step % len(batches) == 0:
            batches.on_epoch_end()
        result = model.train_on_batch(*batches[step % len(batches)], return_dict=True)
        model.reset_metrics()
        rows.append((rate, float(result["loss"])))
        if not rows[-1][1] <= 4 * min(loss for _, loss in rows):
            break
    return pd.DataFrame(rows, columns=["learning_rate", "loss"])
