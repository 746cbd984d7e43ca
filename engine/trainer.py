"""Training loop of one model: epochs, evaluations, checkpoints, and the progress through them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset
from data.build import build_eval_loader, build_plain_loader, build_train_loader, shard_range
from data.samplers.base import EpochBatchSampler
from data.settings import dataset_names
from engine.checkpoint import State, rng_state, save_checkpoint, seed_everything, set_rng_state
from engine.cost import Cost, measure_time, measure_work
from engine.distributed import ProcessGroup, without_traceback
from engine.evaluation.best import BestWeights
from engine.evaluation.evaluate import EvaluationMethod, Results, count_unreadable, evaluate
from engine.evaluation.features import EvalShard, extract_features, knows_origins
from engine.learner import Learner, set_arithmetic
from engine.preparation import PreparationLoop
from engine.progress import Progress, RunningMeans
from engine.saved_settings import saved_config
from engine.solver import learning_rate, schedule_notes
from modeling.model import build_model
from modeling.pretrained import load_pretrained
from utils.errors import ConfigError, Diverged, Stopped, TrainerError
from utils.progress import ProgressBar
from utils.signals import StopRequest
from utils.wandb_run import Recorder


class Trainer:
    """Trainer of one model; given a checkpoint's state, training resumes exactly where that was written."""

    def __init__(
        self,
        cfg: CfgNode,
        dataset: ReIDDataset,
        device: torch.device,
        group: ProcessGroup,
        saved: State | None,
        stop: StopRequest | None = None,
    ) -> None:
        """Builds loaders, model and optimizer; creates no file but the image cache.

        Args:
            cfg: the configuration.
            dataset: trained and evaluated on.
            device: computes.
            group: this process and the others that train with it.
            saved: the state of a checkpoint to resume from.
            stop: obeyed while the image cache is made and weights are read.
        Raises:
            Stopped: by a signal.
            TrainerError, DatasetError: training cannot start.
        """
        set_arithmetic(cfg)
        seed_everything(cfg.SOLVER.SEED)
        self.cfg, self.device, self.group = cfg, device, group
        self.num_classes = dataset.num_train_pids
        with stop.interrupting() if stop else nullcontext():  # a wrong network is told before a cache is made
            model = build_model(cfg, self.num_classes, *dataset.train_origins)
            self.notes = [] if saved else [load_pretrained(cfg, model)]
            prepared = saved is not None and saved["progress"]["epoch"] > 0
            stage = None if prepared else model.preparation(cfg, load=saved is None)
        seed = cfg.SOLVER.SEED
        check_stop = stop.check if stop else lambda: None
        self.train_loader = build_train_loader(cfg, dataset, seed=seed, device=device, check_stop=check_stop)
        assert isinstance(self.train_loader.batch_sampler, EpochBatchSampler)
        self.sampler = self.train_loader.batch_sampler
        self.sampler.shard(group.rank, group.size, own_statistics=not cfg.MODEL.SYNC_BN)
        self.dataset, self.eval_shard = dataset, EvalShard(dataset, group)
        self.eval_loader, self.num_query = build_eval_loader(
            cfg, dataset, device=device, rank=group.rank, world_size=group.size, check_stop=check_stop
        )
        self.known_origins = knows_origins(model, dataset, dataset_names(cfg)[0], self.notes.append)
        self.notes += getattr(model.base, "notes", [])
        self.notes += schedule_notes(cfg, len(self.train_loader))
        self.work = measure_work(model, cfg.INPUT.SIZE_TEST)
        self.notes.append(self.work.line)
        self._timed = not group.is_first  # whether the time of a forward pass needs no measuring any more
        self.learner = Learner(cfg, model, device, group)
        self.notes += self.learner.notes
        self.preparing = PreparationLoop(cfg, stage, device, group) if stage else None
        self.progress = Progress(epoch=0 if stage else 1)
        self.means = RunningMeans(device, self.learner.criterion.labels)
        self.bar = ProgressBar()
        if saved:
            self._load(saved)
        self._saved = astuple(self.progress)
        self.best = BestWeights(cfg, resumed=saved is not None) if group.is_first else None
        self.notes += self.best.notes if self.best else []

    def run(self, log: logging.Logger, recorder: Recorder, stop: StopRequest, output_dir: Path) -> None:
        """Trains to the end of the last epoch, evaluating and writing checkpoints when due.

        Raises:
            Stopped: by a signal, after writing a checkpoint.
            TrainerError, DatasetError: training cannot continue; a checkpoint was written where a run can resume.
        """
        self.log, self.recorder, self.stop, self.output_dir = log, recorder, stop, output_dir
        log.addFilter(self.bar)
        recorder.log(self.work.metrics)
        solver = self.cfg.SOLVER
        try:
            self.stop.restart_clock()
            self.group.raise_on_all(None, self.stop.signum)
            if self.preparing:
                self._prepare(self.preparing)
            while self.progress.epoch <= solver.MAX_EPOCHS:
                epoch = self.progress.epoch
                self._train_epoch()
                if epoch % solver.EVAL_PERIOD == 0 or epoch == solver.MAX_EPOCHS:
                    self._evaluate(epoch)
                self.progress.epoch, self.progress.iteration = epoch + 1, 0
                self.means = RunningMeans(self.device, self.learner.criterion.labels)
                if epoch % solver.CHECKPOINT_PERIOD == 0 or epoch == solver.MAX_EPOCHS:
                    self._save()
            if not self.progress.is_complete(solver.MAX_EPOCHS):  # MAX_EPOCHS was lowered to an epoch never evaluated
                self._evaluate(self.progress.epoch - 1)
                self._save()
        except Stopped:
            if self.learner.between_steps:  # else the others of a group did not come within a step
                self._save()
            raise
        finally:
            self.bar.clear()
            log.removeFilter(self.bar)

    def _prepare(self, stage: PreparationLoop) -> None:
        """Makes the rest of a head's preparation, and puts its result into the network."""
        progress, period = self.progress, self.cfg.SOLVER.LOG_PERIOD
        if not stage.per_epoch:
            self._compute_features(stage)
        self.bar.start(progress.iteration)
        while progress.iteration < stage.total:
            self.group.raise_on_all(None, self.stop.signum)
            stage.step(progress.iteration)
            progress.iteration += 1
            epoch, iteration = stage.place(progress.iteration)
            if iteration % period == 0 or (iteration == stage.per_epoch < period):
                self._log_preparation(stage, epoch, iteration)
            if iteration == stage.per_epoch and epoch % self.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
                self._save()
            self.bar.show("First stage", progress.iteration, stage.total)
        self.group.raise_on_all(None, self.stop.signum)
        stage.finish(dict.fromkeys((self.learner.model, self.learner.eval_model)))
        self.preparing, progress.epoch, progress.iteration = None, 1, 0
        self.log.info("First stage done; training the network from here on")
        self._save()

    def _compute_features(self, stage: PreparationLoop) -> None:
        """Computes the features of the training images for a preparation, each process those of its shard."""
        total, group = len(self.dataset.train), self.group
        self.log.info("First stage: computing the features of %d training images", total)
        loader = build_plain_loader(self.cfg, self.dataset, self.train_loader, rank=group.rank, world_size=group.size)
        own, failure = None, None
        try:
            with self.stop.interrupting():
                own = stage.compute_features(self.learner.model, loader, self.stop.check)
        except (TrainerError, DatasetError) as error:
            failure = without_traceback(error)
        except Stopped:  # in all processes together
            pass
        group.raise_on_all(failure, self.stop.signum)
        assert own is not None
        stage.keep(*own, counts=[len(shard_range(total, rank, group.size)) for rank in range(group.size)])

    def _log_preparation(self, stage: PreparationLoop, epoch: int, iteration: int) -> None:
        """Logs and records the mean loss of a preparation's epoch, and raises Diverged where it is not finite."""
        loss, rate = stage.mean_loss(), stage.rate(epoch)
        self.log.info(
            "Epoch[%d] Iteration[%d/%d] Loss: %.3f, Base Lr: %.2e", epoch, iteration, stage.per_epoch, loss, rate
        )
        self.recorder.log({"stage1/epoch": epoch, "stage1/loss": loss, "stage1/lr": rate})
        if not math.isfinite(loss):
            raise Diverged(f"diverged: loss is {loss} at epoch {epoch}, iteration {iteration} of the first stage")

    def _train_epoch(self) -> None:
        """Trains the rest of the current epoch and logs its speed."""
        progress, total = self.progress, len(self.train_loader)
        if progress.iteration == total:  # stopped while evaluating
            return
        self.sampler.set_epoch(progress.epoch, start_batch=progress.iteration)
        self.learner.start_epoch(progress.epoch, (progress.epoch - 1) * total + progress.iteration)
        self.bar.start(progress.iteration)
        batches_before, images_before, started = self.means.batches, self.means.images, time.perf_counter()
        for images, pids, origins in self._batches():
            rate = learning_rate(self.cfg, progress.epoch, progress.iteration, total)
            last = progress.iteration + 1 == total
            trained = self.learner.train_batch(images, pids, origins, rate=rate, last=last)
            self.means.add(*trained, self.learner.criterion.shares)
            progress.iteration += 1
            if progress.iteration % self.cfg.SOLVER.LOG_PERIOD == 0:
                self._log_means(total)
            self.bar.show(f"Epoch {progress.epoch}/{self.cfg.SOLVER.MAX_EPOCHS}", progress.iteration, total)
        if total < self.cfg.SOLVER.LOG_PERIOD or not math.isfinite(self.means.values()[0]):
            self._log_means(total)
        seconds = time.perf_counter() - started
        self.log.info(
            "Epoch %d done. Time per batch: %.3f[s] Speed: %.1f[samples/s]",
            progress.epoch,
            seconds / (self.means.batches - batches_before),
            (self.means.images - images_before) / seconds,
        )

    def _batches(self) -> Iterator[Any]:
        """Yields the training batches; before each, and at the end, a failure or signal of any process is raised."""
        batches = iter(self.train_loader)
        while True:
            batch, failure = None, None
            with self._checkpoint_on_failure():
                try:
                    batch = next(batches, None)
                except (TrainerError, DatasetError) as error:
                    failure = without_traceback(error)
                # Gradients that wait for a step are in no checkpoint.
                self.group.raise_on_all(failure, self.stop.signum if self.learner.between_steps else 0)
            if batch is None:
                return
            yield batch

    @contextmanager
    def _checkpoint_on_failure(self) -> Iterator[None]:
        """Writes a checkpoint where the code within fails; that code must not change the saved state."""
        try:
            yield
        except (Stopped, Diverged):
            raise
        except Exception:
            if self.learner.between_steps:
                try:
                    self._save()
                except TrainerError as error:
                    self.log.error("%s", error)
            raise

    def _log_means(self, total: int) -> None:
        """Logs and records the running means, and raises Diverged where the loss is not finite."""
        epoch, iteration = self.progress.epoch, self.progress.iteration
        loss, accuracy = self.means.values()
        rate = learning_rate(self.cfg, epoch, iteration - 1, total)
        self.log.info(
            "Epoch[%d] Iteration[%d/%d] Loss: %.3f, Acc: %.3f, Base Lr: %.2e",
            epoch,
            iteration,
            total,
            loss,
            accuracy,
            rate,
        )
        row: dict[str, float] = {"epoch": epoch, "iteration": (epoch - 1) * total + iteration}
        row |= {"train/loss": loss, "train/acc": accuracy, "train/lr": rate}
        if shares := self.means.shares():
            self.log.info("Losses: %s", ", ".join(f"{label} {share:.3f}" for label, share in shares.items()))
            row |= {f"train/loss_{label}": share for label, share in shares.items()}
        self.recorder.log(row)
        if not math.isfinite(loss):
            raise Diverged(f"diverged: loss is {loss} at epoch {epoch}, iteration {iteration}")

    def _evaluate(self, epoch: int) -> None:
        """Evaluates the model, logs and records the metrics, and keeps them for the checkpoint."""
        # Compiling the network once more for evaluation takes longer than many an evaluation.
        uncompiled = torch.compiler.set_stance("force_eager") if self.cfg.MODEL.COMPILE else nullcontext()
        with self._checkpoint_on_failure(), uncompiled:
            results = self._compute_results(epoch)
            duration = self._measure_time()
        self.progress.results = results
        # Before the results: a trial may be ended for them.
        best = self.best.offer(results, self.learner.eval_model.state_dict(), self.num_classes) if self.best else None
        if duration is not None:
            self.log.info("%s", duration.line)
            self.recorder.log(duration.metrics)
        for line in results.lines():
            self.log.info("%s", line)
        self.recorder.log(results.row())
        if best:
            self.log.info("%s", best)

    def _compute_results(self, epoch: int) -> Results:
        """Computes the metrics: every process extracts its shard of features, rank 0 ranks them, all get the result."""
        labels = self.eval_shard.labels
        method = EvaluationMethod.from_cfg(self.cfg, labels)
        own, failure, results = None, None, None
        self.learner.agree_on_buffers()
        try:
            with self.stop.interrupting():
                own = extract_features(
                    self.learner.eval_model,
                    self.eval_loader,
                    device=self.device,
                    flip=method.flip,
                    known_origins=self.known_origins,
                    check_stop=self.stop.check,
                )
        except (TrainerError, DatasetError) as error:
            failure = without_traceback(error)
        except Stopped:  # in all processes together
            pass
        self.group.raise_on_all(failure, self.stop.signum)
        assert own is not None
        extracted = self.eval_shard.all_gather(own)
        queries, gallery = count_unreadable(extracted[1], self.num_query)
        if queries or gallery:
            self.log.info(
                "Left out, since they cannot be read: %d of %d queries, %d of %d gallery images",
                queries,
                self.num_query,
                gallery,
                len(extracted[1]) - self.num_query,
            )
        if self.group.is_first:
            try:
                with self.stop.interrupting():
                    results = evaluate(extracted, self.num_query, epoch=epoch, method=method, labels=labels)
            except TrainerError as error:
                failure = without_traceback(error)
            except Stopped:
                pass
        self.group.raise_on_all(failure, self.stop.signum)
        found: Results = self.group.all_gather_objects(results)[0]
        return found

    def _measure_time(self) -> Cost | None:
        """Measures the time of a forward pass in rank 0, with the first evaluation of this process; None later on."""
        if self._timed:
            return None
        self._timed = True
        try:
            with self.stop.interrupting():
                return measure_time(
                    self.learner.eval_model,
                    self.cfg.INPUT.SIZE_TEST,
                    batch=self.cfg.TEST.IMS_PER_BATCH,
                    device=self.device,
                )
        except Stopped:  # the results count, and the run stops before its next batch
            return None

    def _save(self) -> None:
        """Writes a checkpoint of the current progress, once, in rank 0."""
        progress = astuple(self.progress)
        if progress == self._saved:
            return
        if not self.group.is_first:
            self._saved = progress
            return
        state = {
            **self.learner.state(),
            "rng": rng_state(),
            "progress": asdict(self.progress),
            "means": self.means.state(),
            "num_classes": self.num_classes,
            "config": self.cfg.dump(),
            **({"preparation": self.preparing.state()} if self.preparing else {}),
        }
        with self.stop.writing():
            path = save_checkpoint(self.output_dir, state)
        self._saved = progress
        self.log.info("Checkpoint: %s", path)

    def _load(self, state: State) -> None:
        """Restores the state of a checkpoint; ConfigError where the data set has another number of identities."""
        if state["num_classes"] != self.num_classes:
            raise ConfigError(
                f"the run in OUTPUT_DIR {self.cfg.OUTPUT_DIR} was trained on {state['num_classes']} identities, the"
                f" data set now has {self.num_classes}: give another OUTPUT_DIR"
            )
        self.learner.load(state, saved_config(state["config"]))
        self.progress = Progress.from_state(state["progress"])
        self.means.load(state["means"])
        if self.preparing:
            self.preparing.load(state["preparation"], self.progress.iteration)
        set_rng_state(state["rng"])
