"""Live widgets: each explains itself, works by mouse and by keyboard, and shows its own errors.

Nothing here uses ``interact`` or ``with Output():``, which stall headless runs. A widget that
computes does so in the background, and stops when nobody looks.

Every notebook from 01 on shows one.
"""

from imgclf_lib.course.widgets.data import (
    AugmentationPreview,
    FindingWalk,
    ImageExplorer,
    finding_picture,
)
from imgclf_lib.course.widgets.evaluation import ConfusionExplorer, TryIt
from imgclf_lib.course.widgets.network import NetworkDesigner, TransferBench
from imgclf_lib.course.widgets.training import LiveTraining, Tuner

__all__ = [
    "AugmentationPreview",
    "ConfusionExplorer",
    "FindingWalk",
    "ImageExplorer",
    "LiveTraining",
    "NetworkDesigner",
    "TransferBench",
    "TryIt",
    "Tuner",
    "finding_picture",
]
