"""What exists because there are notebooks; nothing else imports it.

``headline`` and ``for_report`` mark what a notebook found; ``run_notebooks`` runs the course
headless and makes a report of these marks. ``train_all`` trains several experiments and says how
far it is. ``examine`` checks the machine, and ``write_practice``
makes the messy folder of notebook 08. The live widgets and the exercises are chapters of their
own inside.
"""

from imgclf_lib.course.doctor import examine, open_lab
from imgclf_lib.course.practice import write_practice
from imgclf_lib.course.progress import overwritten_line, train_all
from imgclf_lib.course.report import for_report, headline
from imgclf_lib.course.suite import (
    course_notebooks,
    find_notebooks,
    notebook_parameters,
    run_notebooks,
)

__all__ = [
    "course_notebooks",
    "examine",
    "find_notebooks",
    "for_report",
    "headline",
    "notebook_parameters",
    "open_lab",
    "overwritten_line",
    "run_notebooks",
    "train_all",
    "write_practice",
]
