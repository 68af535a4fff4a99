"""The commands that look at data: what is wrong with it, and what is kept of it.

What is needed is imported when it is needed, so that help and wrong words are answered at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgclf_lib.words import parse_words, print_json


def audit(words: Sequence[str]) -> int:
    """Say what is wrong with a folder of images, and never change it.

    DATA is a folder, a CSV or Parquet list, a zip or tar archive, or a known name. Every file is
    accepted or rejected with its reason. Findings have three severities: error, warning, remark.
    The exit code is 0; with --strict it is 1 if there is any error or warning.

    examples:
      imgclf audit path/to/photos
      imgclf audit path/to/photos --fix_list fixes.csv
      imgclf audit path/to/photos --fixes fixes.csv --strict --json
      imgclf audit path/to/photos --label_errors --backbone efficientnet_lite0
    """
    from typing import Annotated

    import tyro

    from imgclf_lib.experiment import Experiment

    fields = Experiment.__dataclass_fields__

    def flag(name: str) -> Any:
        return tyro.conf.arg(help=fields[name].metadata["help"])

    def parse(
        data: tyro.conf.Positional[str],
        strict: Annotated[bool, tyro.conf.arg(help="exit with 1 on errors and warnings")] = False,
        fix_list: Annotated[
            Path | None, tyro.conf.arg(help="write a CSV to edit, and to use with --fixes")
        ] = None,
        label_errors: Annotated[
            bool, tyro.conf.arg(help="look for wrong labels; trains networks, minutes")
        ] = False,
        leakage: Annotated[
            bool, tyro.conf.arg(help="measure what images in two splits do to the score")
        ] = False,
        backbone: Annotated[
            str, tyro.conf.arg(help="network whose features label_errors compares; finds far more")
        ] = "",
        image_size: Annotated[int, flag("image_size")] = 0,
        fixes: Annotated[str, flag("fixes")] = "",
        group: Annotated[str, flag("group")] = "",
        class_folders: Annotated[str, flag("class_folders")] = "top",
        json: Annotated[bool, tyro.conf.arg(help="print the findings as JSON")] = False,
    ) -> dict[str, Any]:
        return dict(locals())

    given = parse_words("audit", parse, words, audit.__doc__)
    from imgclf_lib.audit import audit as audit_data
    from imgclf_lib.audit import audit_json, audit_lines, suggest_fixes
    from imgclf_lib.errors import InputError
    from imgclf_lib.fixes import write_fixes

    names = ("data", "image_size", "fixes", "group", "class_folders", "backbone")
    experiment = Experiment(**{name: given[name] for name in names})
    if given["fix_list"] is not None and given["fix_list"].exists():
        raise InputError(  # before the work; written is with the same care
            f"{str(given['fix_list'])!r} is there already, and may hold your own decisions",
            do="Choose another name, or move it away",
        )
    found = audit_data(experiment, given["label_errors"], given["leakage"])
    if given["fix_list"] is not None:
        write_fixes(suggest_fixes(found), given["fix_list"], Path(found.place))
        print(f"The fix list is in {given['fix_list']}", file=sys.stderr)
    if given["json"]:
        print_json(audit_json(found))
    else:
        _print(audit_lines(found))
    bad = found.findings["severity"].isin(["error", "warning"]).any()
    return 1 if given["strict"] and bad else 0


def cache(words: Sequence[str]) -> int:
    """List the decoded images that are kept on disk, or delete them.

    They are made again when they are needed.

    examples:
      imgclf cache
      imgclf cache --clear photos
      imgclf cache --clear
    """
    from typing import Annotated

    import tyro

    def parse(
        names: tyro.conf.Positional[tuple[str, ...]] = (),
        clear: Annotated[bool, tyro.conf.arg(help="delete those named, or all")] = False,
        json: Annotated[bool, tyro.conf.arg(help="print the list as JSON")] = False,
    ) -> tuple[tuple[str, ...], bool, bool]:
        return names, clear, json

    names, clear, as_json = parse_words("cache", parse, words, cache.__doc__)
    from datetime import datetime

    from imgclf_lib.audit import printable
    from imgclf_lib.cache_folders import clear_caches, list_caches
    from imgclf_lib.errors import InputError
    from imgclf_lib.paths import cache_folder

    if clear:
        freed = clear_caches(names)
        print(f"{freed / 1e6:,.1f} MB are free again", file=sys.stderr)
    elif names:
        raise InputError("Names go with --clear", received=" ".join(names))
    table = list_caches()
    if as_json:
        print_json(table.to_dict("records"))
        return 0
    lines = [f"{len(table)} decoded data sets in {cache_folder()}"]
    for row in table.itertuples():
        used = datetime.fromtimestamp(row.used)
        place = f"{row.place}" if row.place else row.name
        lines.append(
            f"{row.bytes / 1e6:10,.1f} MB  used {used:%Y-%m-%d %H:%M}  {row.folder}  {place}"
        )
    _print([printable(line) for line in lines])
    return 0


def _print(lines: Sequence[str]) -> None:
    """Print lines; what the terminal has no letters for is written as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        print(line.encode(encoding, "backslashreplace").decode(encoding))
