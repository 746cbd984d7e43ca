from __future__ import annotations

from pathlib import Path

import pytest

from utils.errors import ConfigError
from utils.families import Family

FAMILY = Family({"path": "pathlib:Path", "join": "os.path:join", "many/": "json:dumps", "away": "no_such_module:build"})


def test_builders_are_imported_when_they_are_asked_for() -> None:
    assert FAMILY.builder("path") is Path
    assert FAMILY.builder("many/any") is FAMILY.builder("many/other")
    with pytest.raises(ConfigError, match=r"^MODEL\.X: 'a' is not allowed"):
        Family({"b": "os:sep"}, key="MODEL.X").builder("a")
    assert FAMILY.names == ("path", "join", "away")
    assert not FAMILY.problem("away")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("pth", r"^'pth' is not allowed; choose path, join, away, many/<name> or FILE.py:NAME; did you mean path\?$"),
        ("many/", "^'many/' is not allowed"),
        ("nowhere.py:build", r"^nowhere.py: cannot be read: No such file.*; `the setting FILE.py:NAME` at the end of"),
    ],
)
def test_a_wrong_name_is_told(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        FAMILY.builder(name)


def test_a_file_of_the_users_is_a_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def build():\n    return 7\n")
    Path("broken.py").write_text("import nothing_like_this\n\n\ndef build():\n    pass\n")
    Path("text.py").write_text("no python")
    assert FAMILY.builder("mine.py:build")() == 7
    assert FAMILY.builder(f"{tmp_path}/mine.py:build") is FAMILY.builder("mine.py:build")
    assert FAMILY.problem("mine.py:biuld") == "mine.py: defines no biuld; did you mean build?"
    assert FAMILY.problem("text.py:build").startswith("text.py: is not Python: ")
    assert not FAMILY.problem("broken.py:build")
    with pytest.raises(ConfigError, match=r"^broken.py: cannot be imported: ModuleNotFoundError: No module named"):
        FAMILY.builder("broken.py:build")
