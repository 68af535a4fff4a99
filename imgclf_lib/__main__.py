"""``python -m imgclf_lib COMMAND`` is the same as ``imgclf COMMAND``."""

import sys

from imgclf_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
