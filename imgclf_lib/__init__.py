"""A thin library for image classification: one experiment, three doors.

Modules read in the order in which data flows; see ``docs/`` and the notebooks.
Importing this package loads no deep-learning framework and changes nothing.
"""

__version__ = "0.1.0"
