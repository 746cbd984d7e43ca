"""Shares this machine among the sweeps of one launch: GPUs, cores, and the servers that preload their trainers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from ..trial.preloader import preloading
from ..trial.process import child_environment
from .plan.plan import Plan
from .workers.agent_starter import AgentStarter
from .workers.cores import THREADS, cgroup_quota, shares, threads_each, usable_cores
from .workers.gpu_places import Layout, Places
from .workers.supervisor import Supervisor
from .workers.sweep_state import SweepState


class Machine:
    """Holds GPUs, cores and preload servers of one launch. Made by `shared_machine`."""

    def __init__(
        self,
        layout: Layout,
        stack: contextlib.ExitStack,
        preload: bool,
        say: Callable[[str], None],
        signals: list[int] | None,
        starter: AgentStarter | None,
    ) -> None:
        self.layout, self.places, self.say = layout, Places(layout), say
        self._stack, self._wanted, self._signals, self._starter = stack, preload, signals, starter
        self._servers: dict[Hashable, int | None] = {}
        self.environment = dict(os.environ)
        self.cores = self.share(layout.workers)

    def share(self, workers: int) -> list[tuple[int, ...]]:
        """Divides the cores among so many workers, and says in `environment` how many threads each has."""
        cores, quota = usable_cores(), cgroup_quota()
        self.cores = shares(cores, quota, workers)
        # Threads of trials that compete for cores spin. Somebody's own choice, here or in a profile, stands.
        if THREADS not in os.environ:
            self.environment.pop(THREADS, None)
            if workers > 1:
                self.environment[THREADS] = str(threads_each(len(cores), quota, workers))
        return self.cores

    def preload(self, plan: Plan, log: Path) -> int | None:
        """Returns the descriptor of a server that has imported the trainer's libraries; None without a server.

        Sweeps of the same trainer share a server.
        """
        profile, python = plan.profile, plan.launch.python
        interpreter = profile.leading_interpreter(python)
        env = child_environment(
            profile.fixed_env, self.environment, wandb=profile.metrics.wandb, interpreter=interpreter
        )
        key = (profile.interpreter(python), profile.preload, profile.cwd, profile.command, tuple(sorted(env.items())))
        if key not in self._servers:
            server = preloading(profile, python, wanted=self._wanted, env=env, log=log, say=self.say)
            self._servers[key] = self._stack.enter_context(server)
        return self._servers[key]

    def supervise(
        self,
        sweeps: Sequence[SweepState],
        output: int | None = None,
        shown: Iterable[str] = (),
        on_workers: Callable[[Layout], object] | None = None,
        on_sleep: Callable[[bool], object] | None = None,
    ) -> None:
        """Runs the sweeps at the same time, to the end of all of them.

        Args:
            output: the descriptor on which trainers' lines are shown.
            shown: lines the user has seen already.
            on_workers: called when other workers, or GPUs, are ordered.
            on_sleep: called when Ctrl-Z stops the launch (True), and when it continues.
        """
        Supervisor(
            sweeps,
            self.places,
            cores=self.cores,
            environment=self.environment,
            output=output,
            starter=self._starter,
            say=self.say,
            signals=self._signals,
            shown=shown,
            share=self.share,
            on_workers=on_workers,
            on_sleep=on_sleep,
        ).run()
        self.layout = self.places.layout  # of the next sweeps


@contextlib.contextmanager
def shared_machine(
    layout: Layout,
    *,
    preload: bool,
    say: Callable[[str], None],
    signals: list[int] | None = None,
    starter: AgentStarter | None = None,
) -> Iterator[Machine]:
    """Makes the machine of one launch; ends its servers when the launch ends.

    Args:
        preload: whether trainers' libraries are imported once for all trials.
        say: shows the user a line.
        signals: those received that end the launch; another thread may append one.
        starter: forks the agents; default: they are executed.
    """
    with contextlib.ExitStack() as stack:
        yield Machine(layout, stack, preload, say, signals, starter)
