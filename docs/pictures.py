"""Take the pictures of the README from the screenshots of the browser tests.

Usage: make pictures
"""

import sys
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
# Screenshot of a test: name of the picture.
WANTED = {
    "report": "report",
    "04-live-three": "live_training",
    "05-explorer": "confusion_explorer",
    "06-try-it-drawing": "try_it",
}


def main(shots: Path) -> None:
    """Copy the pictures, packed as small as they go without a loss."""
    PICTURES.mkdir(exist_ok=True)
    for shot, name in WANTED.items():
        with Image.open(shots / f"{shot}.png") as image:
            image.convert("RGB").save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
