"""From a folder to arrays: every file a row, every image decoded once, and split.

``load_data`` is the way in: what ``data`` names (a known data set, a folder, a list, an archive)
is listed, decoded into ``uint8`` arrays on disk, searched for near-duplicates and split. The next
load maps the same arrays into memory. Nothing in a user's folder is ever changed.

Notebooks 01, Explore the data, and 02, Preprocess, teach it; 08 about folders of one's own.
"""

from imgclf_lib.data.cache import clear_caches, inspect_data, list_caches, look_for_tracks
from imgclf_lib.data.dataset import (
    ImageData,
    Split,
    captions,
    class_statistics,
    find_copies,
    load_data,
    load_other,
    picture,
    random_examples,
    sort_images,
    typical_to_unusual,
)
from imgclf_lib.data.duplicates import components
from imgclf_lib.data.listing import (
    ACTIONS,
    FIX_COLUMNS,
    PROBLEMS,
    assign_groups,
    list_folder,
    read_fixes,
    write_fixes,
)
from imgclf_lib.data.sources import KNOWN, checksum_problems, with_whole_paths
from imgclf_lib.data.splits import group_images, make_splits

__all__ = [
    "ACTIONS",
    "FIX_COLUMNS",
    "KNOWN",
    "PROBLEMS",
    "ImageData",
    "Split",
    "assign_groups",
    "captions",
    "checksum_problems",
    "class_statistics",
    "clear_caches",
    "components",
    "find_copies",
    "group_images",
    "inspect_data",
    "list_caches",
    "list_folder",
    "load_data",
    "load_other",
    "look_for_tracks",
    "make_splits",
    "picture",
    "random_examples",
    "read_fixes",
    "sort_images",
    "typical_to_unusual",
    "with_whole_paths",
    "write_fixes",
]
