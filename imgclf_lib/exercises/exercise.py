"""What an exercise is: it checks an answer, gives hints step by step, and shows a solution."""

import html
import inspect
import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imgclf_lib.errors import ImgclfError

RIGHT_COLOR, WRONG_COLOR, NOTE_COLOR = "#009E73", "#D55E00", "#0072B2"


class Mistake(Exception):
    """What is not right about an answer, and a nudge in the right direction."""


class Unanswered(Exception):
    """The place for the answer is still empty."""


class Exercise:
    """A question inside a notebook.

    Args:
        name: Its name, as in ``exercises.NAME.check(answer)``.
        title: The question in a few words.
        tests: What it tests: the points an instructor can list.
        judge: Called with the answer and the facts of the notebook; returns what to say about a
            right answer, and raises ``Mistake`` for a wrong one.
        solve: Called with the facts; returns a right answer. Its source is the solution.
        explanation: Why the solution is right, in a sentence or two.
        hints: From a first nudge to nearly the solution.
    """

    def __init__(
        self,
        name: str,
        title: str,
        tests: Sequence[str],
        judge: Callable[..., str],
        solve: Callable[..., Any],
        explanation: str,
        hints: Sequence[str],
    ) -> None:
        self.name, self.title, self.tests = name, title, tuple(tests)
        self.judge, self.solve = judge, solve
        self.explanation, self.hints = explanation, tuple(hints)
        self._hints_given = 0

    def check(self, answer: Any = None, *facts: Any) -> None:
        """Say whether an answer is right; if it is not, what about it is wrong.

        Args:
            answer: A value, a function or a model; ``...`` or None while there is no answer.
            *facts: What the notebook has made and the question is about.
        """
        try:
            if unanswered(answer):
                raise Unanswered
            said = self.judge(answer, *facts)
        except Unanswered:
            helps = f"exercises.{self.name}.hint() helps, exercises.{self.name}.solution() tells."
            _show("Not answered yet.", f"Replace the three dots, and run the cell. {helps}")
        except Mistake as mistake:
            _show("✗ Not yet.", str(mistake), WRONG_COLOR)
        except ImgclfError as error:
            _show("✗ Not yet.", str(error), WRONG_COLOR)
        except Exception as error:  # whatever the learner's own code raises
            _show("✗ Not yet.", f"Your answer raised {type(error).__name__}: {error}", WRONG_COLOR)
        else:
            _show("✓ Right.", said, RIGHT_COLOR)

    def hint(self) -> None:
        """Give the next hint; after the last one they begin again."""
        number = self._hints_given % len(self.hints)
        self._hints_given += 1
        _show(f"Hint {number + 1} of {len(self.hints)}.", self.hints[number])

    def solution(self) -> None:
        """Show the solution and explain it."""
        if os.environ.get("IMGCLF_SOLUTIONS") == "hidden":
            _show("Solution.", "Your instructor has kept the solutions back for now.")
        else:
            _show("Solution.", self.explanation, code=self.source)

    @property
    def source(self) -> str:
        """The solution as Python code."""
        return textwrap.dedent(inspect.getsource(self.solve)).rstrip()


def unanswered(answer: Any) -> bool:
    """Whether the place for the answer is still empty.

    Args:
        answer: Anything.

    Returns:
        Whether it is None, ``...``, or an empty text.
    """
    return answer is None or answer is ... or (isinstance(answer, str) and not answer.strip())


def call(function: Any, *arguments: Any) -> Any:
    """What a learner's function returns.

    Args:
        function: The answer, which should be a function.
        *arguments: What it is called with.

    Returns:
        What it returns.

    Raises:
        Mistake: If it is no function.
        Unanswered: If it returns nothing yet.
    """
    if not callable(function):
        raise Mistake(f"A function is wanted here, not {_kind(function)}.")
    result = function(*arguments)
    if unanswered(result):
        raise Unanswered
    return result


def number(answer: Any) -> float:
    """An answer as a number, whatever form it came in.

    Args:
        answer: A Python or NumPy number, an array or a list of one number, a tensor of any
            backend, or a text such as ``"1,024"``, ``"0.5"`` or ``"50 %"``.

    Returns:
        The number.

    Raises:
        Mistake: If it is not one number.
    """
    if isinstance(answer, str):
        text = answer.replace(",", "").replace("_", "").strip()
        scale = 0.01 if text.endswith("%") else 1.0
        try:
            return float(text.rstrip("% ")) * scale
        except ValueError:
            raise Mistake(f"A number is wanted here, not the text {answer!r}.") from None
    try:
        values = array(answer)
    except Mistake:
        raise Mistake(f"A number is wanted here, not {_kind(answer)}.") from None
    if values.size != 1:
        raise Mistake(f"One number is wanted here, not {values.size:,} of them.")
    return float(values.reshape(()))


def array(answer: Any) -> np.ndarray:
    """An answer as an array of numbers, whatever form it came in.

    Args:
        answer: A NumPy array, a list, a table, or a tensor of any backend.

    Returns:
        Array of numbers or of truth values.

    Raises:
        Mistake: If it does not hold numbers.
    """
    try:
        if hasattr(answer, "detach"):  # a PyTorch tensor that remembers its gradient
            answer = answer.detach().cpu()
        values = np.asarray(answer)
    except Exception:
        raise Mistake(f"Numbers are wanted here, not {_kind(answer)}.") from None
    if values.dtype.kind not in "biuf":
        raise Mistake(f"Numbers are wanted here, not {_kind(answer)}.")
    return values


def _kind(answer: Any) -> str:
    name = type(answer).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _show(title: str, text: str, color: str = NOTE_COLOR, code: str = "") -> None:
    """Show a verdict below the cell: as a box in a browser, as plain lines elsewhere."""
    from IPython.display import display

    # The word and the sign say it too: nobody needs to see the colour.
    box = (
        f'<div role="status" style="border-left: 4px solid {color}; padding: 4px 12px">'
        f"<b>{html.escape(title)}</b> {html.escape(text)}"
        + (f"<pre>{html.escape(code)}</pre>" if code else "")
        + "</div>"
    )
    plain = f"{title} {text}" + (f"\n\n{code}" if code else "")
    display({"text/html": box, "text/plain": plain}, raw=True)
