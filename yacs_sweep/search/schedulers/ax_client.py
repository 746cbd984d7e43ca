"""Chooses points by Ax (`engine: ax`): with the client that the user's function gives, or one made from the sweep file.

Whenever a point is asked for, the client is made anew and given the sweep's trials. So trials live in the sweep's own
storage, and a suggestion is a function of the seed and the trials before it.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from ...base.shipped import install_command
from ...base.wording import clipped, counted
from ...spec.sweep import SweepSpec
from ..sampling import model_seed
from ..space import Space
from ..stored import CONSTRAINTS
from .ax_space import AxSpace, ClientSpace, FileSpace
from .engine import Suggestion
from .own import point_of
from .source import SourceError, SweepInfo, UserFile, result_and_end

_NODE = "ax"  # system attribute of a trial: the node of Ax's generation strategy that chose its point
_DRAWS = 3  # of Ax for one trial, while its points break the sweep's conditions
_SEEDS = 2**31  # random seeds of Ax are below it
_CHATTY = "ax.storage.sqa_store.with_db_settings_base"  # a logger that writes a line at the import


def import_ax() -> None:
    """Imports Ax, which takes about ten seconds, and keeps its log lines from the terminal.

    Raises:
        SourceError: Ax is not installed, or older than its present interface.
    """
    logging.getLogger(_CHATTY).disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ax.api.client  # noqa: F401 — imported so that what it prints and warns of is kept back
            from ax.utils.common.logger import ROOT_STREAM_HANDLER
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        why = "Ax is not installed" if name == "ax" else f"Ax cannot be imported ({clipped(str(error))})"
        raise SourceError(f"scheduler engine ax: {why}: {install_command('ax')}") from None
    ROOT_STREAM_HANDLER.setLevel(logging.CRITICAL)


class AxEngine:
    """`Engine` over an Ax client, with the user's experiment or the sweep file's parameters."""

    def __init__(self, spec: SweepSpec, space: Space, seed: int, file: UserFile | None, info: SweepInfo) -> None:
        """Makes the client once, to check it.

        Args:
            seed: of Ax's random numbers, unless the user's client has one.

        Raises:
            SourceError: Ax is not installed, or something is wrong with the user's function or its client.
        """
        import_ax()
        scheduler = spec.scheduler
        assert scheduler is not None
        self.spec, self._file, self._info, self._sweep_space = spec, file, info, space
        self.notes: list[str] = []
        self._function: Callable[[Any], Any] | None = None
        if file is not None and scheduler.optimizer is not None:
            self._function = file.function("optimizer", scheduler.optimizer)
        self._file_space = FileSpace(space)
        self._end: Callable[[Any], Any] | None = None
        self._trials: Sequence[FrozenTrial] = ()
        self._client = self._new_client()
        experiment = self._client._experiment
        self.space: AxSpace = self._file_space if self._function is None else ClientSpace(experiment.search_space)
        self._before: int = sum(trial.status.is_completed for trial in experiment.trials.values())
        own_seed = self._client._random_seed
        self._seed = seed if own_seed is None else int(own_seed)
        if self._before:
            self.notes.append(f"the scheduler's client has {counted(self._before, 'result')} to learn from")
        if self._client._storage_config is not None:
            self.notes.append("the scheduler's Ax client has a storage: each suggestion writes to it; leave it out")

    # -- the client ---------------------------------------------------------------------------------------------------

    def _new_client(self) -> Any:
        """Makes a client that knows no trial of the sweep. Raises SourceError where it is not usable."""
        if self._function is None:
            client = self._own_client()
        else:
            assert self._file is not None
            place = f"scheduler optimizer: {self._file.line(self._function)}"
            client, self._end = self._users_client(self._file, self._function, place)
            if problem := _difference(client, self.spec):
                raise SourceError(f"{place}: {problem}")
        with self._errors():
            _constrain(client, [_constraint(place) for place in range(len(self.spec.constraints))])
        return client

    def _users_client(
        self, file: UserFile, function: Callable[[Any], Any], place: str
    ) -> tuple[Any, Callable[[Any], Any] | None]:
        """Calls the user's function: a client, and perhaps a function that ends the search."""
        from ax.api.client import Client

        named, line = "a Client of ax.api.client", "return client"
        found = file.call(function, self._info)
        return result_and_end(found, place, Client, named=named, what="client", line=line)

    def _own_client(self) -> Any:
        """Makes a client of the sweep file's parameters and metrics."""
        from ax.api.client import Client

        if not self._file_space.names:
            raise SourceError("scheduler engine ax: `parameters` has nothing to search: each has a single value")
        client = Client()
        metrics = list(zip(self._metric_names(), self.spec.objectives, strict=True))
        signs = {"maximize": "", "minimize": "-"}
        with self._errors():
            client.configure_experiment(parameters=self._file_space.configs())
            client.configure_optimization(
                objective=", ".join(signs[metric.goal] + name for name, metric in metrics),
                outcome_constraints=[
                    f"{name} {'>=' if metric.goal == 'maximize' else '<='} {metric.threshold!r}"
                    for name, metric in metrics
                    if metric.threshold is not None and len(metrics) > 1
                ],
            )
            # Several workers may ask for more points than there are results: they are drawn, not refused.
            client.configure_generation_strategy(allow_exceeding_initialization_budget=True)
        return client

    def _metric_names(self) -> list[str]:
        """Returns the objectives as the client calls them; ours has names that its expressions can hold."""
        if self._function is None:
            return [f"objective_{place}" for place in range(len(self.spec.objectives))]
        return [metric.name for metric in self.spec.objectives]

    def _filled(self, number: int) -> Any:
        """Makes a client that knows the sweep's trials, with the random numbers of the trial `number`."""
        from ax.adapter.registry import Generators

        client = self._new_client()
        client._random_seed = model_seed(self._seed, number) % _SEEDS
        with self._errors():
            strategy = client._generation_strategy_or_choose()
            strategy.experiment = client._experiment
            for node in strategy._nodes:
                for generator in node.generator_specs:
                    if generator.generator_enum is Generators.SOBOL:  # one sequence, though the client is a new one
                        keys = generator.generator_kwargs
                        keys.update(seed=keys.get("seed") or self._seed % _SEEDS, init_position=number)
            for trial in self._trials:
                if trial.params:
                    self._attach(client, strategy, trial)
            strategy._maybe_transition_to_next_node(raise_data_required_error=False)
        return client

    def _attach(self, client: Any, strategy: Any, trial: FrozenTrial) -> None:
        """Adds a trial of the sweep to a client, as if the client had chosen its point."""
        from ax.core.arm import Arm
        from ax.core.generator_run import GeneratorRun

        experiment = client._experiment
        run = GeneratorRun(arms=[Arm(parameters=self.space.to_ax(trial.params))])
        node = trial.system_attrs.get(_NODE)
        if node in strategy.nodes_by_name:
            run._generation_node_name = node
            strategy._generator_runs.append(run)
            strategy._curr = strategy.nodes_by_name[node]
        index = experiment.new_trial(generator_run=run).mark_running(no_runner_required=True).index
        if trial.state == TrialState.COMPLETE:
            missed = list(trial.system_attrs.get(CONSTRAINTS, ()))
            wanted = len(self.spec.constraints)
            missed = missed if len(missed) == wanted else [1.0] * wanted
            data = dict(zip(self._metric_names(), map(float, trial.values), strict=True))
            data.update({_constraint(place): float(value) for place, value in enumerate(missed)})
            client.complete_trial(index, raw_data=data)
        elif trial.state == TrialState.PRUNED:
            client.mark_trial_abandoned(index)
        elif trial.state == TrialState.FAIL:
            client.mark_trial_failed(index)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns Ax's errors into one line each, and keeps the warnings of its libraries back."""
        from ax.exceptions.core import DataRequiredError, OptimizationComplete
        from ax.exceptions.generation_strategy import MaxParallelismReachedException

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except (SourceError, DataRequiredError, OptimizationComplete, MaxParallelismReachedException):
            raise
        except Exception as error:  # of Ax, and of what it imports
            text = " ".join(str(error).split())
            raise SourceError(clipped(f"scheduler: Ax: {type(error).__name__}: {text}")) from None

    # -- choosing -----------------------------------------------------------------------------------------------------

    def tell(self, trials: Sequence[FrozenTrial]) -> None:
        """Takes in all trials, which a client is given when a point is asked for."""
        self._trials = trials

    def seen(self) -> int:
        """Counts the finished trials, and the results of the user's client."""
        return self._before + sum(trial.state == TrialState.COMPLETE for trial in self._trials)

    def ask(self, number: int) -> Suggestion | None:
        """Lets Ax choose; None when its search is over, or the user's function ends it.

        Where Ax waits for results of running trials, or its points break the sweep's conditions, one is drawn at random.
        """
        from ax.exceptions.core import DataRequiredError, OptimizationComplete
        from ax.exceptions.generation_strategy import MaxParallelismReachedException

        try:
            client = self._filled(number)
            if self._end is not None and self._file is not None and self._file.call(self._end, client):
                return None
            for _ in range(_DRAWS):
                with self._errors():
                    ((index, parameters),) = client.get_next_trials(max_trials=1).items()
                node = client._experiment.trials[index].generator_runs[0]._generation_node_name
                if self._allows(chosen := self.space.suggestion(parameters)):
                    return replace(chosen, kept={_NODE: node})
        except OptimizationComplete:
            return None
        except (DataRequiredError, MaxParallelismReachedException):  # raised by `get_next_trials` alone
            with self._errors():
                chosen = self.space.suggestion(_random_point(client, client._random_seed))
        if self._allows(chosen):
            return chosen
        units, values = self.spec.draw(self._seed, number)
        drawn = {name: value for name, value in self._sweep_space.at(units).items() if name in values}
        return point_of(self._sweep_space, drawn)

    def _allows(self, chosen: Suggestion) -> bool:
        """Tells whether the sweep file's conditions allow a point; they are not about the parameters of a user's client."""
        return self._function is not None or self.spec.allows(chosen.params)

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Completes a given point."""
        return self.space.fill(trial)

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Converts a point to the values that Optuna's storage keeps."""
        return self.space.recall(params)

    def says(self) -> str:
        """Names Ax's generation strategy."""
        with self._errors():
            return f"Ax chooses the points ({self._client._generation_strategy_or_choose().name})"

    def close(self) -> None:
        """Releases nothing: the client is in memory."""


def _difference(client: Any, spec: SweepSpec) -> str:
    """Says what the user's client lacks, and how its objectives differ from the sweep's; empty where nothing does."""
    if client._maybe_experiment is None:
        return "the client has no experiment; call client.configure_experiment(parameters=…)"
    config = client._maybe_experiment.optimization_config
    wanted = {metric.name: metric.goal for metric in spec.objectives}
    text = ", ".join(f"{goal} {name}" for name, goal in wanted.items())
    expression = ", ".join(("-" if goal == "minimize" else "") + name for name, goal in wanted.items())
    write = f'write client.configure_optimization(objective="{expression}")'
    if config is None:
        return f"the client has no objective; {write}"
    if config.objective.is_scalarized_objective:
        return f"the client's objective is a sum of metrics, but the sweep's objectives are {text}; {write}"
    have = {name: "minimize" if weight < 0 else "maximize" for name, weight in config.objective.metric_weights}
    if have != wanted:
        said = ", ".join(f"{goal} {name}" for name, goal in have.items())
        return f"the client's objectives are {said}, but the sweep's are {text}; {write}"
    for constraint in config.all_constraints:
        for name in constraint.metric_names:
            if name not in wanted:
                return f"the client has a constraint on {name}, which Ax is not given; write it as `metric_constraints`"
    return ""


def _constraint(place: int) -> str:
    """Names the metric by which Ax is given how much a trial misses a constraint of the sweep."""
    return f"missed_{place}"


def _constrain(client: Any, names: Sequence[str]) -> None:
    """Lets a client's search keep these metrics at 0 or less."""
    from ax.core.outcome_constraint import OutcomeConstraint

    if not names:
        return
    client.configure_tracking_metrics(list(names))
    experiment = client._experiment
    config = experiment.optimization_config
    added = [OutcomeConstraint(f"{name} <= 0", metric_name_to_signature={name: name}) for name in names]
    experiment.optimization_config = config.clone_with_args(outcome_constraints=[*config.outcome_constraints, *added])


def _random_point(client: Any, seed: int) -> dict[str, Any]:
    """Draws a point of the experiment at random."""
    from ax.adapter.registry import Generators

    run = Generators.SOBOL(experiment=client._experiment, seed=seed).gen(n=1)
    return dict(run.arms[0].parameters)
