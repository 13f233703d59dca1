"""How far registration methods lie from each other on aligned pairs, beside how far each lies from the headers.

    python tests/benchmarks/bench_consensus.py pairs.csv [--method medfuse elastix ants]

The headers of real scans are true only as far as the patient lay still. Where methods agree with each other better than
with the headers, the difference is the headers'. ``pairs.csv`` is that of ``medfuse benchmark registration``.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

from medfuse.evaluation.registration_pairs import read_file_pairs
from medfuse.evaluation.registration_rivals import RIVALS
from medfuse.evaluation.registration_subjects import study_of
from medfuse.registration.poses import displacement_mm

HEADERS = "headers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--method", nargs="+", default=["medfuse", "elastix", "ants"], choices=sorted(RIVALS))
    chosen = parser.parse_args()
    both = list(combinations([*chosen.method, HEADERS], 2))
    print("| pair |" + "|".join(f" {first} to {second}, mm " for first, second in both) + "|")
    print("|---|" + "--:|" * len(both))
    for pair in read_file_pairs(chosen.pairs):
        study = study_of(pair)
        found = {name: RIVALS[name](study, 1, 1).fixed_to_moving_ras for name in chosen.method}
        found[HEADERS] = study.fixed_to_moving_ras
        apart = (displacement_mm(found[first], found[second], study.points_mm) for first, second in both)
        print(f"| {pair.case} |" + "|".join(f" {each:.2f} " for each in apart) + "|", flush=True)


if __name__ == "__main__":
    main()
