"""Words for every trial, behind any option and in every style of trainer."""

from __future__ import annotations

import pytest

from yacs_sweep.launch.options.read import parse


@pytest.mark.parametrize(
    ("words", "trailing"),
    [
        (["TRAIN.LR", "0.1"], ["TRAIN.LR", "0.1"]),
        (["train.lr", "0.1"], ["train.lr", "0.1"]),
        (["model.lr=0.1", "+x=1"], ["model.lr=0.1", "+x=1"]),
        (["--count", "2", "a=b"], ["a=b"]),
        (["--", "--epochs=3", "--amp"], ["--epochs=3", "--amp"]),
        (["--count", "2", "a=b", "--", "--epochs=3"], ["a=b", "--epochs=3"]),
    ],
)
def test_where_the_list_of_sweep_files_ends(words: list[str], trailing: list[str]) -> None:
    options = parse(["--sweep-config", "a.yaml", "b.yml", *words])
    assert options.sweep_config == ["a.yaml", "b.yml"]
    assert options.trailing == trailing
