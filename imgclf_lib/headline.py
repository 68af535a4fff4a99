"""Say a notebook's result in one sentence that people and ``results.csv`` both read."""

MIME_TYPE = "application/vnd.imgclf.headline+json"


def headline(sentence: str, **figures: float) -> None:
    """Show a sentence below the cell, and keep its figures for the report of the suite.

    Args:
        sentence: The result in plain words, with its numbers.
        **figures: The same numbers by name, for ``results.csv``.
    """
    from IPython.display import display

    kept = {"sentence": sentence, "figures": {name: float(each) for name, each in figures.items()}}
    display({"text/plain": sentence, MIME_TYPE: kept}, raw=True)
