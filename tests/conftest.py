"""Fixtures: temporary caches and models, small generated images, and one shared trained run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.experiment import Experiment
from imgclf_lib.training import Run, train

# Where several workers share the cores, threads that wait for each other cost more than they bring.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // WORKERS)))

# What takes longest begins first, so that no worker has much left when the others are done.
LONGEST = ("test_notebooks", "test_few_images", "browser", "test_transfer", "widgets", "training")

SIDE = 24
SHAPES = ("blob", "columns", "rows")


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written beside the checkout; decoded images are shared by all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGCLF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGCLF_MODELS", str(tmp_path_factory.mktemp("models")))
        for name in ("IMGCLF_HOME", "IMGCLF_DATA", "IMGCLF_MIRROR"):
            patch.delenv(name, raising=False)
        yield


def shape_image(shape: str, generator: np.random.Generator, channels: int = 1) -> np.ndarray:
    """One noisy image, ``uint8`` of shape ``(SIDE, SIDE)`` or ``(SIDE, SIDE, 3)``."""
    down, across = np.mgrid[:SIDE, :SIDE]
    phase, period = generator.uniform(0, 6), generator.uniform(4, 6)
    if shape == "rows":
        values = np.sin(2 * np.pi * down / period + phase)
    elif shape == "columns":
        values = np.sin(2 * np.pi * across / period + phase)
    else:
        y, x = generator.uniform(8, 16, 2)
        values = 2 * np.exp(-((down - y) ** 2 + (across - x) ** 2) / 30) - 1
    pixels = 128 + 90 * values + generator.normal(0, 12, values.shape)
    pixels = pixels.clip(0, 255)
    if channels == 3:
        pixels = pixels[..., np.newaxis] * generator.uniform(0.5, 1, 3)
    return pixels.astype("uint8")


def write_images(
    folder: Path, counts: dict[str, int] | int = 20, channels: int = 1, seed: int = 0
) -> Path:
    """Write PNG files into ``folder/<shape>/``, so many for each shape."""
    generator = np.random.default_rng(seed)
    if isinstance(counts, int):
        counts = dict.fromkeys(SHAPES, counts)
    for shape, count in counts.items():
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.fromarray(shape_image(shape, generator, channels))
            image.save(folder / shape / f"{number:03}.png")
    return folder


@pytest.fixture(scope="session")
def make_images() -> Callable[..., Path]:
    """The function ``write_images(folder, counts, channels, seed)``."""
    return write_images


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 24 grey images each, without splits. Read only."""
    return write_images(tmp_path_factory.mktemp("grey") / "shapes", 24)


@pytest.fixture(scope="session")
def split_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of colour images in train, val and test folders. Read only."""
    folder = tmp_path_factory.mktemp("color") / "split_shapes"
    for seed, (split, count) in enumerate({"train": 10, "val": 4, "test": 5}.items()):
        write_images(folder / split, count, 3, seed)
    return folder


@pytest.fixture(scope="session")
def tiny(images: Path) -> Experiment:
    """An experiment that trains in a second or two, with everything random switched on."""
    return Experiment(
        data=str(images),
        validation_fraction=0.2,
        filters=(8,),
        dense_units=(16,),
        dropout=0.2,
        normalization="batch",
        flip="both",
        shift=0.1,
        learning_rate=0.01,
        batch_size=16,
        epochs=4,
    )


@pytest.fixture(scope="session")
def trained(tiny: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run of ``tiny``. Do not write into it."""
    return train(tiny, out=tmp_path_factory.mktemp("trained") / "run", progress="none")


SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]
ZOOM = 1.25  # a window of 1280 x 800 pixels, enlarged as on a projector


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """Debian's Chromium without a screen, driven by Playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed. Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=chromium,
            headless=True,
            viewport={"width": round(1280 / ZOOM), "height": round(800 / ZOOM)},
            device_scale_factor=ZOOM,
            args=SWITCHES,
        )
        yield context
        context.close()


@pytest.fixture(scope="session")
def accessible() -> Callable[..., None]:
    """The function ``accessible(page, within, without)``: axe finds nothing grave on a page.

    Two CSS selectors say where: in the elements of the first, but not in those of the second.
    """
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Any, within: str = "html", without: str = "") -> None:
        place = {"include": [[within]]} | ({"exclude": [[without]]} if without else {})
        grave = [
            f"{found['impact']} {found['id']}: {node['html']}\n{node['failureSummary']}"
            for found in Axe().run(page, context=place).response["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]
        assert not grave, "\n\n".join(grave)

    return check


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots go, to be looked at; the pictures of the README are among them."""
    folder = Path(os.environ.get("IMGCLF_SCREENSHOTS", Path(__file__).parent.parent / "runs/shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; ``--no-loadscope-reorder`` keeps them there."""

    def rank(item: pytest.Item) -> int:
        found = [place for place, name in enumerate(LONGEST) if name in str(item.path)]
        return min(found, default=len(LONGEST))

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A room of the library that grows past one thought is reported, not refused."""
    for path in sorted((Path(__file__).parent.parent / "imgclf_lib").rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > 600:
            terminalreporter.write_line(f"{path.name} has {lines} lines: is it one thought?")
