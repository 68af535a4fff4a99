"""Experiments that are ready to use, by name."""

from typing import Any

from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment

# The most accuracy for the least time, on small pictures: notebook 10 tells why. It mirrors images,
# so it is not for digits, letters, or whatever else has a left and a right.
FAST: dict[str, Any] = {
    "scaling": "standardize",
    "stem": "whitened",
    "filters": (32, 64, 128, 128),
    "pooling_place": "first",
    "normalization": "batch",
    "head": "max",
    "dense_units": (),
    "dropout": 0.0,
    "flip": "alternate",
    "shift": 0.06,
    "optimizer": "muon",
    "learning_rate": 0.02,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "batch_size": 256,
    "epochs": 4,
    "test_time_flip": "yes",
    "precision": "fastest",
}

PRESETS: dict[str, dict[str, Any]] = {
    # The classic: convolution, pooling, dense layer, Adam.
    "simple": {},
    # Softmax regression: the smallest network there is, and a baseline.
    "linear": {"filters": (), "dense_units": (), "dropout": 0.0},
    # Small photographs in colour: deeper, normalised, augmented, one learning-rate cycle.
    "deep": {
        "filters": (32, 64, 128),
        "convolutions": 2,
        "normalization": "batch",
        "head": "average",
        "dense_units": (),
        "dropout": 0.2,
        "scaling": "standardize",
        "flip": "horizontal",
        "shift": 0.1,
        "optimizer": "adamw",
        "learning_rate": 0.005,
        "weight_decay": 0.02,
        "schedule": "one_cycle",
        "label_smoothing": 0.05,
        "batch_size": 128,
        "epochs": 12,
    },
    "fast": FAST,
    # The same recipe with a larger network, about that of Jordan (2024), and more patience. Such a
    # network learns its images by heart if they are not changed more.
    "best": {
        **FAST,
        "filters": (64, 256, 256),
        "convolutions": 2,
        "shift": 0.1,
        "random_erasing": 0.3,
        "weight_decay": 0.1,
        "epochs": 16,  # half an hour on two cores with bfloat16
    },
    # A head on frozen ImageNet features: few photographs, seconds of training.
    "transfer": {"backbone": "efficientnet_lite0", "dense_units": (), "epochs": 15},
}


def preset(name: str) -> Experiment:
    """The experiment of a preset; change it with ``replace``.

    Args:
        name: ``simple``, ``linear``, ``deep``, ``fast``, ``best`` or ``transfer``.

    Returns:
        The experiment.

    Raises:
        InputError: If there is no such preset.
    """
    if name not in PRESETS:
        raise InputError("There is no such preset", allowed=", ".join(PRESETS), received=name)
    return Experiment(**PRESETS[name])
