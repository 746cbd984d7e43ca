"""Files of tools/test.py: the results of each data set as JSON, and of each query as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data import ReIDDataset
from data.datasets.base import Sample
from engine.evaluation.distances import IntArray
from engine.evaluation.evaluate import RANKS
from engine.evaluation.metrics import Ranking
from utils.errors import ConfigError
from utils.files import cannot_write, require_writable, write_atomically
from utils.text import printable

COLUMNS = ("set", "query", "pid", "camid", "AP", "INP", "rank", "note")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a text that begins so is a formula to a spreadsheet


@dataclass(frozen=True)
class SetResults:
    """Results of one data set: its ranking, and the numbers of the queries and gallery images that could be read.

    Queries are numbered from 0, and gallery images from the number of queries on. `drawn` is a gallery that a protocol has drawn
    among all images, of which each is a query in other draws.
    """

    dataset: ReIDDataset
    ranking: Ranking
    queries: IntArray
    gallery: IntArray
    drawn: IntArray | None = None

    @property
    def asked(self) -> tuple[Sample, ...]:
        """Returns the images that are queries, by their numbers, whether they can be read or not."""
        return self.dataset.query if self.drawn is None else self.dataset.query + self.dataset.gallery

    @property
    def gallery_size(self) -> int:
        """Counts the images of a gallery, whether they can be read or not."""
        return len(self.dataset.gallery) if self.drawn is None else len(self.drawn)


@dataclass(frozen=True)
class ResultFiles:
    """Files to write results to; None: not wanted."""

    json: Path | None = None
    csv: Path | None = None

    def require_writable(self) -> None:
        """Checks that the files can be written, before the work.

        Raises:
            ConfigError: one cannot, or both are the same.
        """
        if self.json is not None and self.json == self.csv:
            raise ConfigError(f"--json and --csv: both are {self.json}; give two files")
        for path in (self.json, self.csv):
            if path is not None:
                require_writable(path)

    def write(
        self, sets: Sequence[SetResults], *, weights: str, settings: Mapping[str, Any], cost: Mapping[str, float]
    ) -> list[Path]:
        """Writes the wanted files; returns their paths.

        Args:
            sets: the results of each data set.
            weights: the file that was tested.
            settings: by dotted key.
            cost: what the network costs: metrics of `engine.cost` by name.
        Raises:
            ConfigError: a file cannot be written.
        """
        written = []
        for path in (self.json, self.csv):
            if path is None:
                continue
            text = as_csv(sets) if path == self.csv else as_json(sets, weights=weights, settings=settings, cost=cost)
            try:
                write_atomically(path, partial(_write_text, text))
            except OSError as error:
                raise cannot_write(path, error) from None
            written.append(path)
        return written


def _write_text(text: str, stream: BinaryIO) -> None:
    stream.write(text.encode())


def as_json(sets: Sequence[SetResults], *, weights: str, settings: Mapping[str, Any], cost: Mapping[str, float]) -> str:
    """Writes the results of all data sets as JSON; shares are in percent, as in the log. Arguments: `ResultFiles.write`."""
    content = {
        "weights": printable(weights),
        "model": {name.removeprefix("model/"): value for name, value in cost.items()},
        "sets": [_of_set(results) for results in sets],
        "settings": {key: _plain(value) for key, value in settings.items()},
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _of_set(results: SetResults) -> dict[str, Any]:
    """Gives the results of one data set for JSON."""
    dataset, ranking = results.dataset, results.ranking
    return {
        "name": printable(dataset.name),
        "mAP": _percent(ranking.mAP),
        "mINP": _percent(ranking.mINP),
        "cmc": {str(rank): _percent(ranking.cmc[rank - 1]) for rank in RANKS},
        "curve": [_percent(share) for share in ranking.cmc],
        "queries": len(results.asked),
        "queries_with_match": ranking.num_queries,
        "queries_unreadable": len(results.asked) - len(results.queries),
        "gallery": results.gallery_size,
        "gallery_unreadable": results.gallery_size - len(results.gallery),
    }


def as_csv(sets: Sequence[SetResults]) -> str:
    """Writes one row a query, with the columns COLUMNS.

    AP and INP are in percent; rank is the place of the first match. Queries without a match, or that cannot be read, have none
    of the three, and a note that says so.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for results in sets:
        place_of = {int(query): place for place, query in enumerate(results.queries)}
        for number, query in enumerate(results.asked):
            dataset = results.dataset
            who = (dataset.name, query.path, dataset.name_pid(query.pid), dataset.name_camera(query.camid))
            writer.writerow([*map(_cell, who), *_of_query(results.ranking, place_of.get(number))])
    return out.getvalue()


def _of_query(ranking: Ranking, place: int | None) -> list[Any]:
    """Gives AP, INP, rank and note of the query at `place` of a ranking; None: it could not be read."""
    if place is None:
        return ["", "", "", "unreadable"]
    if np.isnan(ranking.average_precision[place]):
        return ["", "", "", "no match"]
    precision, penalty = ranking.average_precision[place], ranking.inverse_penalty[place]
    return [_percent(precision), _percent(penalty), int(ranking.first_match[place]), ""]


def _percent(share: float) -> float:
    return round(100 * float(share), 6)


def _cell(text: str) -> str:
    """Formats a text for CSV; one that a spreadsheet would take as a formula is quoted."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: Any) -> Any:
    """Converts a setting for JSON."""
    if isinstance(value, str):
        return printable(value)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
