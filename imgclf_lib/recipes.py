"""A notebook with the values of an experiment, as a command."""

import ast
import shlex
from dataclasses import fields

from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.paths import course_folder
from imgclf_lib.sources import with_whole_paths


def notebook_parameters(experiment: Experiment, notebook: str) -> str:
    """The command that runs a notebook with the values of an experiment.

    Args:
        experiment: The experiment.
        notebook: Name of a notebook of the course, such as ``04_train``.

    Returns:
        A line for a terminal, with the papermill parameters that differ from the notebook's own.

    Raises:
        InputError: If the notebook does not have all the parameters that this needs.
    """
    import papermill

    path = course_folder() / "notebooks" / f"{notebook}.ipynb"
    declared = papermill.inspect_notebook(path)
    words = ["imgclf", "run", notebook]
    experiment = with_whole_paths(experiment)
    missing = []
    for each in fields(experiment):
        value, default = getattr(experiment, each.name), each.default
        if each.name in declared:
            default = ast.literal_eval(declared[each.name]["default"])
            default = tuple(default) if isinstance(default, list) else default
        if value == default:
            continue
        if each.name not in declared:
            missing.append(each.name)
        elif each.name == "data":
            words += ["--data", value]
        else:
            words += ["-p", each.name, str(list(value) if isinstance(value, tuple) else value)]
    if missing:
        raise InputError(f"{notebook} has no parameter {', '.join(missing)}")
    return shlex.join(words)
