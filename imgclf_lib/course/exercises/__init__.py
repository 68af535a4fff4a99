"""Exercises that check an answer, give hints, and show a solution: one module for each notebook.

``from imgclf_lib.course.exercises import train as exercises`` is how notebook 04 gets its own.
"""

from imgclf_lib.course.exercises.exercise import exercise_table, write_copies

__all__ = [
    "exercise_table",
    "write_copies",
]
