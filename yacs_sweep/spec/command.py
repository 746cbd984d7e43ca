"""Reads a sweep file's `command`: its words, and W&B's macros in them."""

from __future__ import annotations

import re

from ..base.wording import did_you_mean, nearest, show
from .section import MEANT, Section

MACROS = (
    *("env", "interpreter", "program", "args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags"),
    *("args_append_hydra", "args_override_hydra", "args_json", "args_json_file"),
)
MACRO = re.compile(r"\$\{(.*)\}", re.DOTALL)  # a word that is a macro, as W&B's agent sees it
VARIABLE = re.compile(r"\$\{envvar:(\w+)\}", re.ASCII)  # the one macro that may be a part of a word
_NEEDED = ("program", *(name for name in MACROS if name.startswith("args")))  # without them nothing is trained
_INSIDE = re.compile(r"\$\{(" + "|".join(MACROS) + r")\}")


def read_command(section: Section) -> tuple[str, ...]:
    """Reads the words of `command`, those left out that W&B's agent leaves out; empty: W&B's default command."""
    words = section.values.get("command")
    if words is None or words == []:
        return ()
    if not isinstance(words, list):
        section.wrong("command", f"{show(words)} is not a list of words; write one word a line, each after `- `")
        return ()
    return tuple(text for position, word in enumerate(words) if (text := _word(section, position, word)) is not None)


def _word(section: Section, position: int, word: object) -> str | None:
    """Reads one word; None when it is wrong, or a macro that does not exist."""
    notes, path = section.notes, (*section.at("command"), position)
    if isinstance(word, (list, dict)):
        notes.wrong(path, f"{show(word)} is not a word; quote it if it is a text")
        return None
    if word is None:
        notes.warn(path, "has nothing after it: it is the word None, as on W&B; '' is a word without letters")
    text = notes.document.texts.get(path, str(word)) if isinstance(word, float) else str(word)
    macro = None if VARIABLE.search(text) else MACRO.fullmatch(text)
    if macro is None:
        if inside := _INSIDE.search(VARIABLE.sub("", text)):
            notes.warn(path, f"{inside[0]} stays as it is: a macro is a word of its own, as on W&B")
        return text
    if macro[1] in MACROS:
        return text
    near = did_you_mean(text, [f"${{{name}}}" for name in nearest(macro[1], MACROS, cutoff=MEANT)])
    if nearest(macro[1], _NEEDED, cutoff=MEANT) or macro[1].lower().replace("_", "").startswith("envvar:"):
        allowed = [f"${{{name}}}" for name in (*MACROS, "envvar:NAME")]
        notes.wrong(path, f"{text} is not a macro; allowed: {', '.join(allowed)}{near or did_you_mean(text, allowed)}")
    else:
        hint = near or "; parameters are passed by ${args}"
        notes.warn(path, f"{text} is not a macro: the word is left out, as on W&B{hint}")
    return None
