"""What stands in a database that other people can write to starts nothing, writes nowhere and tells nobody by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from tests.postgres import Postgres, programs
from tests.sweeping import Ran, environment, sweep, write_sweep
from tests.trainers import kill_all, write_trainer
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.engines import launch_command
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.portable import SharedInputs
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.search.storage import database
from yacs_sweep.search.storage.shared_sweep import SharedSweep
from yacs_sweep.search.storage.url import URL_VARIABLE

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0, "max": 1.0}},
}
YES = ("--trainer", "(sweep file)")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(["max_connections=40", "fsync=off"]) as running:
        yield running


class Sweep:
    """A sweep that was made on one machine, and is joined from others, each in a folder of its own below `folder`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.engine = database.make_engine(url)
        self.trainer = write_trainer(folder, "print('WORDS', sys.argv[2:]); print('mAP: 1.5%')")
        spec = write_sweep(folder, SPEC)
        made = self.launch("first", "--trainer", "trainer.yaml", "--sweep-config", spec, "--count", "1")
        assert made.code == 0, made.out + made.err
        self.id, self.made = made.dir.name, made
        self._content, self._trials = self.content(), self._rows()

    def restore(self) -> None:
        """Puts back what the database said of the sweep when it was made."""
        self.write(self._content)
        trials = database._trials
        with self.engine.begin() as connection:
            connection.execute(trials.delete().where(trials.c.sweep == self.id, trials.c.number.not_in(self._trials)))
            for number, row in self._trials.items():
                this = sa.and_(trials.c.sweep == self.id, trials.c.number == number)
                connection.execute(trials.update().where(this).values(row=row))

    def _rows(self) -> dict[int, str]:
        columns = (database._trials.c.number, database._trials.c.row)
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(*columns).where(database._trials.c.sweep == self.id))
            return dict(map(tuple, found))

    def launch(self, machine: str, *words: str | Path) -> Ran:
        """Runs a launcher in a machine's own checkout of the trainer."""
        home = self.folder / machine
        checkout = home / "checkout"
        if not checkout.exists():
            checkout.mkdir(parents=True)
            for file in (self.trainer, self.trainer.with_name("train.py")):
                shutil.copy(file, checkout)
        env = environment(home, **{URL_VARIABLE: self.url, database.LEASE_VARIABLE: "2"})
        return sweep(checkout, *words, env=env, trainer=None, config=None)

    def join(self, *words: str | Path, machine: str = "second") -> Ran:
        named = () if "--train-best" in words else ("--sweep_id", self.id, "--count", "1")
        return self.launch(machine, *named, *words)

    def content(self) -> dict[str, Any]:
        """Returns what the database says of the sweep."""
        with self.engine.connect() as connection:
            query = sa.select(database._sweeps.c.content).where(database._sweeps.c.sweep == self.id)
            found: dict[str, Any] = json.loads(str(connection.execute(query).scalar_one()))
        return found

    def write(self, content: Any) -> None:
        """Replaces what the database says of the sweep, as anybody can who has its password."""
        text = content if isinstance(content, str) else json.dumps(content)
        with self.engine.begin() as connection:
            same = database._sweeps.c.sweep == self.id
            connection.execute(database._sweeps.update().where(same).values(content=text))

    def say(self, launch: dict[str, Any], spec: dict[str, Any], **inputs: Any) -> None:
        """Changes what the database says of the launch, of the sweep, and of its inputs."""
        content = self.content()
        described = {**yaml.safe_load(content["spec"]), **spec}
        changed = {"launch": {**content["launch"], **launch}, "spec": yaml.safe_dump(described)}
        self.write({**content, **changed, "inputs": {**content["inputs"], **inputs}})

    def change_trials(self, **changes: Any) -> None:
        """Changes every trial's row."""
        with self.engine.begin() as connection:
            for number, row in self._rows().items():
                text = json.dumps({**json.loads(row), **changes})
                this = sa.and_(database._trials.c.sweep == self.id, database._trials.c.number == number)
                connection.execute(database._trials.update().where(this).values(row=text))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: Postgres) -> Iterator[Sweep]:
    found = Sweep(tmp_path_factory.mktemp("made"), server.url)
    yield found
    found.engine.dispose()


@pytest.fixture
def swept(made: Sweep, tmp_path: Path) -> Iterator[Sweep]:
    """The sweep as it was made, joined from machines in this test's folder."""
    made.folder = tmp_path
    yield made
    made.restore()
    for home in (tmp_path, *tmp_path.iterdir()):
        kill_all(home)


def hostile(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]]:
    """What a description may say that touches `folder / pwned`, or writes outside, and a part of the message.

    The description's launch, its sweep, its inputs.
    """
    pwned = folder / "pwned"
    touch = ["/bin/sh", "-c", f"touch {pwned}"]
    profile = {"command": touch, "overrides": "argparse"}
    (folder / "evil.yaml").write_text(yaml.safe_dump(profile))
    (folder / "evil.py").write_text(f"open({str(pwned)!r}, 'w')")
    none = {"profile": {}}
    return {
        "command": ({"trainer": "(sweep file)"}, {"command": touch}, none, f"(/bin/sh -c 'touch {pwned}')"),
        "program": ({"trainer": "(sweep file)"}, {"program": str(folder / "evil.py")}, none, f"({folder}/evil.py)"),
        "profile": ({"trainer": str(folder / "evil.yaml")}, {}, none, f"(trainer {folder}/evil.yaml)"),
        "copy": ({}, {}, {"profile": profile}, f"(trainer trainer.yaml {{command: [/bin/sh, -c, touch {pwned}]}})"),
        "results": ({}, {"results_dir_base": str(pwned)}, {}, f"results in {pwned}"),
    }


@pytest.mark.parametrize("kind", ["command", "program", "profile", "copy", "results"])
def test_nothing_starts_on_other_peoples_word(swept: Sweep, tmp_path: Path, kind: str) -> None:
    launch, spec, inputs, shown = hostile(tmp_path)[kind]
    swept.say(launch, spec, **inputs)
    refused = swept.join()
    assert refused.code == 2, refused.out + refused.err
    assert shown in refused.err and "where others can edit them" in refused.err and len(refused.err.splitlines()) == 1
    assert "--trainer '(sweep file)' accepts them" in refused.err
    assert not (tmp_path / "pwned").exists()
    assert sorted(path.name for path in refused.cwd.iterdir()) == ["train.py", "trainer.yaml"]
    taken = swept.join(*YES)
    assert (tmp_path / "pwned").exists(), taken.out + taken.err  # the search finds what is there
    assert taken.out.index("where others can edit them") < taken.out.index("▶")


def test_a_trainer_of_ones_own_and_a_dry_run_start_nothing_of_it(swept: Sweep, tmp_path: Path) -> None:
    launch, spec, inputs, shown = hostile(tmp_path)["command"]
    swept.say(launch, {**spec, "results_dir_base": str(tmp_path / "outside")}, **inputs)
    own = swept.join("--trainer", "trainer.yaml")
    assert own.code == 0, own.out + own.err
    assert own.summary["counts"] == {"finished": 2} and own.dir.is_dir()
    told = swept.join(*YES, "--dry-run", machine="third")
    assert told.code == 0 and shown.strip("()") in told.out
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "outside").exists()


def test_words_configuration_and_wandb_are_the_users_as_well(swept: Sweep, tmp_path: Path) -> None:
    evil = {"trailing": ["--evil=1"], "config_file": "evil.yml", "wandb_mode": "online", "entity": "evil"}
    swept.say({**evil, "python": str(tmp_path / "no-python")}, {"project": "spy"})
    refused = swept.join()
    assert refused.code == 2
    assert "(trainer trainer.yaml {command: [python, train.py, '{output_dir}'], cwd: .};" in refused.err
    assert "; --config_file evil.yml; words --evil=1; W&B runs online in evil)" in refused.err
    own = swept.join("--trainer", "trainer.yaml")
    assert own.code == 0, own.out + own.err
    assert "ignored settings stored in the database, where others can edit them: --config_file evil.yml" in own.out
    launch = json.loads((own.dir / "launch.json").read_text())
    assert (launch["trailing"], launch["config_file"], launch["wandb_mode"]) == ([], None, "offline")
    assert (launch["python"], launch["entity"], launch["project"]) == (None, None, None)
    (ours,) = own.dir.glob("*/stdout.log")
    assert "--evil" not in ours.read_text()
    assert swept.content()["launch"]["trailing"] == ["--evil=1"]  # a machine that joins describes nothing anew
    # An interpreter is never another machine's, whatever the user agrees to.
    swept.say({"config_file": None, "wandb_mode": "disabled"}, {})
    agreed = swept.join(*YES, machine="third")
    assert agreed.code == 0, agreed.out + agreed.err
    (theirs,) = agreed.dir.glob("*/stdout.log")
    assert "'--evil=1'" in theirs.read_text()


def test_whose_folder_knows_the_sweep_takes_no_word_of_the_database(swept: Sweep, tmp_path: Path) -> None:
    assert swept.join(*YES).code == 0
    launch, spec, inputs, _ = hostile(tmp_path)["command"]
    swept.say(launch, spec, **inputs)
    again = swept.join()
    assert again.code == 0, again.out + again.err
    assert not (tmp_path / "pwned").exists()
    assert len(list(again.dir.glob("*/trial.json"))) == 2


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '"text"',
        "{}",
        {"launch": [], "spec": "", "warm": {}},
        {"launch": {"trainer": 7}},
        {"launch": {"trailing": "A.B 1"}},
        {"launch": {"trailing": [["A.B"]]}},
        {"launch": {"target": "many"}},
        {"launch": {"seed": True}},
        {"launch": {"config_file": {"a": 1}}},
        {"spec": "{"},
        {"spec": "!!python/object/apply:os.system ['touch pwned']"},
        {"spec": "parameters: 3"},
        {"spec": "- 1"},
        {"warm": []},
        {"warm": {"enqueue": 3, "prior": []}},
    ],
    ids=str,
)
def test_what_is_no_description_is_one_line(swept: Sweep, content: Any) -> None:
    if isinstance(content, dict) and len(content) == 1:
        ((key, value),) = content.items()
        known = swept.content()
        content = {**known, key: {**known[key], **value} if isinstance(value, dict) and key == "launch" else value}
    swept.write(content)
    with pytest.raises(ConfigError, match=rf"sweep(_id)? {swept.id}"):
        SharedSweep(swept.url, swept.id).join("--sweep_id")


@pytest.mark.parametrize(
    "inputs",
    [
        {"files": 3},
        {"files": [3]},
        {"files": [{"kind": "config"}]},
        {"files": [{"kind": "config", "given": "c", "path": "c", "copy": "../../../pwned", "text": ""}]},
        {"files": [{"kind": "config", "given": "c", "path": "c", "copy": "/tmp/pwned", "text": ""}]},
        {"files": [{"kind": "config", "given": "c", "path": "c", "copy": "inputs/../launch.json", "text": ""}]},
        {"profile": []},
        {"name": "../../../pwned"},
    ],
    ids=str,
)
def test_inputs_are_copied_into_the_sweeps_folder_alone(swept: Sweep, tmp_path: Path, inputs: dict[str, Any]) -> None:
    swept.say({}, {}, **inputs)
    with pytest.raises((TypeError, KeyError, ValueError)):
        SharedInputs.parse(swept.content()["inputs"])


def test_a_damaged_description_is_one_line(swept: Sweep) -> None:
    swept.say({"trailing": "A.B 1"}, {})
    refused = swept.join(*YES)
    assert refused.code == 2, refused.out + refused.err
    assert "cannot be read: trailing: 'A.B 1' is not tuple[str, ...]" in refused.err and "***" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert sorted(path.name for path in refused.cwd.iterdir()) == ["train.py", "trainer.yaml"]
    swept.restore()
    swept.say({}, {}, files=3)
    refused = swept.join(*YES)
    assert refused.code == 2 and "its inputs in the database cannot be read" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_trials_of_others_write_and_delete_nothing_outside_the_sweep(swept: Sweep, tmp_path: Path) -> None:
    """A row names the trial's folder: the best one's is copied, a bad one's checkpoints are deleted."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(swept.made.dir / "trial-0000" / "trial.json", outside)
    (outside / "metrics.jsonl").write_text('{"step": 1, "secret": 1}\n')
    name = "../../../../../../outside"
    swept.change_trials(name=name, value=99.0, state="finished", dir=str(outside))
    ran = swept.join(*YES)
    assert ran.code == 0, ran.out + ran.err
    assert (ran.dir / name / "trial.json").resolve() == (outside / "trial.json").resolve()  # it would have been found
    for path in ran.cwd.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes(), path
    best = ran.summary["best"]
    assert best["value"] == 99.0 and "/" not in best["name"] and not best["name"].startswith(".")
    assert str(outside) not in (ran.dir / "best.yml").read_text()


@pytest.mark.parametrize(
    "changes", [{"number": "0"}, {"params": []}, {"value": [1]}, {"name": None}, {"state": 3}], ids=str
)
def test_rows_that_are_no_trials_count_for_nothing(swept: Sweep, changes: dict[str, Any]) -> None:
    assert len(SharedSweep(swept.url, swept.id).records()) == 1
    swept.change_trials(**changes)
    assert SharedSweep(swept.url, swept.id).records() == []


def test_the_line_to_train_with_has_no_words_of_others(swept: Sweep, tmp_path: Path) -> None:
    """The best trial ran elsewhere: its command and parameters are what others have written."""
    evil = {"command": ["sh", "-c", f"touch {tmp_path / 'pwned'}"], "params": {"base_lr": 0.5, "evil": "x"}}
    swept.change_trials(**evil, value=99.0)
    ran = swept.join(*YES)
    assert ran.code == 0, ran.out + ran.err
    (line,) = [line for line in ran.out.splitlines() if "train with it: " in line]
    assert "train.py" in line and "--base_lr=0.5" in line
    assert "pwned" not in line and "evil" not in line
    best = swept.join("--train-best", swept.id, "--seeds", "1", *YES, machine="third")
    assert best.code == 0, best.out + best.err
    assert "ignored, as the sweep does not search them: evil" in best.out
    (record,) = best.cwd.glob(f"log/sweep/sweep/{swept.id}-best/trial-*/trial.json")
    assert json.loads(record.read_text())["command"][-1] == "--base_lr=0.5"


def test_an_engines_own_launches_join_without_a_question(swept: Sweep, tmp_path: Path) -> None:
    """Slurm and Ray start this command on machines that have no folder of the sweep."""
    swept.say({"trailing": ["--more=1"]}, {"results_dir_base": str(tmp_path / "elsewhere")})
    base = tmp_path / "task" / "results"
    options = parse(["--engine", "slurm", "--trainer", "trainer.yaml", "--count", "9"])
    made = LaunchFile.load(SweepPaths(swept.made.dir.parent.parent, swept.id))
    command = launch_command(options, SweepPaths(base, swept.id), made)
    ran = swept.launch("task", *command[2:], "--count", "1")
    assert ran.code == 0, ran.out + ran.err
    (ours,) = base.rglob("stdout.log")
    assert "'--more=1'" in ours.read_text() and not (tmp_path / "elsewhere").exists()


def test_names_reach_the_terminal_clean(swept: Sweep) -> None:
    swept.say({}, {"name": "evil\x1b[2J\x1b]0;title\x07"})
    swept.change_trials(name="trial\x1b[2J", reason="\x1b[31mred", host="h\x1b[2J", value=99.0, command=3)
    ran = swept.join(*YES)
    assert ran.code == 0, ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err
    swept.change_trials(command=[])
    ran = swept.join(*YES)
    assert ran.code == 0, ran.out + ran.err
    assert "\x1b" not in ran.out + ran.err and "(evil): random" in ran.out
