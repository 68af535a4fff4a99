"""Images whose labels are probably wrong, as findings; test images are never looked at."""

import numpy as np
import pandas as pd

from imgclf_lib.data import ImageData
from imgclf_lib.experiment import Experiment
from imgclf_lib.findings import make_findings
from imgclf_lib.label_errors import find_label_errors
from imgclf_lib.model import build_model
from imgclf_lib.splits import group_images
from imgclf_lib.transfer import cached_features

MOST_BYTES = 800_000_000  # of images or features that are held in memory


def label_findings(
    experiment: Experiment, data: ImageData, pairs: np.ndarray | None = None
) -> pd.DataFrame:
    """Training and validation images that look like another class.

    Args:
        experiment: With a ``backbone``, its features are compared, otherwise pixels, which find
            far less.
        data: Its images.
        pairs: ``int64`` array of shape ``(p, 2)``: rows of its table that are near-duplicates;
            they are never judged from one another.

    Returns:
        A table as from ``findings.make_findings``. The suggestion is ``relabel``, with the class.

    Raises:
        InputError: If ``cleanlab`` is not installed, or there are too few images.
    """
    if experiment.backbone:
        model = build_model(experiment, data.image_shape, len(data.class_names))
        features = cached_features(model, experiment, data, progress="bar")
        parts = [features["train"], features["val"]]
    else:
        parts = [data.train, data.val]
    total = sum(map(len, parts))
    size = max(1, parts[0].images[:1].nbytes)
    share = min(1.0, MOST_BYTES / size / max(1, total))
    parts = [part.sample(max(1, int(share * len(part))) if share < 1 else 0) for part in parts]
    paths = np.concatenate([part.paths for part in parts])
    groups = pd.Series(group_images(data.table, pairs), index=data.table["path"])
    groups = groups[(data.table["problem"] == "").to_numpy()]
    found = find_label_errors(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        len(data.class_names),
        groups=groups.loc[paths].to_numpy(),
    )
    names = np.array(data.class_names, dtype=object)
    right = f"{found.attrs['accuracy']:.0%} of {found.attrs['judged']:,} images"
    details = [
        f"labelled {names[label]!r}, looks like {names[other]!r}: its label has a probability of"
        f" {score:.2g}, from a classifier that is right on {right}"
        for label, other, score in zip(
            found["label"], found["suggested"], found["score"], strict=True
        )
    ]
    return make_findings(
        "likely label error",
        paths[found["row"]],
        details,
        action="relabel",
        label=names[found["suggested"]],
    )
