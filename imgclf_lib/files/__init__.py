"""One file from anybody: opened without trust, decoded one way, refused with a reason.

A file is named by its bytes, never by its suffix. Whatever it holds, reading it ends: with pixels
as ``uint8``, or with a problem and a detail that say why there are none. Archives are unpacked so
that nothing else on the disk is touched. Training, evaluation and prediction all read through
here.

Notebook 08, Your own images, teaches it.
"""

from imgclf_lib.files.archives import ARCHIVE_SUFFIXES, is_archive, unpack
from imgclf_lib.files.decoding import (
    CONTENT_PROBLEMS,
    FileFacts,
    bits_of,
    decode,
    inspect_file,
    measure_image,
)
from imgclf_lib.files.reading import BadImage, collect_warnings, image_suffixes, open_image

__all__ = [
    "ARCHIVE_SUFFIXES",
    "CONTENT_PROBLEMS",
    "BadImage",
    "FileFacts",
    "bits_of",
    "collect_warnings",
    "decode",
    "image_suffixes",
    "inspect_file",
    "is_archive",
    "measure_image",
    "open_image",
    "unpack",
]
