"""Live controls for notebooks; the only part of the library that imports ipywidgets.

Widgets are controls made from the fields of an ``Experiment``, around functions of the library
that work without any widget. A room for each chapter they show; ``base`` and ``controls`` are
what they are made of, and ``static`` what browsers run.
"""
