"""Use of a trained network: test on data sets, draw ranked lists, extract features of any images."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from yacs.config import CfgNode

from data import ReIDDataset
from data.build import build_eval_loader, build_folder_loader, build_test_datasets
from data.datasets.listing import Ignored, ignored_note, walk_images
from data.loading import UNREADABLE
from data.settings import dataset_names, tested_names
from engine.config import flatten
from engine.cost import measure_time, measure_work
from engine.evaluation.evaluate import EvaluationMethod, Ranked, Results, rank_all
from engine.evaluation.features import extract_features, knows_origins
from engine.evaluation.protocols import Labels, protocol_notes, protocol_of, require_matches
from engine.evaluation.ranked_lists import ListedImage, RankedList, draw_lists, html_page
from engine.evaluation.results_files import ResultFiles, SetResults
from engine.output_dir import BEST_NAME, list_checkpoints
from engine.saved_settings import saved_config, settings_for_use
from modeling.model import ReIDModel, build_model, origin_counts, resolve_device
from modeling.pretrained import class_count, load_reid_weights
from modeling.weights.files import read_settings, read_state_dict
from utils.errors import ConfigError, TrainerError
from utils.files import cannot_write, require_writable, write_atomically
from utils.logger import NAME
from utils.progress import with_progress_bar

TOP = 10  # gallery images shown for a query
PICTURE_LISTS = 100  # in one picture, of 15,600 pixels then: viewers and memory end where a page does not


def find_weights(cfg: CfgNode, weights: str) -> str:
    """Finds the file of weights to use; arguments: `load_model`.

    Raises:
        ConfigError: OUTPUT_DIR holds none.
    """
    if path := weights or cfg.TEST.WEIGHT:
        if path != "best":
            return str(path)
        best = Path(cfg.OUTPUT_DIR) / BEST_NAME
        if not best.exists():
            raise ConfigError(
                f"no best weights: {best} does not exist; evaluations write it, with SOLVER.KEEP_BEST True"
            )
        return str(best)
    checkpoints = list_checkpoints(Path(cfg.OUTPUT_DIR))
    if not checkpoints:
        raise ConfigError(f"no weights: give --weights or TEST.WEIGHT; {cfg.OUTPUT_DIR} holds no checkpoint")
    return str(checkpoints[0])


def load_model(cfg: CfgNode, weights: str) -> tuple[ReIDModel, torch.device]:
    """Loads the network of `cfg` with the weights of a file, in evaluation mode.

    Args:
        cfg: the configuration.
        weights: a file, or "best" for the best weights in OUTPUT_DIR; empty: TEST.WEIGHT, else the newest checkpoint there.
    Returns:
        The network and the device it is on.
    Raises:
        TrainerError: no weights, or weights of another network; MODEL.DEVICE is not available.
    """
    path = find_weights(cfg, weights)
    try:
        device = resolve_device(cfg.MODEL.DEVICE)
    except ValueError as error:
        raise ConfigError(f"MODEL.DEVICE: {error}") from None
    state = read_state_dict(path)
    model = build_model(cfg, class_count(state) or 1, *origin_counts(cfg, state))
    line = load_reid_weights(model, state, path, for_training=False)
    if line != f"Using the weights of {path}":  # as they are
        logging.getLogger(NAME).info("%s", line)
    return model.to(device).eval(), device


def with_checkpoint_settings(cfg: CfgNode, path: str, given: Collection[str]) -> CfgNode:
    """Takes the settings of a checkpoint for the network and its evaluation, and logs each difference.

    Args:
        cfg: the configuration.
        path: a checkpoint; of a file without settings, `cfg` is returned as it is.
        given: keys that were given on the command line and win.
    Raises:
        ConfigError: the file cannot be read.
    """
    saved = read_settings(path)
    if saved is None:
        return cfg
    combined, lines = settings_for_use(cfg, saved, given)
    for line in lines:
        logging.getLogger(NAME).info("%s", line)
    return combined


def test_run(
    cfg: CfgNode,
    weights: str,
    visualize: int,
    out: Path,
    say: Callable[[str], object] = print,
    files: ResultFiles = ResultFiles(),  # noqa: B008  immutable
    given: Collection[str] = (),
) -> None:
    """Tests a network on each data set of DATASETS.TEST_NAMES; prints what the network costs, then the results.

    Args:
        cfg: the configuration; a checkpoint's settings win over it (`with_checkpoint_settings`).
        weights: see `load_model`.
        visualize: number of ranked lists of each set to write into `out`: <set>.png and <set>.html.
        out: folder of these files.
        say: prints a line.
        files: the results are written to.
        given: keys of `cfg` that win over the checkpoint's settings.
    Raises:
        TrainerError, data.DatasetError: a network, a data set or the folder cannot be used.
    """
    files.require_writable()
    for name in tested_names(cfg) if visualize else ():
        for file in _list_files(out, name):
            require_writable(file, folder_given=True)
    weights = find_weights(cfg, weights)
    trained = _trained_name(cfg, weights)
    cfg = with_checkpoint_settings(cfg, weights, given)
    datasets = build_test_datasets(cfg)
    for dataset in datasets:
        require_matches(dataset, protocol_of(cfg, Labels.of(dataset)))
        for note in (*dataset.notes, *protocol_notes(cfg, dataset)):
            logging.getLogger(NAME).info("%s", note)
    model, device = load_model(cfg, weights)
    size = cfg.INPUT.SIZE_TEST
    costs = [measure_work(model, size), measure_time(model, size, batch=cfg.TEST.IMS_PER_BATCH, device=device)]
    for cost in costs:
        say(cost.line)
    tested = []
    for dataset in datasets:
        labels = Labels.of(dataset)
        method = EvaluationMethod.from_cfg(cfg, labels)
        loader, num_query = build_eval_loader(cfg, dataset, device=device)
        with with_progress_bar(loader, dataset.name, logging.getLogger(NAME)) as batches:
            known = knows_origins(model, dataset, trained, logging.getLogger(NAME).info)
            extracted = extract_features(model, batches, device=device, flip=method.flip, known_origins=known)
        if not torch.isfinite(extracted[0]).all():
            raise TrainerError("features are not finite")
        ranked = rank_all(extracted, num_query, method, labels)
        drawn = ranked.retrieval.gallery if method.protocol == "random_gallery" else None
        tested.append(SetResults(dataset, ranked.ranking, ranked.queries, ranked.retrieval.gallery, drawn))
        summary = _count_images(tested[-1])
        lines = Results.from_ranking(ranked.ranking, 0).metric_lines()
        say(f"{dataset.name}: {summary}; {method.describe()}")
        for line in lines:
            say(line)
        if visualize:
            lists = _ranked_lists(dataset, ranked, visualize)
            _write_lists(out, lists, dataset.name, f"{summary}; {method.describe()}; {', '.join(lines)}", say)
    metrics = {name: value for cost in costs for name, value in cost.metrics.items()}
    for path in files.write(tested, weights=weights, settings=flatten(cfg), cost=metrics):
        say(f"Results: {path}")


def _trained_name(cfg: CfgNode, path: str) -> str:
    """Names the first data set that weights were trained on: the checkpoint's, else the configuration's."""
    saved = read_settings(path)
    return dataset_names(cfg if saved is None else saved_config(saved))[0]


def _count_images(results: SetResults) -> str:
    """Counts queries and gallery images, and those that are left out of the results by reason."""
    compared, matched = len(results.queries), results.ranking.num_queries
    lost, lost_gallery = len(results.asked) - compared, results.gallery_size - len(results.gallery)
    parts = [f"{len(results.asked)} queries", f"{matched} with a match"]
    parts += [f"{compared - matched} without a match"] if compared > matched else []
    parts += [f"{lost} that cannot be read"] if lost else []
    parts += [f"{results.gallery_size} gallery images"]
    parts += [f"{lost_gallery} that cannot be read"] if lost_gallery else []
    return ", ".join(parts)


def _ranked_lists(dataset: ReIDDataset, ranked: Ranked, number: int) -> list[RankedList]:
    """Makes the ranked lists of `number` queries, evenly spaced over all queries."""
    retrieval, ranking = ranked.retrieval, ranked.shown
    places = _evenly_spaced(len(retrieval.queries), number)
    chosen = retrieval.queries[places].tolist()
    best = retrieval.nearest(set(chosen), TOP)
    samples = dataset.query + dataset.gallery

    def listed(number: int) -> ListedImage:
        sample = samples[number]
        person, camera = dataset.name_pid(sample.pid), dataset.name_camera(sample.camid)
        return ListedImage(sample.path, sample.pid, person, camera)

    return [
        RankedList(
            listed(query),
            [listed(image) for image in best[query].tolist()],
            float(ranking.average_precision[place]),
        )
        for place, query in zip(places, chosen, strict=True)
    ]


def _evenly_spaced(total: int, number: int) -> list[int]:
    """Chooses at most `number` of `total` positions, evenly spaced."""
    places: list[int] = np.unique(np.linspace(0, total - 1, min(number, total)).round().astype(int)).tolist()
    return places


def _list_files(out: Path, name: str) -> list[Path]:
    """Names the picture and the page of a data set's ranked lists."""
    stem = re.sub(r"[^\w.+-]", "_", name)
    return [out / f"{stem}.png", out / f"{stem}.html"]


def _write_lists(out: Path, lists: Sequence[RankedList], name: str, summary: str, say: Callable[[str], object]) -> None:
    """Writes the picture and the page of ranked lists, and says where they are."""
    picture, text = _list_files(out, name)
    drawn = [lists[place] for place in _evenly_spaced(len(lists), PICTURE_LISTS)]
    try:
        write_atomically(picture, lambda stream: draw_lists(drawn).save(stream, "PNG"))
        write_atomically(text, lambda stream: stream.write(html_page(lists, f"Ranked lists: {name}", summary).encode()))
    except OSError as error:
        raise cannot_write(picture, error) from None
    some = f" ({PICTURE_LISTS} of {len(lists)}; the page has all)" if len(lists) > PICTURE_LISTS else ""
    say(f"Ranked lists: {picture}{some}")
    say(f"Ranked lists: {text}")


def extract_run(cfg: CfgNode, weights: str, images: Path, out: Path, given: Collection[str] = ()) -> tuple[int, int]:
    """Writes the features of all images in a folder and the folders below.

    The file `out`, in numpy's npz format, holds `features` [N, D] float32, as TEST says they are compared, and `paths`
    [N], relative to the folder, sorted; images that cannot be read are logged and left out.

    Args:
        cfg: the configuration; a checkpoint's settings win over it (`with_checkpoint_settings`).
        weights: see `load_model`.
        images: the folder.
        out: the file to write.
        given: keys of `cfg` that win over the checkpoint's settings.
    Returns:
        N and D.
    Raises:
        TrainerError, data.DatasetError: no features, or no file, could be made; no file is written.
    """

    ignored = Ignored()
    try:
        paths = sorted(os.path.join(images, path) for path in walk_images(images, ignored))
    except OSError as error:
        raise ConfigError(f"cannot read the folder {error.filename or images}: {error.strerror}") from None
    if not paths:
        raise ConfigError(f"no images in {images} or the folders below")
    require_writable(out)
    for note in ignored_note(str(images), ignored):
        logging.getLogger(NAME).info("%s", note)
    weights = find_weights(cfg, weights)
    cfg = with_checkpoint_settings(cfg, weights, given)
    model, device = load_model(cfg, weights)
    if model.takes_origins:
        logging.getLogger(NAME).info("Cameras and views are not known: the network takes the mean of its embeddings")
    method = EvaluationMethod.from_cfg(cfg)
    loader = build_folder_loader(cfg, paths, device=device)
    with with_progress_bar(loader, str(images), logging.getLogger(NAME)) as batches:
        features, pids, _ = extract_features(model, batches, device=device, flip=method.flip)
    if method.normalise:
        features = torch.nn.functional.normalize(features)
    readable = np.flatnonzero(pids != UNREADABLE)
    if not len(readable):
        raise ConfigError(f"none of the {len(paths)} images in {images} can be read")
    names = np.array([Path(paths[number]).relative_to(images).as_posix() for number in readable])
    content: dict[str, Any] = {"features": features.numpy()[readable], "paths": names}
    try:
        write_atomically(out, lambda stream: np.savez(stream, **content))
    except OSError as error:
        raise cannot_write(out, error) from None
    return len(readable), features.shape[1]
