"""Takes of a sweep's description, where other people can write it, what the user agrees to.

Who can write to a sweep's database, or to its project on the W&B server, can change its description. The search is what
the user asks for by the sweep's id. What starts, with which files and words, where results go and whom W&B tells is
taken from there only with the user's yes, `--trainer '(sweep file)'`; it is shown either way before anything starts.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...base.errors import ConfigError
from ...records.launch_file import LaunchFile
from ...spec.sweep import DEFAULT_RESULTS_DIR, SweepSpec
from ...trainers.choose import DEFAULT_TRAINER
from ...trainers.function import FUNCTION
from ...trainers.load import shortest_reference
from ...trainers.own_command import SWEEP_FILE, has_own_command
from ..options.table import Options

SCHEDULER = "scheduler"  # what `beyond_search` names the code that chooses points; no option says another
SHOWN = 1000  # characters of each thing that a description says


@dataclass(frozen=True)
class Description:
    """Holds what others may have written about a sweep.

    Attributes:
        place: where it stands, for messages: "on the W&B server".
        launch: how the sweep is launched; None where the description says nothing of it.
        starts: what of a profile that is part of the description decides what is started.
    """

    place: str
    spec: SweepSpec
    launch: LaunchFile | None = None
    starts: str = ""

    def beyond_search(self) -> Iterator[tuple[str, str]]:
        """Yields what the description says beyond the search: the option that says it instead, and the text to show.

        What any sweep has without a word from the user is left out.
        """
        spec, launch = self.spec, self.launch
        if spec.scheduler is not None and spec.scheduler.source is not None:
            yield SCHEDULER, f"scheduler {_shown(spec.scheduler.source)}"
        if launch is None or launch.trainer == SWEEP_FILE:
            if has_own_command(spec):
                yield "trainer", _shown(shlex.join(spec.command or (str(spec.program),)))
        elif launch.trainer != FUNCTION and not _is_default(launch.trainer):
            yield "trainer", f"trainer {_shown(launch.trainer)}{' ' * bool(self.starts)}{_shown(self.starts)}"
        if launch is not None:
            if launch.config_file is not None:
                yield "config_file", f"--config_file {_shown(launch.config_file)}"
            if launch.trailing:
                yield "trailing", f"words {_shown(shlex.join(launch.trailing))}"
        if spec.results_dir_base != DEFAULT_RESULTS_DIR:
            yield "results_dir", f"results in {_shown(spec.results_dir_base)}"
        if launch is not None and launch.wandb_mode == "online":
            run = "/".join(filter(None, (launch.entity, launch.project)))
            yield "wandb_mode", f"W&B runs online{f' in {_shown(run)}' if run else ''}"


def agreed(name: str, described: Description, options: Options) -> tuple[Options, Description, tuple[str, ...]]:
    """Returns the options, the description as far as the user agrees to it, and lines for the user.

    Args:
        name: the sweep, as the user has named it: "--sweep_id ID".

    Raises:
        ConfigError: the description says what starts, and the user neither agrees nor says it in its place.
    """
    yes = options.trainer == SWEEP_FILE
    own = replace(options, trainer=None) if yes else options  # what the user says in place of the description
    said = [
        (option, text)
        for option, text in described.beyond_search()
        if option == SCHEDULER or not own.is_given(option)  # nothing stands in for the code that chooses points
    ]
    what = "; ".join(text for _, text in said)
    if yes:
        notes = (f"accepted settings stored {described.place}, where others can edit them: {what}",) if what else ()
        # Of a launch that is described, the trainer as well.
        return options if described.launch is None else own, described, notes
    if code := [text for option, text in said if option == SCHEDULER]:
        raise ConfigError(
            f"{name}: the sweep's points are chosen by Python code that is named {described.place}, where others can edit "
            f"it ({code[0]}); --trainer '{SWEEP_FILE}' accepts it, with the trainer that is named there"
        )
    # A mode that is not taken starts nothing, and a trainer of the user's own is no other's word.
    if options.trainer is None and any(option != "wandb_mode" for option, _ in said):
        raise ConfigError(
            f"{name}: the sweep's settings are stored {described.place}, where others can edit them ({what}); "
            f"--trainer '{SWEEP_FILE}' accepts them, --trainer PROFILE runs another trainer"
        )
    left = "; ".join(text for option, text in said if option != "trainer")
    notes = (f"ignored settings stored {described.place}, where others can edit them: {left}",) if left else ()
    return options, _search_alone(described, options), notes


def _search_alone(described: Description, options: Options) -> Description:
    """Returns the description of the search; everything else is as the options have it, or as in any sweep."""
    spec = replace(described.spec, results_dir_base=DEFAULT_RESULTS_DIR, project=None, entity=None)
    launch = described.launch
    if launch is not None:
        launch = replace(
            launch,
            config_file=None,
            trainer=FUNCTION if launch.trainer == FUNCTION else DEFAULT_TRAINER,
            trailing=(),
            wandb_mode="offline" if launch.wandb_mode == "online" else launch.wandb_mode,
            project=options.project or os.environ.get("WANDB_PROJECT"),
            entity=options.entity or os.environ.get("WANDB_ENTITY"),
        )
    return replace(described, spec=spec, launch=launch)


def _is_default(trainer: str) -> bool:
    """Tells whether a launch in this folder uses the profile by default."""
    return shortest_reference(str(Path(trainer).absolute()), Path.cwd()) == DEFAULT_TRAINER


def _shown(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text) - SHOWN} characters more)"
