"""Make the picture of the README: the index of a suite run, in a real browser.

Usage: imgclf run --out runs/readme && python docs/pictures.py runs/readme

Needs Chromium (Debian: apt-get install chromium).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"


def take(page: Path, picture: Path, width: int, height: int) -> None:
    """Photograph a page with headless Chromium, which may fetch nothing."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Chromium is not installed. Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *(
                "--hide-scrollbars",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ),
            *(f"--user-data-dir={profile}", f"--window-size={width},{height}"),
            *(f"--screenshot={picture}", page.resolve().as_uri()),
        ]
        subprocess.run(command, check=True, capture_output=True)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    take(Path(sys.argv[1]) / "index.html", PICTURES / "report.png", 1200, 1320)
