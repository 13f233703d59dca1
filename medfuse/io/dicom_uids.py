"""Step 7 of 8, write: the unique identifiers of what is written, new at each run or the same again."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

_NAMESPACE = uuid.UUID("6c3d5f0e-6a77-5d0c-9d0f-0a7d0b6a9a11")
_OF_THE_STANDARD = "1.2.840.10008."

IMPLEMENTATION_UID = f"2.25.{uuid.uuid5(_NAMESPACE, 'implementation').int}"


@dataclass(frozen=True)
class Uids:
    """Makes the UIDs of one run: each is a function of the run's seed and of what it is for.

    Attributes:
        seed: whatever tells this run from all others.
    """

    seed: str

    @classmethod
    def random(cls) -> Uids:
        """Make UIDs that no other run has."""
        return cls(uuid.uuid4().hex)

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> Uids:
        """Make the same UIDs whenever a run is told the same: UIDs of its inputs, its options, its voxels."""
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return cls(digest.hexdigest())

    def new(self, *purpose: object) -> str:
        """Return the UID of one thing, such as ``new("fused", 3)``; asked again, it is the same."""
        return _uid("\0".join(("new", self.seed, *map(str, purpose))))

    def replaced(self, uid: str) -> str:
        """Return the UID that stands for another one in this run; those of the standard stay as they are."""
        return uid if uid.startswith(_OF_THE_STANDARD) else _uid("\0".join(("old", self.seed, uid)))


def _uid(name: str) -> str:
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
