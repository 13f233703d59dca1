"""Evaluation: finished trials, kept beside the output so that an interrupted comparison goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medfuse.errors import OutputError
from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_rows import TrialRow
from medfuse.io.checks import shown

_ENDING = ".trials.jsonl"


class TrialLog:
    """A file of JSON lines: first what the rows depend on, then a row in each.

    Args:
        output: the folder that the comparison will write; the log lies beside it.
        depends_on: what all rows must have in common, such as the seed.

    Raises:
        OutputError: if a log is there that depends on something else, or that is damaged.
    """

    def __init__(self, output: Path, depends_on: dict[str, Any]) -> None:
        self.path = output.with_name(output.name + _ENDING)
        self._head = json.dumps(depends_on, sort_keys=True)
        self.rows = self._read() if self.path.exists() else []

    def append(self, rows: Sequence[TrialRow]) -> None:
        """Add rows and bring them to the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(self._head + "\n")
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
        self.rows += rows

    def remove(self) -> None:
        """Delete the file; its rows are in the output."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> list[TrialRow]:
        content = self.path.read_text(encoding="utf-8", errors="replace")
        whole, _, torn = content.rpartition("\n")
        lines = whole.split("\n") if whole else []
        if lines and lines[0] != self._head:
            msg = f"{shown(self.path)} is of another comparison; delete it, or choose another output"
            raise OutputError(msg)
        if torn or not lines:  # the last line was being written when the run ended
            self.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        try:
            return [_row(json.loads(line)) for line in lines[1:]]
        except (ValueError, TypeError, KeyError) as error:
            msg = f"{shown(self.path)} is damaged ({type(error).__name__}); delete it, or choose another output"
            raise OutputError(msg) from error


def _row(fields: dict[str, Any]) -> TrialRow:
    return TrialRow(**{**fields, "cell": Cell(**fields["cell"])})
