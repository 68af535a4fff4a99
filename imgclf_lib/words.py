"""Reading the words of a command line, and printing JSON."""

import inspect
import json
from collections.abc import Sequence
from typing import Any


def parse_words(
    command: str,
    into: Any,
    words: Sequence[str],
    description: str | None,
    default: Any = None,
    pairs: bool = False,
) -> Any:
    """Read the words after a command; every flag may be written with ``_`` or with ``-``.

    Args:
        command: Name of the command, for its help.
        into: The function or dataclass whose parameters become flags.
        words: The words after the command.
        description: What the help says first.
        default: An instance of the dataclass that holds the defaults.
        pairs: Whether a switch also has its opposite, such as ``--no-browser``.

    Returns:
        What the function returns, or an instance of the dataclass.

    Raises:
        SystemExit: If the words make no sense; the parser has said why.
    """
    import tyro

    return tyro.cli(
        into,
        prog=f"imgclf {command}",
        description=inspect.cleandoc(description or ""),
        args=list(words),
        use_underscores=True,
        config=() if pairs else (tyro.conf.FlagCreatePairsOff,),
        **({} if default is None else {"default": default}),
    )


def value_of(flag: str, words: Sequence[str]) -> str:
    """The value of a flag that must be known before the others are read.

    Args:
        flag: Such as ``--preset``.
        words: The words after the command.

    Returns:
        The value, or an empty text.
    """
    for number, word in enumerate(words):
        if word == flag and number + 1 < len(words):
            return words[number + 1]
        if word.startswith(flag + "="):
            return word.removeprefix(flag + "=")
    return ""


def print_json(content: Any) -> None:
    """Print JSON to standard output.

    Args:
        content: What JSON can hold.
    """
    print(json.dumps(content, indent=2))


def parse_value(text: str) -> Any:
    """A parameter value from the command line: JSON if it is JSON, the text itself if not.

    Args:
        text: Such as ``3``, ``0.1``, ``true``, ``[32, 64]`` or ``fashion_mnist``.

    Returns:
        The value.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
