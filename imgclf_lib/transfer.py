"""Training on top of a pretrained network: first a head on frozen features, then fine-tuning.

Donahue and others, "DeCAF" (2013), and Yosinski and others, "How transferable are features in
deep neural networks?" (2014). While the backbone is frozen it says the same of an image every
time, so its features are computed once and the head alone is trained on them, in seconds.
"""

import dataclasses
import math
import sys
from typing import TYPE_CHECKING

import pandas as pd

from imgclf_lib.augmentation import AUGMENTATIONS
from imgclf_lib.data import ImageData
from imgclf_lib.experiment import Experiment
from imgclf_lib.features import cached_features, validation_split
from imgclf_lib.model import build_head, predict_probabilities
from imgclf_lib.recorder import Job, Recorder, fit_phase
from imgclf_lib.runs import Run, atomic, load_model

if TYPE_CHECKING:
    import keras

# Files of a run in progress: its last epoch, and the best head while only the head learns.
CHECKPOINTS = ("last.keras", "head.keras")
LARGEST_SAMPLE = 10_000  # images on which the training accuracy of a head is measured


def is_head(model: "keras.Model") -> bool:
    """Whether a model takes features and not pixels.

    Args:
        model: Any model of this library.

    Returns:
        Whether it is the head of a network alone.
    """
    return len(model.inputs[0].shape) == 2


def resumed_history(
    checkpoint: "keras.Model", experiment: Experiment, data: ImageData, history: pd.DataFrame
) -> pd.DataFrame:
    """The rows of a history that a checkpoint has really reached.

    Args:
        checkpoint: The model after its last saved epoch.
        experiment: Its batch size gives the steps of an epoch.
        data: Its training images.
        history: All rows; one that was written just before a crash may be ahead.

    Returns:
        The first rows.
    """
    before = 0
    if experiment.backbone and not is_head(checkpoint):
        before = int((history["phase"] == "head").sum())
    steps = math.ceil(len(data.train) / experiment.batch_size)
    return history.head(before + round(int(checkpoint.optimizer.iterations) / steps))


def train_backbone(
    job: Job, model: "keras.Model", checkpoint: "keras.Model | None", history: pd.DataFrame
) -> tuple[Recorder, float | None]:
    """Train the head on frozen features, then fine-tune the whole network if that is asked for.

    Args:
        job: The training.
        model: The whole network, not trained; or its checkpoint, if it was being fine-tuned.
        checkpoint: The head or the whole network after its last saved epoch, if there is one.
        history: Rows of the epochs that are already done.

    Returns:
        The recorder of the last phase, and the accuracy of the best model on training images; None
        where fine-tuning made that model, so that it must be measured on pixels.
    """
    experiment, accuracy = job.experiment, None
    if model is not checkpoint:
        recorder, accuracy = _train_head(job, model, checkpoint, history)
        if recorder.status == "failed" or not experiment.fine_tune_epochs:
            return recorder, accuracy
        history = recorder.history
    heads = int((history["phase"] == "head").sum())
    slower = dataclasses.replace(
        job, experiment=experiment.replace(learning_rate=experiment.fine_tune_learning_rate)
    )
    recorder = fit_phase(
        slower,
        model,
        history,
        (job.data.train, validation_split(experiment, job.data)),
        "fine_tune",
        heads + experiment.fine_tune_epochs,
    )
    tuned = int(recorder.history["val_accuracy"].argmax()) >= heads
    return recorder, None if tuned else accuracy


def _train_head(
    job: Job, model: "keras.Model", checkpoint: "keras.Model | None", history: pd.DataFrame
) -> tuple[Recorder, float | None]:
    experiment, run = job.experiment, job.run
    features = cached_features(model, experiment, job.data, progress=job.progress)
    asked = [name for name in AUGMENTATIONS if getattr(experiment, name) not in (0, "none")]
    if asked and not experiment.fine_tune_epochs and job.progress != "none":
        print(
            f"Frozen features see no augmentation: {', '.join(asked)} would act in fine-tuning"
            " only (fine_tune_epochs)",
            file=sys.stderr,
        )
    classes, width = len(job.data.class_names), features["train"].images.shape[1]
    head = checkpoint or build_head(experiment, width, classes)
    try:
        recorder = fit_phase(job, head, history, (features["train"], features["val"]), "head")
    finally:
        best = _put_together(run, model)
    if best is None:
        return recorder, None
    sample = features["train"].sample(LARGEST_SAMPLE)
    predicted = predict_probabilities(best, sample.images).argmax(1)
    return recorder, float((predicted == sample.labels).mean())


def _put_together(run: Run, model: "keras.Model") -> "keras.Model | None":
    """Write ``model.keras``: the whole network with the best head so far, if there is one."""
    if not (run.folder / "head.keras").is_file():
        return None
    head = load_model(run.folder / "head.keras")
    for layer in head.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    with atomic(run.folder / "model.keras") as beside:
        model.save(beside)
    return head
