"""Exercises that answer back: for each notebook a module with ``check``, ``hint``, ``solution``.

Nothing here looks at how an answer was made, only at what it does.
"""
