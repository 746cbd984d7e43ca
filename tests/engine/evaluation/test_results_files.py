"""Results as JSON and CSV: texts that no program takes amiss. The rest is in tests/tools/test_testing.py."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np

from data import ReIDDataset
from data.datasets.base import Sample
from engine.evaluation.metrics import RankingMeter
from engine.evaluation.results_files import COLUMNS, SetResults, as_csv, as_json


def results(*paths: str) -> SetResults:
    """Results of a set in which every query's only match comes first, of two gallery images."""
    count = len(paths)
    query = tuple(Sample(path, 7, 0) for path in paths)
    gallery = (Sample("a", 7, 1), Sample("b", 8, 1))
    ids = (np.array([s.pid for s in query]), np.zeros(count, int), np.array([7, 8]), np.ones(2, int))
    meter = RankingMeter(*ids)
    meter.add(0, np.tile(np.array([[0.1, 0.2]], np.float32), (count, 1)))
    dataset = ReIDDataset("mine", (), query, gallery)
    return SetResults(dataset, meter.result(), np.arange(count), count + np.arange(2))


def test_odd_names_stay_one_cell_and_no_formula() -> None:
    paths = ["=cmd|'/c calc'!A1", "@sum", "-1", "\tx", 'a,"b"\nc', os.fsdecode(b"caf\xe9.jpg"), "plain.jpg"]
    rows = list(csv.reader(io.StringIO(as_csv([results(*paths)]))))
    assert tuple(rows[0]) == COLUMNS
    assert [row[1] for row in rows[1:]] == [
        *("'=cmd|'/c calc'!A1", "'@sum", "'-1", "'\tx", 'a,"b"\nc', "caf\\xe9.jpg", "plain.jpg")
    ]
    assert all(row[2:] == ["7", "1", "100.0", "100.0", "1", ""] for row in rows[1:])


def test_json_is_ascii_and_has_no_lone_surrogate() -> None:
    odd = os.fsdecode(b"caf\xe9")
    text = as_json([results("x")], weights=odd, settings={"A.B": (1, (odd,)), "C": odd}, cost={"model/gmacs": 4.5})
    content = json.loads(text)
    assert content["weights"] == "caf\\xe9" and content["model"] == {"gmacs": 4.5}
    assert content["settings"] == {"A.B": [1, ["caf\\xe9"]], "C": "caf\\xe9"}
    assert text.isascii() and "\\ud" not in text
    assert content["sets"][0]["mAP"] == 100.0 == content["sets"][0]["curve"][0]
