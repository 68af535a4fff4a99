"""Is a split of grouped images honest? Any honest one is right."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Mistake, array, call

SLACK = 0.12  # groups cannot be cut, so the share is met roughly


def judge_split(answer: Any) -> str:
    """Try a function that splits images by their groups.

    Args:
        answer: A function of the groups and of the share kept for validation; it returns a truth
            value for each image.

    Returns:
        What to say about a right function.

    Raises:
        Mistake: If a group is divided, a part is empty, or the share is far off.
    """
    generator = np.random.default_rng(0)
    people = np.array([f"person {number}" for number in range(120)])
    uneven = np.repeat(people, generator.integers(1, 7, len(people)))
    twins = np.tile(np.arange(100), 2)
    for groups in (twins, generator.permutation(uneven), np.arange(200)):
        for share in (0.2, 0.4):
            _judge_one(array(call(answer, groups.copy(), share)), groups, share)
    return "No group is divided, and both parts have their share. Such a score can be believed."


def _judge_one(held: np.ndarray, groups: np.ndarray, share: float) -> None:
    count = len(groups)
    if held.shape != (count,):
        raise Mistake(
            f"For {count} groups a list of {count} truth values is wanted, True for validation;"
            f" yours has shape {held.shape}. Row numbers can be turned into one with"
            " np.isin(np.arange(len(groups)), rows)."
        )
    if not np.isin(held, (0, 1)).all():
        raise Mistake("Truth values are wanted: True for validation, False for training.")
    held = held.astype(bool)
    if held.all() or not held.any():
        raise Mistake(f"One of the two parts is empty, for {count} images and a share of {share}.")
    both = np.intersect1d(groups[held], groups[~held])
    if len(both):
        raise Mistake(
            f"Group {both[0].item()!r} has images in both parts ({len(both)} groups are divided):"
            " that is the leak. Choose groups, not images."
        )
    if abs(held.mean() - share) > SLACK:
        if abs(held.mean() - (1 - share)) <= SLACK:
            raise Mistake("You have marked the training images. True is for validation.")
        raise Mistake(
            f"Asked for a share of {share}, your validation part holds {held.mean():.2f} of the"
            " images. How many different groups are there, and how many of them do you take?"
        )


def solve_split():
    """A right answer."""
    import numpy as np

    def split(groups, share):
        different = np.unique(groups)
        order = np.random.default_rng(0).permutation(different)
        chosen = order[: round(share * len(order))]
        return np.isin(groups, chosen)

    return split
