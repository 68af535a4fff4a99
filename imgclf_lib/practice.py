"""A messy folder to practise on: images of a known data set, and everything that can go wrong.

A known data set is clean. To learn to find copies, leaks, wrong labels and broken files, one
needs a folder that has them, and a list of what was planted, to compare with what was found.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from imgclf_lib.data import ImageData
from imgclf_lib.defects import write_defects
from imgclf_lib.odd_images import encoded

TEST_SHARE = 0.25  # honest test images for each training image
LEAKED_SHARE = 0.1  # training images that are test images too: half as copies, half as JPEG
WRONG_SHARE = 0.02  # training images in the folder of another class
RARE_SHARE = 0.2  # images of the last class that are kept


def write_practice(folder: Path, source: ImageData, count: int, seed: int = 0) -> pd.DataFrame:
    """Write images into ``folder/train/CLASS`` and ``folder/test/CLASS``, and faults among them.

    Planted are all defects of ``write_defects``, images in the folder of another class, a class
    with few images, and training images that are in the test folders too. The test folders are
    filled with validation images: the test split of the data set stays closed.

    Args:
        folder: Where to write; it is made if it does not exist, and must be empty.
        source: The data set.
        count: Training images that are taken of it.
        seed: Seed of every choice.

    Returns:
        A row a file with the columns ``path`` (relative to the folder, with ``/``), ``kind``
        (``good``, ``wrong label``, ``leaked copy``, ``leaked JPEG``, or a kind of
        ``write_defects``), ``label`` (the true class of good, mislabelled and leaked images,
        else "") and ``problem`` (the expected one; "" if the file can be used).

    Raises:
        InputError: If the folder is not empty.
    """
    generator = np.random.default_rng(seed)
    names = [
        name.replace("/", " or ").strip(". ") or f"class {label}"
        for label, name in enumerate(source.class_names)
    ]
    train, val = source.train.sample(count, seed), source.val.sample(round(TEST_SHARE * count))
    rare = train.labels == len(names) - 1
    kept = np.flatnonzero(~rare | (np.cumsum(rare) <= max(4, RARE_SHARE * rare.sum())))
    images = [_color(image) for image in train.images[kept]]
    labels = train.labels[kept]
    wrong = generator.choice(len(kept), max(2, round(WRONG_SHARE * len(kept))), replace=False)
    given = labels.copy()
    given[wrong] = (given[wrong] + generator.integers(1, len(names), len(wrong))) % len(names)
    written = write_defects(folder, images, [names[label] for label in given], seed, splits=True)
    written.insert(2, "label", "")
    written.loc[: len(kept) - 1, "label"] = [names[label] for label in labels]
    written.loc[wrong, "kind"] = "wrong label"

    rows = []
    leaked = generator.choice(len(kept), max(2, round(LEAKED_SHARE * len(kept))), replace=False)
    for turn, row in enumerate(leaked):
        kind, form = (("leaked copy", "PNG"), ("leaked JPEG", "JPEG"))[turn % 2]
        content = encoded(images[row], form, **({"quality": 60} if turn % 2 else {}))
        name = f"{names[given[row]]}/again {turn:03}.{form.lower().replace('jpeg', 'jpg')}"
        rows.append((name, kind, names[labels[row]], content))
    for number, (image, label) in enumerate(zip(val.images, val.labels, strict=True)):
        name = f"{names[label]}/{number:04}.png"
        rows.append((name, "good", names[label], encoded(_color(image))))
    for name, _, _, content in rows:
        path = folder / "test" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    more = pd.DataFrame(
        [(f"test/{name}", kind, label, "") for name, kind, label, _ in rows],
        columns=["path", "kind", "label", "problem"],
        dtype="str",
    )
    written = written[written["path"] != ""]
    return pd.concat([written[list(more.columns)], more], ignore_index=True)


def _color(image: np.ndarray) -> np.ndarray:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.asarray(image)
