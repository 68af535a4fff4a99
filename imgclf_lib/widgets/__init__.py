"""Live controls for notebooks; the only part of the library that imports ipywidgets.

Each module holds one widget: controls made from the fields of an ``Experiment``, around
functions of the library that work without any widget.
"""
