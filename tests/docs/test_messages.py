"""docs/messages/ quotes what the programs print, and leaves out no message of any wing, nor of the trainer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.documents import ROOT

PAGES = sorted((ROOT / "docs" / "messages").glob("*.md"))
ROOMS = ("yacs_sweep", "configs", "engine", "data", "modeling", "utils", "tools")
SAYS = {"say", "note", "_note", "SweepError", "ConfigError"}  # calls whose first argument people read
# What tells a sweep's ordinary course, what `--test-patterns` shows, and texts that consist of others.
COURSE = re.compile(
    r"(sweep (…|on the W&B)|best: |on the Pareto front: |train with it|report$|train the best with|mean and standard|resume with"
    r"|…; summary in|…; results in|… in …$"
    r"|line …: |…: profile |\s|(\[sweep\] |warning: )?[…:; ]*$)"
)


# -- every sentence of the source ---------------------------------------------------------------------------------
SENTENCE = re.compile(r"[A-Za-z`'…)]{2,},?:?;? (?:[A-Za-z`'…(]+,?:?;? )+[A-Za-z`'…]{2,}")
NOT_MESSAGES = (  # help texts, completions, the report's page, tools for changing the project, kinds of keys, what --init writes
    *(
        "yacs_sweep/show/report/",
        "yacs_sweep/show/profiles.py",
        "yacs_sweep/launch/option",
        "yacs_sweep/launch/keyword_types.py",
        "yacs_sweep/base/completion/names.py",
    ),
    *(
        "tools/cli_reference.py",
        "tools/config_reference.py",
        "tools/readability.py",
        "tools/docsite/",
        "configs/kinds.py",
    ),
    *("yacs_sweep/trainers/init/find.py", "yacs_sweep/trainers/init/write.py"),
)
HELP = {"help", "description", "epilog", "metavar", "usage", "advice"}  # advice: stands below its message (--check)
NO_MESSAGES = ("compile", "fullmatch", "ok")  # calls: patterns, and what --check finds as it should be
# Parts that several messages share, and what is put into others.
JOINTS = (
    r"(; )?did you mean",
    r"; there are …",
    r"[;,]? ?(…: )?and … more$",
    r"(<p>)?… and … more",
    r"\+… more",
    r"  # and … more",
    r", sweep … of …$",
    r"; best … with …$",
    r", … trials on each$",
    r"… and … are$",
    r"; … on the front$",
    r" in … processes$",
    r"…+ \(… characters more\)$",
    r"; parameters are passed by",
    r"; lines that look like metrics",
    r", with the submodules",
    r", and what looks like metrics",
    r" is a module, not a package$",
    r"with exit status …$",
    r" \(… of …; the page has all\)$",
    r"… was …, is …$",
    r"none at all$",
    r"true or false$",
    r"True or False$",
    r"from … to …$",
    r"a key needs a blank after its `:`$",
    r"pip install 'wandb>=…'$",
    r"'…' in quotes$",
    r"the running trial$",
    r"the … running trials$",
    r"a Client of ax.api.client$",
)
# The ordinary course of a sweep, of a dry run, of the screen, and of the trainer.
ORDINARY = (
    r"…: … done, … to go$",
    r"best: …",
    r"best of sweep",
    r"train with it$",
    r"sweep … \(…\): ",
    r"sweep on the W&B server: ",
    r"mean and standard deviation",
    r"Best of sweep",
    r"[Oo]n the Pareto front( of sweep|: …)",
    r"mean of …; this is …, … …$",
    r"… is better in … by …$",
    r"both are as good in …$",
    r"over means of different seeds$",
    r"more than chance$|may be chance$",
    r"… cannot be told apart from it$",
    r"… more with the same value$",
    r"see it with: git diff …$",
    r"given to the trainer$",
    r"… on the Ray cluster at",
    r"Slurm job …",
    r"grid point … of …$",
    r"dry run: ",
    r"  defaults of the project \(--no-project-defaults: without\):$",
    r"examples: --seed N",
    r" \(…?examples: the search",
    r"first … tried again, then $",
    r", which bayes search begins",
    r"  the sweep ends when",
    r"  learns first from",
    r"…, bands at …",
    r"  …: trials pause at …",
    r"  pbt: trials are compared at …",
    r" \(from … at iteration …\)$",
    r" \((the scheduler draws them while|drawn without any result)",
    r"Optuna's … chooses the points|Ax chooses the points|, its … ends trials early",
    r"…: points with up to … …s each$",
    r"… with … …s each$",
    r", each with its first …$",
    r"the mean of a point$",
    r" for the first point, others for",
    r"  race: points have one … at first",
    r"  race: a point that is unlikely",
    r"  points are chosen by …$",
    r"all trials ended well$",
    r"before all trials were done$",
    r"not every trial ended well$",
    r"not ended well  $",
    r"every trial is done$",
    r"about … left",
    r"until …, … left$",
    r"ran … of …$",
    r"GPU hours … of …$",
    r"less than a minute left$",
    r"no finished trial yet$",
    r"no trial runs at the moment$",
    r"  …: …, first …",
    r"the generic patterns$",
    r"CMC curve, ",
    r"query …, AP …$",
    r"… with(out)? a match$",
    r"Ranked lists: ",
    r"mirrored features averaged$",
    r"default-src 'none'; script-src ",
    r"queries expanded by",
    r"Training …",
    r"Epoch … done",
    r"Best weights so far: ",
    r"Epoch\[…\]",
    r"Starting from ",
    r"Model: … M parameters$",
    r"…, … GMACs for an image of",
    r"Forward pass: ",
    r"…: images \[batch",
    r"…: … features of length",
)
# Read by programs or answered by them, and what stands for a thing in a message.
PROGRAMS = (
    r"import sys; ",
    r"SET LOCAL ",
    r"too many c",
    r"remaining connection slots$",
    r"Could not find$",
    r"Invalid job id$",
    r"cannot start any token$",
    r"another exception occurred:$",
    r"direct cause of the following",
    r"Traceback \(most recent",
    r"<wandb run …",
    r"config summary log save",
    r"in the database$",
    r"an agent that claims the trial$",
    r"the server, which hands the run",
    r"the sweep file's command$",
    r"there was nothing else$",
    r"null came after numbers",
    r"numbers came after null",
)
EXEMPT = (*JOINTS, *ORDINARY, *PROGRAMS)


def template(node: ast.AST) -> str | None:
    """A text of the source, with … for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[-.\d]*[sdfeg]", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def trees() -> Iterator[ast.Module]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


@cache
def texts() -> list[str]:
    """Every text of the source that is not a docstring."""
    found = []
    for tree in trees():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) not in docstrings and (text := template(node)) is not None and len(text) > 3:
                found.append(text)
    return found


@cache
def said() -> list[str]:
    """What the launcher's own calls say, as far as it is a text."""
    found = []
    for path in sorted((ROOT / "yacs_sweep").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                text = template(node.args[0]) if name in SAYS else None
                if text is not None and not COURSE.match(text):
                    found.append(text)
    return found


@cache
def sentences() -> list[str]:
    """Every text of the source that reads as a message: no docstring, no help, no pattern."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if not str(path.relative_to(ROOT)).startswith(NOT_MESSAGES):
                found += _sentences(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _sentences(tree: ast.Module) -> Iterator[str]:
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))  # a docstring
        elif isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in ast.walk(node) if part is not node}
        elif _holds_no_messages(node):
            left_out |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        text = template(node) if id(node) not in left_out else None
        if text is not None and SENTENCE.search(text) and "\n" not in text.strip():
            yield text


def _holds_no_messages(node: ast.AST) -> bool:
    """Tells whether a node holds help texts or a pattern."""
    if isinstance(node, ast.keyword):
        return node.arg in HELP
    if isinstance(node, ast.Assign):
        return any(getattr(name, "id", "") in ("_HELP", "advice") for name in node.targets)
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") in NO_MESSAGES


def fits(quote: str, text: str) -> bool:
    """Whether the quote's pieces are in the text, in their order."""
    start = 0
    for piece in quote.split("…"):
        start = text.find(piece, start)
        if start < 0:
            return False
        start += len(piece)
    return True


@cache
def lines() -> list[str]:
    """Every line of all pages."""
    return [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]


@cache
def quotes() -> list[str]:
    """The left column of the pages' tables."""
    rows = [found for line in lines() if (found := re.match(r"\| (`+)(.+?)\1 \| ", line))]
    return [row[2].strip().replace("\\|", "|") for row in rows]


def test_what_is_quoted_is_in_the_source() -> None:
    assert len(quotes()) > 150
    gone = [quote for quote in quotes() if not any(fits(quote, text) for text in texts())]
    assert not gone


def test_every_row_is_read() -> None:
    rows = [line for line in lines() if line.startswith("| `")]
    assert len(rows) == len(quotes())
    assert all(row.rsplit(" | ", 1)[1].strip(" |") for row in rows), "says what to do"


def test_what_the_launcher_says_is_quoted() -> None:
    known = [quote for quote in quotes() if len(quote.replace("…", "")) > 7]  # not those that fit everything
    missing = [text for text in said() if not any(fits(quote, text) for quote in known)]
    assert not missing, "in no page of docs/messages/"


def test_every_message_of_every_wing_is_quoted() -> None:
    left = [text for text in sentences() if not any(re.match(pattern, text) for pattern in EXEMPT)]
    assert len(left) > 600
    missing = [text for text in left if not any(_letters(quote) > 7 and _tells(quote, text) for quote in quotes())]
    assert not missing, "in no page of docs/messages/"


def _tells(quote: str, text: str) -> bool:
    """Whether the quote is the text, or a good part of it: a few common words are in many messages."""
    return _letters(quote) >= 0.3 * _letters(text) and fits(quote, text)


def _letters(text: str) -> int:
    return len(text.replace("…", ""))


def test_every_exemption_is_needed() -> None:
    """None hides a message to come."""
    assert [pattern for pattern in EXEMPT if not any(re.match(pattern, text) for text in sentences())] == []


@pytest.mark.parametrize(
    ("quote", "text"),
    [("cannot be read", "…: cannot be read, since … has locked it; wait until … has ended"), ("is empty", "is full")],
)
def test_a_few_common_words_quote_no_message(quote: str, text: str) -> None:
    assert not _tells(quote, text)


@pytest.mark.parametrize("text", ["no such words anywhere in it", "--gpus …: there is no CPU"])
def test_a_text_that_is_not_there_is_noticed(text: str) -> None:
    assert not any(fits(text, known) for known in texts())
