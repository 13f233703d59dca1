"""Evaluation: what a comparison of methods depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medfuse.errors import OptionError
from medfuse.options import METHODS, check_choice

SUITES = ("published", "sound")


@dataclass(frozen=True)
class BenchmarkOptions:
    """Everything that ``benchmark_fusion`` depends on, beside the data.

    Attributes:
        second: folder of the other modality, if the data is two folders of files with equal names.
        part: of a split, ``"train"`` or ``"validation"``.
        methods: networks and rules to compare, with the weights that are shipped; the rules take part always.
        weights: further weights files, each ``"PATH"``, or ``"METHOD=PATH"``; see ``contestants``.
        number: about how many pairs, evenly spread over the collections; 0 for all.
        oracle: on how many pairs of each collection to optimize the pixels themselves; 0 for none.
        suites: which of ``"published"`` and ``"sound"``.
        device: where networks run.
        jobs: processes that compute scores.
        overwrite: replace an earlier result.
    """

    second: Path | None = None
    part: str = "validation"
    methods: tuple[str, ...] = METHODS
    weights: tuple[str, ...] = ()
    number: int = 0
    oracle: int = 0
    suites: tuple[str, ...] = SUITES
    device: str = "auto"
    jobs: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        for method in self.methods:
            check_choice("method", method, METHODS)
        for suite in self.suites:
            check_choice("suite", suite, SUITES)
        for name, value, least in (("number", self.number, 0), ("oracle", self.oracle, 0), ("jobs", self.jobs, 1)):
            if value < least:
                msg = f"{name} is {value}; give a whole number of at least {least}"
                raise OptionError(msg)
