"""The page as text: whole, self-contained, and nothing that a trial says becomes markup or script."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.report_sweeps import HOSTILE, in_memory, odd_sweeps, trial, write_sweep
from yacs_sweep.records.environment import DEFAULTS
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.show.report.data import Sweep, read_local
from yacs_sweep.show.report.findings import Findings, failures
from yacs_sweep.show.report.page.beside import _sure, _unit, pictures
from yacs_sweep.show.report.page.blob import packed
from yacs_sweep.show.report.page.html import SCRIPTS, page
from yacs_sweep.show.report.page.top import header

VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


def unpacked(text: str) -> Any:
    """The data of a page, as its script reads it."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Elements(HTMLParser):
    """Collects a page's elements and checks that they close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            name = self.tags[-1][1].get("id") or ""
            self.texts[name] = self.texts.get(name, "") + data


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("odd")
    return {name: page(Findings.of(sweep), "now") for name, sweep in odd_sweeps(folder).items()}


def test_every_kind_of_sweep_has_a_whole_page(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        found = Elements(text)
        data = unpacked(found.texts["data"])
        assert data["figures"]["curves"]["metrics"] or name not in ("usual",)
        plots = [attributes["data-plot"] for _, attributes in found.tags if "data-plot" in attributes]
        assert ("history" in plots) == (name not in ("empty", "failures_only", "running", "no_metric")), name
        assert len(text) < 8_000_000


def test_what_a_page_says_of_small_and_failed_sweeps(pages: dict[str, str]) -> None:
    assert "There are no trials yet." in pages["empty"]
    assert "1 trial with a value: too few to say anything about importance" in pages["one"]
    assert "No parameter has two values" not in pages["three"]
    assert "no trial finished with a value" in pages["failures_only"]
    assert "exit code 1: ValueError" in pages["failures_only"]
    assert '<a href="#failures">Failures</a>' in pages["failures_only"]
    assert "the sweep has no metric" in pages["no_metric"] and "with a value: too few" not in pages["no_metric"]
    assert "too few" not in pages["no_metric"] and "no trial finished with a value" not in pages["no_metric"]
    assert 'data-plot="importance"' in pages["usual"] and 'data-plot="surface"' in pages["usual"]
    assert "only where optimizer is sgd" in pages["usual"]


def test_a_page_asks_no_network_for_anything(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        found = Elements(text)
        for tag, attributes in found.tags:
            assert tag not in ("iframe", "object", "embed", "form", "base", "img"), name
            assert "src" not in attributes
            if tag != "a":
                assert (attributes.get("href") or "data:,") == "data:,"
        policy = next(
            item["content"] for tag, item in found.tags if item.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy is not None and "default-src 'none'" in policy
        style = text[text.index("<style>") : text.index("</style>")]
        assert "url(" not in style and "@import" not in style


def test_hostile_names_and_values_stay_text(pages: dict[str, str]) -> None:
    text = pages["hostile"]
    found = Elements(text)
    usual = {tag for tag, _ in Elements(pages["usual"]).tags}
    assert {tag for tag, _ in found.tags} <= usual | {"a"}
    assert sum(tag == "script" for tag, _ in found.tags) == len(SCRIPTS) + 2
    handlers = [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert handlers == []
    links = [attributes.get("href") or "" for tag, attributes in found.tags if tag == "a"]
    assert all(link.startswith(("#", "https://wandb.example/")) for link in links)
    assert unpacked(found.texts["data"])["trials"]["name"][0] == HOSTILE
    data = text[text.index('id="data"') :]
    assert not re.search(r"[<>&\u2028]", data[data.index(">") + 1 : data.index("</script>")])


def test_stopped_trials_are_no_failures_and_what_pictures_show_is_said() -> None:
    trials = [trial(n, {"lr": 0.1, "opt": ["sgd", "adam"][n % 2]}, float(n)) for n in range(24)]
    for each in trials[:3]:
        each.record.state = each.record.cause = each.record.reason = "stopped"
    text = page(Findings.of(in_memory(trials)), "now")
    assert '<a href="#failures">Stopped</a>' in text and "<h2>Stopped trials</h2>" in text
    (group,) = failures(in_memory(trials))
    section = text[text.index('<section id="failures">') :]
    assert (group.cause, section[: section.index("</section>")].count(">stopped<")) == ("stopped", 2)  # state, reason
    assert "Points of one value are spread sideways" in text
    assert "each parameter taken alone" in text and "beyond what the parameters above explain" in text


def test_two_sweeps_are_drawn_over_what_was_searched_and_in_a_unit_that_fits() -> None:
    one, other = (
        in_memory([trial(n, {"lr": 0.1 * n, "epochs": 8}, float(n)) for n in range(count)]) for count in (5, 1)
    )
    both = (Findings.of(one), Findings.of(other))
    pair: Any = SimpleNamespace(findings=both, ids=["one", "other"])
    drawn = [figure["x_title"] for figure in pictures(pair)["figures"]]
    assert "lr" in drawn and "epochs" not in drawn
    assert [_unit(seconds)[1] for seconds in (14, 600, 20_000)] == ["seconds", "minutes", "hours"]
    assert _sure(both[1]) == "Nothing to compare with: no other trial has finished."


def test_packed_data_is_the_same_after_unpacking() -> None:
    content = {HOSTILE: [HOSTILE, None, 1.5]}
    assert unpacked(packed(content)) == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        packed({"a": float("nan")})


def test_a_page_of_the_same_trials_is_the_same(tmp_path: Path) -> None:
    first, second = (odd_sweeps(tmp_path / name)["usual"] for name in ("a", "b"))
    first.source = second.source = first.folder = second.folder = ""
    assert page(Findings.of(first), "now") == page(Findings.of(second), "now")


def test_the_first_screen_has_the_best_beside_the_trainers_defaults(tmp_path: Path) -> None:
    sweep = odd_sweeps(tmp_path)["usual"]
    assert ">default<" not in page(Findings.of(sweep), "now")
    (Path(sweep.folder) / "inputs").mkdir(exist_ok=True)
    (Path(sweep.folder) / "inputs" / DEFAULTS).write_text('{"base_lr": 0.00123, "optimizer": "<b>"}')
    text = page(Findings.of(sweep), "now")
    answer = text[text.index('class="answer"') : text.index("How sure")]
    assert ">default<" in answer and "0.00123" in answer and "&lt;b&gt;" in answer
    assert sweep.best is not None and f'<a href="#trial={sweep.best.name}">' in answer


def test_a_page_sorts_its_trials_a_few_times_however_many_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    best = Sweep.best.fget
    monkeypatch.setattr(Sweep, "best", property(lambda sweep: asked.append(1) or best(sweep)))
    for size in (20, 60):
        asked.clear()
        page(Findings.of(in_memory([trial(n, {"a": n, "b": n % 3}, float(n)) for n in range(size)])), "now")
        assert len(asked) < 20, size


def test_the_first_screen_of_a_sweep_that_is_not_done_says_how_many_are_to_go(tmp_path: Path) -> None:
    paths = write_sweep(tmp_path, "abcd1234", 12, 20)
    done = read_local(paths)
    first = header(Findings.of(done))
    assert "ended early" not in first and "to start" not in first and "several seeds" in first
    replace(LaunchFile.load(paths), target=17).save(paths)
    cut = read_local(paths)
    finished = sum(trial.record.state == "finished" for trial in cut.trials)
    first = header(Findings.of(cut))
    assert f"{finished} of 17, ended early" in first and "5 to start" in first
    assert "The sweep ended early, 5 trials to go. Resume it:" in first and "<span>--sweep_id</span>" in first
    assert "several seeds" not in first[first.index("What to do next") :]
    first = header(Findings.of(replace(cut, alive=True)))
    assert f"{finished} of 17, running" in first and "took so far" in first
    assert "Wait for the rest: 5 trials to go." in first and "--train-best" not in first
