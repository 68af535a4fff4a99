"""A line below a cell that says how far its work is, overwritten each time."""

from collections.abc import Callable, Mapping

from imgclf_lib.experiment import Experiment
from imgclf_lib.training import Run, train


def overwritten_line() -> Callable[[str], None]:
    """A line below the cell.

    Returns:
        A function that shows a text, each time in place of the text before.
    """
    from IPython.display import DisplayHandle

    handle, shown = DisplayHandle(), False

    def say(text: str) -> None:
        nonlocal shown
        show = handle.update if shown else handle.display
        show({"text/plain": text}, raw=True)
        shown = True

    return say


def train_all(experiments: Mapping[str, Experiment]) -> dict[str, Run]:
    """Train experiments one after the other; a line below the cell says which one is in work.

    Args:
        experiments: What to train, by name. Finished runs are only loaded.

    Returns:
        The finished runs by the same names, in the same order.

    Raises:
        InputError: If the data of one cannot be used.
        TrainingError: If the loss of one became not a number.
    """
    say, runs = overwritten_line(), {}
    for number, (name, each) in enumerate(experiments.items(), 1):
        say(f"Run {number} of {len(experiments)}: {name} …")
        runs[name] = train(each, progress="none")
    say(f"Runs ready: {len(runs)} of {len(runs)}.")
    return runs
