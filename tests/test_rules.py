"""The rules of the house: directions of imports, pure imports, docstrings, sizes."""

import ast
import builtins
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import papermill  # noqa: F401  papermill itself loads imgclf_lib.engine, so it must come first
import pytest

import imgclf_lib
from imgclf_lib.exercises.exercise import Exercise

FOLDER = Path(imgclf_lib.__file__).parent
# An import may only point to a module that stands earlier: data flows downwards.
ORDER = [
    *(
        "errors",
        "paths",
        "experiment",
        "presets",
        "backend",
        "datasets",
        "pillow_warnings",
        "formats",
    ),
    *("image_files", "pixels", "progress", "odd_images"),
    *(
        "defect_files",
        "defects",
        "similar",
        "archive_members",
        "archives",
        "catalog",
        "file_lists",
        "sources",
        "fixes",
        "splits",
    ),
    "decoding",
    *("weight_files", "torch_files", "efficientnet_lite", "backbones"),
    *("cache_folders", "decoded_files", "cache", "data", "practice", "preprocess", "augmentation"),
    *("batch_normalization", "muon", "convolutions", "model", "network_plan", "batches"),
    *("fitting", "runs", "recorder"),
    *("features", "transfer"),
    *("train", "recipes", "search", "evaluate"),
    *("predict", "baselines", "findings", "file_findings"),
    *("label_errors", "leakage", "audit"),
    *("figures", "plots", "audit_plots", "evaluation_plots", "training_plots", "network_plots"),
    *("headline", "advice", "doctor"),
    *("widgets.frame", "widgets.picture", "widgets.heartbeat", "widgets.controls"),
    *("widgets.live_training", "widgets.image_explorer", "widgets.augmentation_preview"),
    *("widgets.network_designer", "widgets.confusion_explorer", "widgets.sketch"),
    *("widgets.upload", "widgets.try_it"),
    *("widgets.ranges", "widgets.tuner", "widgets.finding_walk", "widgets.transfer_bench"),
    "exercises.exercise",
    *("exercises.start_here", "exercises.explore_data"),
    *("exercises.split_judge", "exercises.preprocess"),
    *("exercises.network_judge", "exercises.evaluation_judges"),
    *("exercises.build_model", "exercises.loss_judge"),
    *("exercises.training_judge", "exercises.train", "exercises.evaluate"),
    *("exercises.prediction_judge", "exercises.predict"),
    *("exercises.search_judge", "exercises.tune"),
    *("exercises.own_images_judge", "exercises.your_own_images"),
    *("exercises.transfer_judge", "exercises.transfer_learning"),
    *("exercises.speed_judge", "exercises.go_fast", "exercises.course"),
    *("engine", "outcomes", "report", "suite", "lab"),
    *("words", "commands", "data_commands", "course_commands", "cli", "__main__"),
]
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
)
FRAMEWORKS = {"tensorflow", "torch", "jax", "jaxlib", "keras"}


def text_of(name: str) -> str:
    return (FOLDER / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")


def tree_of(name: str) -> ast.Module:
    return ast.parse(text_of(name))


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """Every imported module, also those inside functions, and whether it is for types alone."""
    tree = tree_of(name)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            yield node.module or "", id(node) in for_types
            if (node.module or "").startswith("imgclf_lib"):  # a name may be a module too
                for alias in node.names:
                    yield f"{node.module}.{alias.name}", id(node) in for_types


def imported_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]


def test_every_module_has_its_place():
    assert set(MODULES) <= set(ORDER)
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_to_earlier_modules(name):
    for imported, _ in imports(name):
        package, _, module = imported.partition(".")
        if package == "imgclf_lib" and module in MODULES:
            assert ORDER.index(module) < ORDER.index(name), f"{name} imports {module}"


@pytest.mark.parametrize("name", MODULES)
def test_frameworks_are_loaded_by_backend_alone(name):
    loaded = {
        imported.partition(".")[0] for imported, for_types in imports(name) if not for_types
    } & FRAMEWORKS
    assert loaded == ({"keras"} if name == "backend" else set())
    named = {imported.partition(".")[0] for imported, _ in imports(name)} & FRAMEWORKS
    assert named <= {"keras"}


@pytest.mark.parametrize("name", ["figures", "plots", "experiment", "errors", "catalog", "pixels"])
def test_these_know_nothing_of_keras(name):
    text = text_of(name)
    assert not [imported for imported, _ in imports(name) if "keras" in imported]
    assert "load_keras" not in text


@pytest.mark.parametrize("name", MODULES)
def test_nothing_global_is_touched(name):
    imported = {imported for imported, _ in imports(name)}
    assert "matplotlib.pyplot" not in imported
    if not name.startswith("widgets."):
        assert not {"ipywidgets", "anywidget", "traitlets"} & imported
        assert not [each for each in imported if each.startswith("imgclf_lib.widgets")]
    text = text_of(name)
    assert not re.search(r"rcParams|np\.random\.seed|random\.seed\(|sys\.path\b", text)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("widgets.")])
def test_widgets_cannot_stall_or_swallow_errors(name):
    """``interact`` and ``with Output()`` stall headless runs; ``Frame.react`` shows errors."""
    text = text_of(name)
    assert not re.search(r"\binteract|Output\(|@.*\.capture", text)
    if name not in ("widgets.frame", "widgets.controls", "widgets.heartbeat"):
        assert not re.search(r"\.observe\(|\.on_click\(", text), "use Frame.react"


PURITY = """
import importlib, json, os, random, sys
import numpy
import papermill  # loads imgclf_lib.engine by its entry point, so it must come first
modules, others = map(json.loads, sys.argv[1:])
for name in others:  # what other packages do when they are imported is not our doing
    importlib.import_module(name)

writes = []
def watch(event, values):
    if event == "open" and isinstance(values[1], str) and set(values[1]) & set("wax+"):
        writes.append(str(values[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
        writes.append(str(values[0]))
sys.addaudithook(watch)
before = dict(os.environ), random.getstate(), numpy.random.get_state()[1].tolist()
for name in modules:
    importlib.import_module(f"imgclf_lib.{name}")
after = dict(os.environ), random.getstate(), numpy.random.get_state()[1].tolist()
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "pyplot": "matplotlib.pyplot" in sys.modules,
    "unchanged": [one == two for one, two in zip(before, after)],
    "writes": writes,
}))
"""


def test_importing_loads_no_framework_and_changes_nothing(tmp_path, monkeypatch):
    """Every module in one fresh interpreter, in an empty current folder."""
    settings = tmp_path / "settings"  # Matplotlib and IPython may fill their own caches
    monkeypatch.setenv("MPLCONFIGDIR", str(settings))
    monkeypatch.setenv("IPYTHONDIR", str(settings))
    for name in ("IMGCLF_CACHE", "IMGCLF_MODELS", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    names = [name for name in MODULES if name != "__main__"]
    others = {
        imported
        for name in names
        for node in tree_of(name).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for imported in imported_by(node)
        if not imported.startswith("imgclf_lib")
    }
    done = subprocess.run(
        [sys.executable, "-B", "-c", PURITY, json.dumps(names), json.dumps(sorted(others))],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert not FRAMEWORKS & set(found["loaded"])
    assert {"imgclf_lib", "sklearn", "pandas", "matplotlib"} <= set(found["loaded"])
    assert found["unchanged"] == [True, True, True]
    assert [path for path in found["writes"] if not path.startswith(str(settings))] == []
    assert list((tmp_path / "here").iterdir()) == []


def public_things() -> Iterator[tuple[str, object]]:
    """Every public function, class and method that the library itself defines."""
    for module_name in MODULES:
        # The docstrings of commands are their help texts, and tested with the command line.
        if module_name in ("__main__", "commands", "course_commands", "data_commands"):
            continue
        module = importlib.import_module(f"imgclf_lib.{module_name}")
        # The solutions of exercises are shown to learners: one line of docstring is enough.
        solutions = [each.solve for each in vars(module).values() if isinstance(each, Exercise)]
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
                continue
            if thing in solutions:
                continue
            if not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            yield f"{module_name}.{name}", thing
            for inner, method in vars(thing).items() if inspect.isclass(thing) else ():
                function = method.__func__ if isinstance(method, classmethod) else method
                if inspect.isfunction(function) and not inner.startswith("_"):
                    yield f"{module_name}.{name}.{inner}", function


THINGS = dict(public_things())
SECTIONS = ("Args", "Returns", "Yields", "Raises")


def sections(docstring: str) -> dict[str, list[str]]:
    """Names by section of a docstring in Google style; for Returns and Yields, their lines."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            section = line[:-1]
            found[section] = []
        elif line and not line.startswith(" "):
            section = ""
        elif section in ("Args", "Raises"):
            entry = re.match(r"    (\*{0,2}\w+): \S", line)
            if entry:
                found[section].append(entry[1])
        elif section and line.strip():
            found[section].append(line.strip())
    return found


def named_parameters(function: object) -> tuple[list[str], list[str]]:
    """Parameters that must be documented, and all of them (stars included), in order."""
    must, every = [], []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        every.append(stars + parameter.name)
        if not stars:
            must.append(parameter.name)
    return must, every


def raised_inside(function: object) -> set[str]:
    """Names of the errors that a function raises in its own lines."""
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    return {
        node.exc.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }


def test_the_reader_of_docstrings_reads():
    text = """One line.

    More.

    Args:
        one: First.
            Second line: not a name.
        **two: Rest.

    Returns:
        A thing.

    Raises:
        InputError: If bad.
    """
    assert sections(text) == {
        "Args": ["one", "**two"],
        "Returns": ["A thing."],
        "Raises": ["InputError"],
    }


@pytest.mark.parametrize("name", THINGS)
def test_docstrings_agree_with_signatures(name):
    thing = THINGS[name]
    docstring = inspect.getdoc(thing) if inspect.isfunction(thing) else thing.__doc__
    assert docstring, f"{name} has no docstring"
    assert docstring[0].strip(), f"the docstring of {name} begins with an empty line"
    found = sections(docstring)
    if inspect.isclass(thing):
        own = "__init__" in vars(thing) or is_dataclass(thing) or hasattr(thing, "_fields")
        must, every = named_parameters(thing) if own else ([], [])
    else:
        must, every = named_parameters(thing)
    documented = found.get("Args", [])
    assert [each for each in documented if each in every] == documented
    assert documented == [each for each in every if each in documented], "in order"
    assert set(must) <= set(documented), f"{name} does not document every parameter"
    if inspect.isfunction(thing):
        returned = thing.__annotations__.get("return")
        gives = returned not in (None, "None", inspect.Signature.empty)
        if every and gives:
            assert found.get("Returns") or found.get("Yields"), f"{name} does not say what it gives"
        if not gives:
            assert "Returns" not in found
        known = vars(importlib.import_module(thing.__module__)) | vars(builtins)
        promised = tuple(known[each] for each in found.get("Raises", []) if each in known)
        for each in raised_inside(thing) - {"SystemExit"}:
            assert issubclass(known[each], promised), f"{name} does not say that it raises {each}"


@pytest.mark.parametrize("name", MODULES)
def test_modules_have_docstrings(name):
    assert ast.get_docstring(tree_of(name))
