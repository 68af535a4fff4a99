"""From an experiment to a model: preprocessing, layers, pretrained networks.

One description of the layers says what a network is: the model is built from it, and the plan,
the counts and the picture are read from it. Preprocessing that needs no randomness is part of the
model, so that a saved model takes raw pixels.

Notebook 03, Build a model, teaches it; 02 its preprocessing, 09 pretrained networks.
"""

from imgclf_lib.network.backbones import check_backbone, weights_digest, weights_key
from imgclf_lib.network.model import (
    add_test_time_flip,
    build_head,
    build_model,
    fit_to_memory,
    gigabytes,
    layer_table,
    measuring_batch,
    plan_network,
    predict_probabilities,
    training_memory,
    whitening_filters,
)
from imgclf_lib.network.preprocessing import (
    AUGMENTATIONS,
    augment,
    move_pixels,
    pixel_statistics,
    scaling_layer,
)

__all__ = [
    "AUGMENTATIONS",
    "add_test_time_flip",
    "augment",
    "build_head",
    "build_model",
    "check_backbone",
    "fit_to_memory",
    "gigabytes",
    "layer_table",
    "measuring_batch",
    "move_pixels",
    "pixel_statistics",
    "plan_network",
    "predict_probabilities",
    "scaling_layer",
    "training_memory",
    "weights_digest",
    "weights_key",
    "whitening_filters",
]
