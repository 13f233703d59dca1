"""Scores of a network beside the trivial rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medfuse.cli.validate import validate
from medfuse.errors import UnreadableFileError
from medfuse.io.slice_sets import read_split
from medfuse.networks import CDDFuse, CDDFuseConfig, save_weights
from medfuse.networks.rules import RULES
from medfuse.options import METHODS
from medfuse.training import score_methods
from medfuse.training.slice_pairs import read_pairs
from medfuse.training.validation import score


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1)), path, {})
    return path


def test_every_method_is_scored_on_every_collection(slices: Path, weights: Path) -> None:
    scores = score_methods(slices, weights=str(weights), device="cpu")
    assert tuple(scores) == METHODS
    assert all(set(by_collection) == {"CT-MRI", "PET-MRI"} for by_collection in scores.values())
    pairs = read_pairs(read_split(slices, "validation"), 41)
    assert scores["max"] == score(RULES["max"], pairs)
    assert scores["max"] != scores["average"]


def test_the_part_and_number_choose_the_pairs(slices: Path, weights: Path) -> None:
    train = score_methods(slices, "train", str(weights), device="cpu")
    assert train["max"] != score_methods(slices, "validation", str(weights), device="cpu")["max"]
    assert train["max"] != score_methods(slices, "train", str(weights), number=2, device="cpu")["max"]
    with pytest.raises(UnreadableFileError):
        score_methods(slices, "holdout", str(weights), device="cpu")


def test_the_command_prints_a_table_or_json(slices: Path, weights: Path) -> None:
    app = typer.Typer()
    app.command()(validate)
    words = [str(slices), "--weights", str(weights), "--device", "cpu"]
    table = CliRunner().invoke(app, words).stdout
    assert all(method in table for method in METHODS)
    printed = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    expected = score_methods(slices, weights=str(weights), device="cpu")
    assert printed == expected
    assert f"{expected['max']['CT-MRI']['edge_transfer']:.3f}" in table
