"""``imgclf``: choose the command, and turn errors into one message and an exit code."""

import os
import sys
from collections.abc import Sequence

from imgclf_lib import commands, course_commands, data_commands
from imgclf_lib.errors import ImgclfError

COMMANDS = {
    "doctor": commands.doctor,
    "audit": data_commands.audit,
    "train": commands.train,
    "evaluate": commands.evaluate,
    "predict": commands.predict,
    "run": course_commands.run,
    "lab": course_commands.lab,
    "exercises": course_commands.exercises,
    "cache": data_commands.cache,
}

HELP = """usage: imgclf COMMAND [OPTIONS]

Image classification: a course and a toolkit.

commands:
  doctor      check this machine: packages, backend, accelerator, data, disk
  audit       what is wrong with a folder of images; a list of fixes to edit
  train       train one model into a run folder
  evaluate    measure a trained run on the test split
  predict     class and probability for image files
  run         run the course's notebooks without a browser, and write a report
  lab         open the course in JupyterLab
  exercises   list the exercises; copies with or without solutions
  cache       list the decoded images that are kept on disk, or delete them

examples:
  imgclf audit path/to/photos --fix_list fixes.csv
  imgclf train --data fashion_mnist --epochs 5
  imgclf train --data path/to/photos --preset deep --out models/photos
  imgclf evaluate models/photos
  imgclf predict models/photos new/*.jpg
  imgclf run --data path/to/photos --out runs/photos

imgclf COMMAND --help tells more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after ``imgclf``; those of the process by default.

    Returns:
        The exit code: 0 done; 1 ran, and the answer is no; 2 bad input; 130 interrupted.
    """
    try:
        code = _answer(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()  # here, and not at exit, so that a lost reader is noticed
        return code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if words[0] == "--version":
        from imgclf_lib import __version__

        print(__version__)
        return 0
    try:
        command = COMMANDS.get(words[0])
        if command is None:
            return _complain(f"There is no command {words[0]!r}. Try imgclf --help.", 2)
        return command(words[1:])
    except ImgclfError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        hint = " What is complete is kept; the same command with --resume goes on."
        return _complain("Interrupted." + (hint if words[0] == "train" else ""), 130)
    except SystemExit as end:  # the argument parser has said what is wrong
        return end.code if isinstance(end.code, int) else 2


def _complain(message: str, code: int) -> int:
    print(f"imgclf: {message}", file=sys.stderr)
    return code
