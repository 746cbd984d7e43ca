"""Writes the table of the profiles that ship into docs/trainers.md, from the profiles and the logs they are tested on.

python -m tests.docs.profile_table            # write
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.documents import ROOT
from tests.yacs_sweep.logs.trainer_logs import FILES, LOGS, Number
from yacs_sweep.logs.metric_files import Follower
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.styles import override_arguments

DOCUMENT = ROOT / "docs" / "trainers.md"
BEGIN = "<!-- profiles: written by tests/docs/profile_table.py -->\n"
END = "<!-- end of profiles -->"
WRAPS = ("torchrun",)  # no trainer by itself
EPOCHS = 8
HEAD = ("profile", "tree", "words", "log: read, wrong", "x-axis", "seed", "GPUs", "checkpoints", "resumes")
Row = Mapping[str, Number]


def profile_table() -> str:
    """Returns the table in Markdown."""
    names = sorted(path.stem for path in (ROOT / "configs" / "trainers").glob("*.yaml") if path.stem not in WRAPS)
    rows = [HEAD, tuple("---" for _ in HEAD), *(_row(name) for name in names)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_table(text: str) -> str:
    """Returns the document with the table in its place."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:begin]}\n{profile_table()}\n{text[end:]}"


def _row(name: str) -> tuple[str, ...]:
    profile = load_profile(name, project_root=ROOT)
    words = [profile.overrides_option] if profile.overrides_option else []
    words += override_arguments(profile.overrides, "KEY", "VALUE")
    axis = f"{profile.metrics.axis}{', printed after its metrics' * profile.metrics.axis_after}"
    return (
        _code(name),
        ", ".join(map(_code, profile.schema.trees or (str(profile.schema),))) if profile.schema else "not checked",
        _code(" ".join(words)),
        _log(name, profile),
        axis,
        _code(profile.aliases.get("seed", "")),
        _code(profile.gpu_key.key) if profile.gpu_key else "as visible",
        ", ".join(map(_code, profile.checkpoints)),
        _code(profile.resume.text) or {True: "by itself", False: "no", None: ""}[profile.resume.itself],
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _log(name: str, profile: TrainerProfile) -> str:
    """Counts, on the log of the tests, the values that are read, of how many, and those that are wrong."""
    if name in LOGS:
        log = LOGS[name](EPOCHS, True)
        parser = LogParser(profile.metrics)
        found, expected, place = [*parser.feed_chunk(log.text.encode()), *parser.close()], log.rows, ""
    else:
        file = FILES[name]
        found, expected, place = (
            _rows_of(profile, file.path, file.text),
            file.rows,
            f", of {_code(Path(file.path).name)}",
        )
    read, wanted = _values(found), _values(expected)
    wrong = sum(count - min(count, wanted.count(value)) for value in set(read) for count in [read.count(value)])
    return f"{len(read) - wrong} of {len(wanted)}, {wrong}{place}"


def _rows_of(profile: TrainerProfile, file: str, text: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        values = {"output_dir": folder, "trial_id": "t"}
        follower = Follower(profile.files, Path(folder), values, profile.metrics.axis)
        path = Path(folder, file)
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return [row for _, row in follower.close()]


def _values(rows: Sequence[Row]) -> list[tuple[int, str, str]]:
    """Lists the values with the row they are in; nan equals nan here."""
    return [(place, name, repr(float(value))) for place, row in enumerate(rows) for name, value in row.items()]


def main() -> int:
    """Writes the document."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
