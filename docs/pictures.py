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
    "04-live-training": "live_training",
    "05-confusion-explorer": "confusion_explorer",
    "06-try-it": "try_it",
}


def main(shots: Path) -> None:
    """Copy the pictures, with a palette that keeps them small."""
    PICTURES.mkdir(exist_ok=True)
    for shot, name in WANTED.items():
        with Image.open(shots / f"{shot}.png") as image:
            small = image.convert("RGB").quantize(256)
            small.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
