"""Decides, before a sweep is created, whether its trainer must resume, and by what it is known that it does."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ...base.errors import ConfigError
from ...base.wording import counted
from ...search.promotion.rungs import rungs_of
from ...show.lines import duration_text, short_value
from ...show.live.terminal import say
from ...spec.sweep import SweepSpec
from ...trainers.profile import TrainerProfile
from ..options.table import Options
from ..plan.plan import Plan

if TYPE_CHECKING:
    from .short_starts import Start, Tried

ASSUMED = "assumed (--assume-resume)"
CUT = "its checkpoint may be cut where SIGTERM ends the trainer while it writes"
_NUMBERS = ("first", "second", "third")
LONGEST = 900.0  # seconds of a start at most


def what_pauses(spec: SweepSpec) -> str | None:
    """Names what makes a sweep resume its trials, so that its trainer must be able to; None: nothing does."""
    if spec.method == "pbt":
        return "`method: pbt`"
    return "`mode: promotion`" if spec.pauses else None


def with_answer(plan: Plan, options: Options) -> Plan:
    """Returns the plan with how it is known that the trainer resumes, which its launch.json keeps.

    The trainer is tried only where the sweep pauses trials and no launch before has had the answer. Nothing is left of it.

    Raises:
        ConfigError: the trainer starts over, or that cannot be found out.
    """
    why = what_pauses(plan.spec)
    if why is None or plan.launch.resumes or not plan.count:
        return plan
    answer = ASSUMED if options.assume_resume else _answer(plan, options, why)
    return replace(plan, launch=replace(plan.launch, resumes=answer))


def remark(plan: Plan, options: Options) -> str | None:
    """Returns what `--dry-run` says of trying whether the trainer resumes; None where that is not needed.

    Raises:
        ConfigError: its profile says that it starts over.
    """
    why = what_pauses(plan.spec)
    if why is None or plan.launch.resumes or not plan.count:
        return None
    if options.assume_resume:
        return "the trainer is taken to resume in its output folder (--assume-resume)"
    if problem := resume_problem(plan.profile, why):
        raise ConfigError(problem)
    return "first, three short starts of one point try whether the trainer resumes (--assume-resume leaves this out)"


def _answer(plan: Plan, options: Options, why: str) -> str:
    """Finds out whether the trainer resumes; returns by what that is known. Raises ConfigError."""
    if problem := resume_problem(plan.profile, why):
        raise ConfigError(problem)
    if options.engine != "local":
        raise ConfigError(
            f"{why} resumes trials, and with --engine {options.engine} the trainer cannot be tried here; add "
            "--assume-resume if it resumes in its output folder"
        )
    metric = plan.spec.compared.name if plan.spec.compared else ""
    limit = min(LONGEST, options.timeout or LONGEST)
    say(
        f"trying whether the trainer resumes, as {why} needs it: three short starts of one point, each until it has logged "
        f"{metric}, {duration_text(limit)} at most (--assume-resume leaves this out)"
    )
    from .short_starts import try_starts  # few sweeps need it

    began = time.monotonic()
    tried = try_starts(plan, metric, limit, options.grace, _first_rung(plan.spec))
    told = _judge(plan, tried, why, metric, limit)
    if tried.failed_before is not None:
        say(f"warning: the second start failed at the first try: {tried.failed_before}; {CUT}")
    say(f"the trainer resumes: {told} ({duration_text(time.monotonic() - began)})")
    return told


def _first_rung(spec: SweepSpec) -> int:
    """Returns the iteration at which trials pause first."""
    if spec.pbt is not None:
        return spec.pbt.interval
    return rungs_of(spec.early_terminate)[0] if spec.early_terminate is not None else 1


def resume_problem(profile: TrainerProfile, why: str) -> str | None:
    """Says that the profile itself denies that the trainer resumes; None where it does not."""
    if profile.resume.itself is not False:
        return None
    return f"{why} resumes trials, and the trainer {profile.name} always starts over (`resume: false` in its profile)"


def _judge(plan: Plan, tried: Tried, why: str, metric: str, limit: float) -> str:
    """Returns what shows that the trainer resumes. Raises ConfigError where it does not, or nothing shows it."""
    if tried.is_outside:
        raise ConfigError(_outside(plan.profile, tried, why))
    first, last = tried.starts[0], tried.starts[-1]
    if failure := last.failure:
        cut = f"; {CUT}" if tried.failed_before is not None else ""
        raise ConfigError(
            f"{why}: trying whether the trainer resumes: the {_NUMBERS[len(tried.starts) - 1]} start failed: {failure}{cut}"
        )
    if len(tried.starts) != 2 and not last.at_values:
        told = f"has not logged {metric} within {duration_text(limit)}"
        raise ConfigError(
            f"{why}: trying whether the trainer resumes: it {told}; --assume-resume leaves this out, if you know that it resumes"
        )
    from .short_starts import later

    second = tried.starts[1]
    found = later(first, second)
    if found:
        return f"its second start began {_place(first, second)}"
    if found is None:
        raise ConfigError(
            f"{why}: whether the trainer resumes cannot be told, since neither start has shown an epoch or iteration; "
            f"--assume-resume leaves this out, if you know that it resumes"
        )
    rule = plan.profile.resume
    untold = ""
    if rule.is_told and second.record is not None and not second.record.resumed_with:
        untold = f"; it was not told `{rule.text}`, since it had left no file that matches {' or '.join(rule.patterns)}"
    if not first.saved and first.record is not None and first.record.state != "finished":
        later_key = "interval" if plan.spec.pbt is not None else "min_iter"
        raise ConfigError(
            f"{why}: whether the trainer {plan.profile.name} resumes cannot be told: its first start had left no checkpoint "
            f"in its folder when it was ended at {counted(len(first.at_values), 'logged value')}{untold}; let it save by "
            f"then, or write a larger {later_key}; --assume-resume leaves this out, if you know that it resumes"
        )
    raise ConfigError(
        f"{why} resumes trials, and the trainer {plan.profile.name} starts over: both starts began "
        f"{_place(first, second)}{untold}; the key `resume` in its profile says what makes it resume (KEY and VALUE, or a "
        f"word such as --resume); without {why} trials end early for good"
    )


def _outside(profile: TrainerProfile, tried: Tried, why: str) -> str:
    """Says that the trainer keeps its checkpoint outside the trial's folder, and what to write instead."""
    named = f" ({tried.elsewhere} was written meanwhile)" if tried.elsewhere is not None else ""
    if profile.own_words:
        advice = (
            "let it write into wandb.run.dir, or into the folder of the file that ${args_json_file} in `command` names"
        )
    elif profile.output_dir_key is not None:
        advice = f"{profile.output_dir_key} names that folder, and the trainer must write there"
    elif profile.command_has_output_dir:
        advice = "its command names that folder by {output_dir}, and the trainer must write there"
    else:
        advice = f"write output_dir_key: KEY, or {{output_dir}} in the command, into profile {profile.name}"
    return (
        f"{why}: the trainer {profile.name} keeps its checkpoint outside the trial's folder{named}: trials would resume each "
        f"other's; {advice}"
    )


def _place(first: Start, second: Start) -> str:
    """Says where the second start began, on the x-axis or by its first line; of one that began nowhere, its values."""
    if first.places and second.places and second.places[0] != first.places[0]:
        return f"at {second.axis} {short_value(second.places[0])}, the first at {short_value(first.places[0])}"
    if second.counters and first.counters != second.counters:
        said = [
            " ".join(f"{name} {number}" for name, number in reversed(one.counters.items())) for one in (second, first)
        ]
        return f"at {said[0]}, the first at {said[1]}"
    if second.places:
        return f"at {second.axis} {short_value(second.places[0])}"
    if second.counters:
        return f"at {' '.join(f'{name} {number}' for name, number in reversed(second.counters.items()))}"
    return f"nearer to its end: it logged {len(second.at_values)} values, the first {len(first.at_values)}"
