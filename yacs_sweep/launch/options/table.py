"""Declares the options of `tools/sweep.py`. `Options` is the table from which everything about them is made."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...base.command_line import PROGRAM, Parser
from ...base.options import add_options, default_of, entries, flag_of
from ...base.wording import without_password
from .control import ControlOptions
from .entry import SweepOption, group
from .limits import LimitOptions
from .looks import LookOptions
from .places import PlaceOptions
from .search import SearchOptions

_CHECKOUT = """\
  tools/sweep.py --config_file configs/smoke.yml --sweep-config sweep_test
  tools/sweep.py --config_file configs/baseline.yml \\
      --sweep-config sweeps/my.yaml --count 30 SOLVER.MAX_EPOCHS 60
  tools/sweep.py --config_file configs/baseline.yml \\
      --lr_values 0.0001,0.00035 --wd_values 0.0005,0.005
  tools/sweep.py --sweep_id k3v9x2ab     (resume a sweep)
"""
_INSTALLED = """\
  yacs-sweep --sweep-config sweep.yaml --count 30     (the file has a program)
  yacs-sweep --trainer trainer.yaml --config_file base.yml \\
      --sweep-config sweep.yaml SOLVER.MAX_EPOCHS 60
  yacs-sweep --sweep_id k3v9x2ab     (resume a sweep)
"""
EPILOG = f"""\
examples:
{_INSTALLED if PROGRAM == "yacs-sweep" else _CHECKOUT}
exit status: 0 all trials ended well (stopped early counts); 1 some trial
failed; 2 invalid input, nothing was created; 130 interrupted
"""


_word = group(None)


@dataclass(frozen=True, kw_only=True)
class Options(ControlOptions, LookOptions, LimitOptions, PlaceOptions, SearchOptions):
    """Holds the options of one launch: what the command line, or a keyword of `Sweep`, has given.

    A new option is one entry in a module of this folder: the parser, the keywords, the documents and every list of options
    (kept, passed on, refused beside each other) follow from it.
    """

    trailing: list[str] | dict[str, Any] = _word(  # a dict is Python's
        "settings for every trial; put words that begin with a dash after --",
        "KEY VALUE",
        nargs="*",
        positional=True,
        default=[],
        with_status=True,
        keyword=False,
    )

    # What the environment says (`read.take_environment`); no options.
    wandb_off: bool = False  # WANDB_MODE=disabled
    storage_of_environment: bool = False  # whether `storage` is the environment's

    # How the options came by their values, which are the same whoever gave them.
    given: frozenset[str] = field(default=frozenset(), compare=False)  # fields that the command line gives
    from_project: Mapping[str, str] = field(
        default_factory=dict, compare=False
    )  # those of the project's file: FILE:LINE

    # -- questions about the table ----------------------------------------------------------------------------------

    @classmethod
    def table(cls) -> dict[str, SweepOption]:
        """Returns all options by their field's name."""
        return entries(cls)

    @classmethod
    def flag(cls, name: str) -> str:
        """Returns an option as one types it: `--sweep-config`."""
        return flag_of(cls, name)

    def is_given(self, name: str) -> bool:
        """Whether the option has a value other than its default."""
        return bool(getattr(self, name) != default_of(type(self), name))

    def given_beside(self, allowed: Container[str]) -> list[str]:
        """Returns the given options other than the allowed ones (their fields), as one types them."""
        return [self.flag(name) for name in self.table() if name not in allowed and self.is_given(name)]

    def project_defaults(self) -> list[tuple[str, str, str]]:
        """Returns name, value and place of each option that is the project's default, without passwords."""
        found = []
        for name, place in self.from_project.items():
            value = getattr(self, name)
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            text = {"True": "true", "False": "false"}.get(text, without_password(text))
            found.append((name, re.sub(r"(https?://[^/]+)/.*", r"\1/…", text) if name == "notify" else text, place))
        return found

    def refused_beside(self, other: str) -> list[str]:
        """Returns the given options that cannot be combined with `other`, as one types them."""
        return [
            self.flag(name)
            for name, entry in self.table().items()
            if other in entry.refused_beside and self.is_given(name)
        ]

    def words(self, wanted: Callable[[SweepOption], bool]) -> list[str]:
        """Returns the words of a command line that gives the `wanted` options the same values; default values need none."""
        found = []
        for name, entry in self.table().items():
            if wanted(entry) and self.is_given(name):
                value = getattr(self, name)
                found += [self.flag(name).replace("_", "-"), *([] if value is True else [str(value)])]
        return found

    def launch_words(self) -> list[str]:
        """Returns the words of the options that hold for one launch: workers, GPUs, limits of a trial."""
        return [word.removesuffix(".0") for word in self.words(lambda entry: entry.per_launch)]

    def after_launch(self) -> Options:
        """Returns the options of a `Sweep` object's next launch: less what described the sweep, or held once."""
        once = {name: default_of(type(self), name) for name, entry in self.table().items() if entry.first_launch}
        return replace(self, **once)


def make_parser(kind: type[Parser] = Parser) -> Parser:
    """Makes the parser of the whole command line; `kind` says what it does about a mistake."""
    parser = kind(
        prog=PROGRAM,
        description="Search hyperparameters of a YACS trainer: on the W&B server when logged in, else on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.unknown_hint = "; an option of the trainer is written behind the others: -- {word}"
    parser.other_tools = _of_other_tools
    add_options(parser, Options)
    return parser


def _of_other_tools(option: str) -> str:
    """Says what another tool's option is called here."""
    from .foreign import answer  # only a mistake needs it

    return answer(option)
