"""The exercises of notebook 00: a first variable, a first experiment, a first look at answers."""

from collections.abc import Sequence
from typing import Any

from imgclf_lib.course.exercises.exercise import Mistake, judge_number, question
from imgclf_lib.experiment import Experiment

PICTURES = 1000


def count_looks(epochs):
    return 1000 * epochs


@question(
    "How many looks?",
    tests=["using a variable in a computation"],
    hints=[
        "In one epoch the model looks at every picture once. In two epochs?",
        "The sign for multiplication is *, as in 6 * 7.",
        "answer = 1000 * epochs",
    ],
    solve=count_looks,
    explanation="Every picture, once in every epoch. The name epochs stands for its number: with"
    " the name, the line stays right when somebody changes the number above.",
)
def looks(answer: Any, epochs: int) -> str:
    if isinstance(answer, str) and "epochs" in answer:
        raise Mistake(
            "Between quotes it is only a text; Python does not compute it. Take the quotes away."
        )
    right = count_looks(epochs)
    return judge_number(
        answer,
        right,
        f"{PICTURES:,} * {epochs} = {right:,} looks. If you change epochs in the first cell and run"
        " both cells again, the answer changes with it.",
        {
            "You have added. Each of the pictures is looked at again in every epoch, so multiply:"
            " the sign is *.": PICTURES + epochs,
            "That is one epoch. The model goes through the pictures epochs times.": PICTURES,
            f"That is how often it looks at one picture. There are {PICTURES:,} of them.": epochs,
            "** is the power. To multiply, write a single *.": PICTURES**epochs,
            "You have divided. More epochs mean more looks, not fewer.": PICTURES / epochs,
        },
        "Multiply the number of pictures by the number of epochs; the sign is *.",
    )


def count_right_answers(titles):
    return sum("✓" in title for title in titles)


@question(
    "Read the pictures",
    tests=["reading predictions", "number and share"],
    hints=[
        "The second line above each picture begins with ✓ or with ✗.",
        "Count the pictures with ✓, in both rows.",
    ],
    solve=count_right_answers,
    explanation="You can count by eye. Python can count too: it looks for the sign ✓ of a right"
    " answer in the text above each picture.",
)
def right_answers(answer: Any, titles: Sequence[str]) -> str:
    right, count = count_right_answers(titles), len(titles)
    share = "That is a share. Give the number of pictures with a right answer."
    if isinstance(answer, str) and "%" in answer:
        raise Mistake(share)
    return judge_number(
        answer,
        right,
        f"{right} of {count} answers are right: that is {right / count:.0%}.",
        {
            share: right / count,
            "That many are wrong (✗). How many are right (✓)?": count - right,
            "That is the number of all the pictures. Read the line under each answer.": count,
            "That is the share in percent. Give the number of pictures.": 100 * right / count,
        },
        "Count again: the line under each answer says ✓ right or ✗ wrong. There are"
        f" {count} pictures.",
    )


def describe_own_experiment(mine):
    return mine.replace(epochs=2 * mine.epochs, learning_rate=mine.learning_rate / 4)


@question(
    "An experiment of your own",
    tests=["describing an experiment", "fields and their values"],
    hints=[
        "Begin with a copy of the line that made mine, and change two numbers in it.",
        "Which field says how often the model goes through the pictures? Which one says how large"
        " the steps are?",
        "Experiment(epochs=16, batch_size=32, learning_rate=0.0005)",
    ],
    solve=describe_own_experiment,
    explanation="replace takes an experiment and changes some of its fields; all other fields are"
    " copied. To write everything anew in Experiment(...) is just as good.",
)
def own_experiment(answer: Any, mine: Experiment) -> str:
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
