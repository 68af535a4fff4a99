"""The exercises of notebook 00: a first variable, a first experiment, a first look at answers."""

from collections.abc import Sequence
from typing import Any

from imgclf_lib.exercises.exercise import Exercise, Mistake, number
from imgclf_lib.experiment import Experiment

PICTURES = 1000


def _judge_looks(answer: Any, epochs: int) -> str:
    right = PICTURES * epochs
    if isinstance(answer, str) and "epochs" in answer:
        raise Mistake(
            "Between quotes it is only a text; Python does not compute it. Take the quotes away."
        )
    found = number(answer)
    if found == right:
        return (
            f"{PICTURES:,} * {epochs} = {right:,} looks. If you change epochs in the first cell"
            " and run both cells again, the answer changes with it."
        )
    if found == PICTURES + epochs:
        raise Mistake(
            "You have added. Each of the pictures is looked at again in every epoch, so multiply:"
            " the sign is *."
        )
    if found == PICTURES:
        raise Mistake("That is one epoch. The model goes through the pictures epochs times.")
    if found == epochs:
        raise Mistake(f"That is how often it looks at one picture. There are {PICTURES:,} of them.")
    if found == PICTURES**epochs:
        raise Mistake("** is the power. To multiply, write a single *.")
    if found == PICTURES / epochs:
        raise Mistake("You have divided. More epochs mean more looks, not fewer.")
    raise Mistake(
        f"{found:,.10g} it is not. Multiply the number of pictures by the number of epochs; the"
        " sign is *."
    )


def count_looks(epochs):
    """Every picture, once in every epoch.

    Args:
        epochs: The number from the parameters cell.
    """
    return 1000 * epochs


def _judge_own_experiment(answer: Any, mine: Experiment) -> str:
    if isinstance(answer, str):
        raise Mistake(
            "This is a text. Write Experiment(...) without quotes around it, and the values of the"
            " fields between its brackets."
        )
    if isinstance(answer, type):
        raise Mistake("Write brackets after Experiment, and the values of the fields inside.")
    if isinstance(answer, dict):
        answer = Experiment().replace(**answer)  # a text for a number, or a wrong name, is refused
    if not isinstance(answer, Experiment):
        raise Mistake(f"An Experiment is wanted here. Received: {answer!r}.")
    if answer == mine:
        raise Mistake("This is the same experiment as mine. Change its epochs and learning_rate.")
    if answer.epochs != 2 * mine.epochs:
        if answer.learning_rate == 2 * mine.learning_rate:
            raise Mistake("You doubled the learning_rate. Twice as long means twice the epochs.")
        raise Mistake(
            f"epochs is {answer.epochs}. Twice as long as mine means {mine.epochs} * 2 epochs."
        )
    if answer.learning_rate >= mine.learning_rate:
        raise Mistake(
            f"learning_rate is {answer.learning_rate:g}; the one of mine is {mine.learning_rate:g}."
            " Smaller steps need a smaller number."
        )
    others = {
        name: value
        for name, value in (answer.changes() | mine.changes()).items()
        if name not in ("epochs", "learning_rate") and getattr(answer, name) != getattr(mine, name)
    }
    if others:
        name = next(iter(others))
        raise Mistake(
            f"{name} is {getattr(answer, name)!r}, and in mine it is {getattr(mine, name)!r}."
            " Everything else should stay the same. What you do not write down has its usual value."
        )
    return f"{answer.changes()}: only these values differ from the usual ones."


def describe_own_experiment(mine):
    """Twice the epochs, smaller steps, and everything else as it is.

    Args:
        mine: The experiment to begin with.
    """
    return mine.replace(epochs=2 * mine.epochs, learning_rate=mine.learning_rate / 4)


def _judge_right_answers(answer: Any, titles: Sequence[str]) -> str:
    right = sum("✓" in title for title in titles)
    found = number(answer)
    if found == right:
        return f"{right} of {len(titles)} answers are right: that is {right / len(titles):.0%}."
    if (isinstance(answer, str) and "%" in answer) or found == right / len(titles):
        raise Mistake("That is a share. Give the number of pictures with a right answer.")
    if found == 100 * right / len(titles) and found > len(titles):
        raise Mistake("That is the share in percent. Give the number of pictures.")
    if found == len(titles) - right:
        raise Mistake("That many are wrong (✗). How many are right (✓)?")
    if found == len(titles):
        raise Mistake("That is the number of all the pictures. Read the line under each answer.")
    raise Mistake(
        f"Count again: the line under each answer says ✓ right or ✗ wrong. There are {len(titles)}"
        f" pictures, and you found {found:g}."
    )


def count_right_answers(titles):
    """Count the texts with the sign of a right answer.

    Args:
        titles: The texts above the pictures.
    """
    return sum("✓" in title for title in titles)


looks = Exercise(
    "looks",
    "How many looks?",
    ["using a variable in a computation"],
    _judge_looks,
    count_looks,
    "The name epochs stands for its number. With the name, the line stays right when somebody"
    " changes the number above.",
    [
        "In one epoch the model looks at every picture once. In two epochs?",
        "The sign for multiplication is *, as in 6 * 7.",
        "answer = 1000 * epochs",
    ],
)

right_answers = Exercise(
    "right_answers",
    "Read the pictures",
    ["reading predictions", "number and share"],
    _judge_right_answers,
    count_right_answers,
    "You can count by eye. Python can count too: it looks for the sign ✓ in the text above each"
    " picture.",
    [
        "The second line above each picture begins with ✓ or with ✗.",
        "Count the pictures with ✓, in both rows.",
    ],
)

own_experiment = Exercise(
    "own_experiment",
    "An experiment of your own",
    ["describing an experiment", "fields and their values"],
    _judge_own_experiment,
    describe_own_experiment,
    "replace takes an experiment and changes some of its fields; all other fields are copied. To"
    " write everything anew in Experiment(...) is just as good.",
    [
        "Begin with a copy of the line that made mine, and change two numbers in it.",
        "Which field says how often the model goes through the pictures? Which one says how large"
        " the steps are?",
        "Experiment(epochs=16, batch_size=32, learning_rate=0.0005)",
    ],
)
