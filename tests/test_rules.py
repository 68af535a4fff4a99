"""The rules of the library: walls between chapters, faces, pure imports, docstrings."""

import ast
import builtins
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path

import papermill  # noqa: F401  papermill itself loads imgclf_lib.course.engine, so it must come first
import pytest

import imgclf_lib

FOLDER = Path(imgclf_lib.__file__).parent
NOTEBOOKS = sorted((FOLDER.parent / "notebooks").glob("*.ipynb"))
# What each chapter may know besides itself. The way of an image goes down this list, so imports
# point up; the files beside the chapters count as chapters of one room.
KNOWS: dict[str, set[str]] = {"errors": set(), "experiment": {"errors"}}
KNOWS["storage"] = {*KNOWS, "experiment"}
KNOWS["backend"] = {*KNOWS}
BASE = {*KNOWS}
KNOWS["files"] = BASE
KNOWS["data"] = BASE | {"files"}
KNOWS["network"] = BASE
KNOWS["training"] = BASE | {"data", "network"}
KNOWS["evaluation"] = BASE | {"files", "data", "network", "training"}
KNOWS["audit"] = BASE | {"files", "data", "network", "training", "evaluation"}
KNOWS["plots"] = {"errors", "experiment"}
TOOLKIT = {*KNOWS}
KNOWS["course"] = TOOLKIT
KNOWS["course.widgets"] = TOOLKIT | {"course"}
KNOWS["course.exercises"] = TOOLKIT | {"course"}
KNOWS["cli"] = TOOLKIT | {"course", "course.exercises"}
KNOWS["__main__"] = {"cli"}
FACES = [name for name in KNOWS if (FOLDER / name.replace(".", "/")).is_dir()]
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
)
FRAMEWORKS = {"tensorflow", "torch", "jax", "jaxlib", "keras"}


def chapter_of(module: str) -> str:
    """The chapter of a room: all but its last name, or itself for a file beside the chapters."""
    return module.rpartition(".")[0] or module


def text_of(name: str) -> str:
    return (FOLDER / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")


def tree_of(name: str) -> ast.Module:
    return ast.parse(text_of(name))


def imports(tree: ast.Module) -> Iterator[tuple[str, str, bool]]:
    """Module and name of every import, also inside functions, and whether it is for types alone."""
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
                yield alias.name, "", id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import names the whole way"
            for alias in node.names:
                yield node.module or "", alias.name, id(node) in for_types


def of_the_library(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module below ``imgclf_lib`` and name of every import of the library; a face has no name."""
    for module, name, _ in imports(tree):
        package, _, inner = module.partition(".")
        if package == "imgclf_lib":
            yield (inner, name) if inner else (name, "")


def imported_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]


def cells_of(notebook: Path) -> ast.Module:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))


def test_every_module_is_in_a_chapter():
    assert {chapter_of(module) for module in MODULES} <= set(KNOWS)
    for face in FACES:
        assert ast.get_docstring(tree_of(f"{face}.__init__")), f"{face} does not tell its story"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_up_and_enter_by_the_face(module):
    own = chapter_of(module)
    for imported, name in of_the_library(tree_of(module)):
        if imported == own and own in FACES:
            assert f"{own}.{name}" in MODULES, f"{module} imports its own face"
        if imported in ("__version__", own) or chapter_of(imported) == own:
            continue
        assert imported in KNOWS, f"{module} enters {imported} past its face"
        assert imported in KNOWS[own], f"{module} imports {name} from {imported}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_faces_in_few_lines(notebook):
    tree = cells_of(notebook)
    for imported, name in of_the_library(tree):
        light = ("Experiment", "preset", "errors", "backend")
        assert imported in light or imported in FACES, f"{imported}.{name}"
    lines = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert sum("imgclf_lib" in line for line in lines) <= 8


@cache
def users() -> dict[str, set[str]]:
    """The names that notebooks, the command line and other chapters take from each face."""
    found: dict[str, set[str]] = defaultdict(set)
    trees = {module: tree_of(module) for module in MODULES}
    trees |= {f"notebook.{notebook.stem}": cells_of(notebook) for notebook in NOTEBOOKS}
    for module, tree in trees.items():
        for imported, name in of_the_library(tree):
            if name and imported in FACES and chapter_of(module) != imported:
                found[imported].add(name)
            elif imported in FACES and not name:  # the face itself: its names are attributes
                found[imported] |= {
                    node.attr
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == imported
                }
    return found


@pytest.mark.parametrize("face", FACES)
def test_a_face_shows_what_others_use(face):
    module = importlib.import_module(f"imgclf_lib.{face}")
    used = users()[face]
    rooms = {name for name in used if f"{face}.{name}" in MODULES}
    assert rooms == set() or face == "course.exercises", f"{rooms} are rooms"
    assert set(module.__all__) == used - rooms
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_frameworks_are_loaded_by_backend_alone(module):
    named = [(each.partition(".")[0], types) for each, _, types in imports(tree_of(module))]
    loaded = {name for name, for_types in named if not for_types} & FRAMEWORKS
    assert loaded == ({"keras"} if module == "backend" else set())
    assert {name for name, _ in named} & FRAMEWORKS <= {"keras"}


@pytest.mark.parametrize("module", [name for name in MODULES if name != "course.engine"])
def test_what_runs_notebooks_is_not_loaded_by_notebooks(module):
    """It takes seconds, and every notebook imports the course; a function may load it."""
    loaded = {
        name.partition(".")[0]
        for node in tree_of(module).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported_by(node)
    }
    assert not {"papermill", "nbformat", "nbclient", "nbconvert"} & loaded


@pytest.mark.parametrize(
    "module", [name for name in MODULES if chapter_of(name) in ("files", "data", "plots")]
)
def test_these_know_nothing_of_keras(module):
    assert not [each for each, *_ in imports(tree_of(module)) if "keras" in each]
    assert "load_keras" not in text_of(module)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_global_is_touched(module):
    imported = {each for each, *_ in imports(tree_of(module))}
    assert "matplotlib.pyplot" not in imported
    if chapter_of(module) != "course.widgets":
        assert not {"ipywidgets", "anywidget", "traitlets"} & imported
    text = text_of(module)
    assert not re.search(r"rcParams|np\.random\.seed|random\.seed\(|sys\.path\b", text)


@pytest.mark.parametrize(
    "module", [name for name in MODULES if chapter_of(name) == "course.widgets"]
)
def test_widgets_cannot_stall_or_swallow_errors(module):
    """``interact`` and ``with Output()`` stall headless runs; ``Frame.react`` shows errors."""
    text = text_of(module)
    assert not re.search(r"\binteract|Output\(|@.*\.capture", text)
    if not module.endswith((".base", ".controls")):
        assert not re.search(r"\.observe\(|\.on_click\(", text), "use Frame.react"


PURITY = """
import importlib, json, os, random, sys
import numpy
import papermill  # loads imgclf_lib.course.engine by its entry point, so it must come first
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
    names = [name for name in (*MODULES, *FACES) if name != "__main__"]
    others = {
        imported
        for name in names
        if name in MODULES
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
    """Every function, class and method that stands on a face, or beside the chapters."""
    for face in (*FACES, "errors", "experiment", "backend"):
        module = importlib.import_module(f"imgclf_lib.{face}")
        shown = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
        ]
        for name in shown:
            thing = getattr(module, name)
            if not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            yield f"{face}.{name}", thing
            for inner, method in vars(thing).items() if inspect.isclass(thing) else ():
                function = method.__func__ if isinstance(method, classmethod) else method
                if inspect.isfunction(function) and not inner.startswith("_"):
                    yield f"{face}.{name}.{inner}", function


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


def test_the_tests_of_the_promises_are_there():
    root = Path(__file__).parent.parent
    named = re.findall(r"`(tests/\S+)::(\w+)`", (root / "docs/promises.md").read_text())
    assert len(named) > 10
    for path, name in named:
        assert f"def {name}(" in (root / path).read_text(), f"{path}::{name}"
