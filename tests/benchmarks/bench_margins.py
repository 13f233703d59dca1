"""How much of a picture's black margin could be counted instead of computed, at most, without changing a digit.

    python tests/benchmarks/bench_margins.py SLICES

A pixel of a map has the value of an endless black plane if all that the layers before it see is black in both sources
and lies within the picture. For each pair of SLICES (a folder with ``splits.json``) the share of such pixels is taken
for maps that see 1 to 27 pixels far, as those of CDDFuse do, and averaged over them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from medfuse.evaluation.pairs import read_image_pairs

FARTHEST = 27  # what the last map of CDDFuse sees on each side


def share_that_could_be_counted(black: NDArray[np.bool_]) -> float:
    """Return the share of pixels, 0 .. 1, averaged over the maps."""
    inside = np.pad(black, 1, constant_values=False)
    # How far it is black all around, within the picture.
    free = distance_transform_cdt(inside, metric="chessboard")[1:-1, 1:-1] - 1
    return float(np.mean([(free >= seen).mean() for seen in range(1, FARTHEST + 1)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slices", type=Path)
    shares = defaultdict(list)
    for pair in read_image_pairs(parser.parse_args().slices):
        shares[pair.collection].append(share_that_could_be_counted((pair.image == 0).all(dim=0).numpy()))
    print("| pairs | of them | share that could be counted, mean | largest |")
    print("|---|--:|--:|--:|")
    for collection, found in shares.items():
        print(f"| {collection} | {len(found)} | {np.mean(found):.1%} | {max(found):.1%} |")


if __name__ == "__main__":
    main()
