"""A thin library for image classification: one experiment, three doors.

Modules read in the order in which data flows; see ``docs/`` and the notebooks.
Importing this package loads no deep-learning framework and changes nothing.
"""

from imgclf_lib.experiment import Experiment, preset

__all__ = ["Experiment", "__version__", "preset"]

__version__ = "0.1.0"
