"""What happens when the button is pressed: two volumes of the scene become a third."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from MedfuseFusionLib.client import FusionClient


class Scene(Protocol):
    """What the logic needs of 3D Slicer; ``volume`` is whatever stands for a volume there."""

    def name(self, volume: Any) -> str:
        """Return what the user calls a volume."""

    def series_uid(self, volume: Any) -> str | None:
        """Return the SeriesInstanceUID of a volume that came from DICOM, else None."""

    def modality(self, volume: Any) -> str | None:
        """Return the modality of a volume, if that is known."""

    def save(self, volume: Any, path: Path) -> None:
        """Write a volume as NIfTI."""

    def load(self, path: Path, name: str) -> Any:
        """Load a file as a volume, not as a labelmap."""


class FusionLogic:
    """Fuses volumes of a scene on a server.

    Args:
        client: speaks to the server.
        scene: the scene.
    """

    def __init__(self, client: FusionClient, scene: Scene) -> None:
        self._client = client
        self._scene = scene

    def fuse(self, fixed: Any, moving: Any, params: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Fuse two volumes, and load the result into the scene.

        A series that the server's archive has is named by its UID. Anything else is sent there for the time of the
        fusion, and removed again.

        Args:
            fixed: the volume whose grid the result has.
            moving: the other one.
            params: see the page on MONAI Label.

        Returns:
            The fused volume, and what the server says about it.

        Raises:
            ServerError: with the server's reason.
        """
        sent: list[str] = []
        stored = self._client.images()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            try:
                ids = [self._id_of(volume, stored, folder, sent) for volume in (fixed, moving)]
                output = folder / "fused.nii.gz"
                told = self._client.fuse(ids[0], ids[1], output, params)
            finally:
                for image_id in sent:
                    self._client.remove(image_id)
            name = f"{self._scene.name(fixed)} + {self._scene.name(moving)}"
            return self._scene.load(output, name), told

    def _id_of(self, volume: Any, stored: list[str], folder: Path, sent: list[str]) -> str:
        uid = self._scene.series_uid(volume)
        if uid is not None and uid in stored:
            return uid
        path = folder / f"slicer-{uuid.uuid4().hex}.nii.gz"
        self._scene.save(volume, path)
        sent.append(self._client.upload(path, path.name[: -len(".nii.gz")], self._scene.modality(volume)))
        return sent[-1]


def in_words(told: Mapping[str, Any]) -> str:
    """Return what a user should read about a result, in a few lines."""
    verdict = told.get("verdict")
    if verdict is None:
        lines = ["The registration was not judged."]
    else:
        error = verdict["estimated_error_mm"]
        shown = "unknown" if error is None else f"{error:.1f} mm"
        lines = [f"Registration: {verdict['grade'].upper()}, estimated error {shown}.", *verdict["reasons"]]
    return "\n".join([*lines, *told.get("notes", [])])
