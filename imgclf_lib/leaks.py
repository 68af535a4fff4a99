"""Images of one split that are in training too, as a data set gives them, and what that does."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imgclf_lib.leakage import LeakageEffect, leakage_effect

MOST_BYTES = 800_000_000  # of images that are held in memory


class Leaks(NamedTuple):
    """What was measured about leaked images.

    Args:
        split: The split that was measured: ``val`` if it leaks, else ``test``; empty if none does.
        effect: The scores with and without the leaked images; None if none leaks.
    """

    split: str
    effect: LeakageEffect | None

    @property
    def sentence(self) -> str:
        """What was measured, in words."""
        if self.effect is None:
            return "No image of training is in another split that was given."
        name = {"val": "validation", "test": "test"}[self.split]
        return f"Leakage into the {name} split: {self.effect.sentence}"

    @property
    def figures(self) -> dict[str, Any]:
        """The figures as JSON can hold them."""
        return {"split": self.split} | ({} if self.effect is None else self.effect.figures)


def measure_leaks(
    table: pd.DataFrame, images: np.ndarray, places: np.ndarray, groups: np.ndarray
) -> Leaks:
    """Measure what leaked images do, on the validation split where it leaks, else on the test.

    Args:
        table: A row a file, with the columns ``label``, ``split`` and ``problem``; splits as they
            were given.
        images: ``uint8`` array of shape ``(m, size, size, channels)``.
        places: ``int64`` array of shape ``(n,)``: for each row its place in ``images``, or -1.
        groups: Integer array of shape ``(n,)``, as from ``twins.group_twins``.

    Returns:
        The scores, and of which split they are.
    """
    splits = table["split"].where(table["problem"] == "", "").to_numpy()
    train = np.flatnonzero(splits == "train")
    twins = np.isin(groups, groups[train])
    for split in ("val", "test"):
        held = np.flatnonzero(splits == split)
        if twins[held].any():
            break
    else:
        return Leaks("", None)
    most = max(1, MOST_BYTES // max(1, images[:1].nbytes))
    if len(train) > most:  # those that leak stay, and as many others as there is room for
        needed = np.isin(groups[train], groups[held])
        order = np.random.default_rng(0).permutation(len(train))
        train = np.sort(train[order[np.argsort(~needed[order], kind="stable")[:most]]])
    labels = pd.factorize(table["label"], sort=True)[0]
    return Leaks(
        split,
        leakage_effect(
            images[places[train]],
            labels[train],
            images[places[held]],
            labels[held],
            twins[held],
        ),
    )
