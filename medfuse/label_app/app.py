"""The app that MONAI Label serves; a served folder's ``main.py`` imports it from here."""

from __future__ import annotations

import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

from dicomweb_client.session_utils import create_session_from_user_pass
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMwebClientX
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.train import TrainTask

from medfuse.label_app.datastores import ArchiveDatastore, FolderDatastore
from medfuse.label_app.fusion_task import FusionTask
from medfuse.label_app.fusion_training import FusionTraining
from medfuse.label_app.images import NotStoredError
from medfuse.label_app.pairs_task import PairsTask
from medfuse.label_app.refusals import refusals
from medfuse.label_app.verdict_scoring import VerdictScoring


class FusionApp(MONAILabelApp):  # type: ignore[misc]
    """Fuses images of a datastore for viewers; see the page on MONAI Label.

    Args:
        app_dir: the folder that is served.
        studies: the folder of images, or the address of an archive's DICOMweb service.
        conf: what the server was started with.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._results = tempfile.TemporaryDirectory(prefix="medfuse-results-")  # goes when the server does
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="medfuse",
            description="Fuse two volumes of one patient into one that can be checked; not a medical device",
            version="1",
        )

    def init_datastore(self) -> Datastore:
        """Open the folder or the archive."""
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        return FolderDatastore(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Return what ``/infer/NAME`` does."""
        app_folder, results = Path(self.app_dir), Path(self._results.name)
        return {
            "fusion": FusionTask(self.datastore(), app_folder, results),
            "pairs": PairsTask(self.datastore()),
        }

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return what ``/train/NAME`` does."""
        return {"fusion": FusionTraining(Path(self.app_dir))}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Return what ``/scoring/NAME`` does."""
        return {"verdict": VerdictScoring()}

    def info(self) -> dict[str, Any]:
        """Say what there is: tasks, and how many images."""
        with refusals():
            return dict(super().info())

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run a task on images that are named by their ids.

        Args:
            request: the task's name as ``model``, the id of an image, and parameters.
            datastore: not used: images come from the one that is served.

        Raises:
            HTTPException: with the reason in one line.
        """
        with refusals():
            file, told = _named(self._infers, request.get("model"), "infer task")(request)
        return {"file": file, "label": file, "tag": "", "params": told}

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> NoReturn:
        """Refuse pathology slides."""
        raise HTTPException(HTTPStatus.NOT_FOUND, "this app fuses volumes and has nothing for slides")

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> NoReturn:
        """Refuse to fuse every image of the datastore with one."""
        raise HTTPException(HTTPStatus.NOT_FOUND, "fusions are asked for one by one; the task pairs lists what fits")

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a train task; see ``infer``."""
        with refusals():
            done = _named(self._trainers, request.get("model"), "train task")(request, self.datastore())
        return dict(done)

    def scoring(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run a scoring method; see ``infer``."""
        with refusals():
            method = _named(self._scoring_methods, request.get("method"), "scoring method")
            return dict(method(request, self.datastore()))

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Score when somebody asks for it, and not at every start: registering a whole archive takes hours."""
        return {} if method is None else dict(super().async_scoring(method, params))

    def _init_dicomweb_datastore(self) -> Datastore:
        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        client = DICOMwebClientX(
            url=self.studies,
            session=create_session_from_user_pass(user, password) if user and password else None,
            qido_url_prefix=settings.MONAI_LABEL_QIDO_PREFIX,
            wado_url_prefix=settings.MONAI_LABEL_WADO_PREFIX,
            stow_url_prefix=settings.MONAI_LABEL_STOW_PREFIX,
        )
        client.set_http_retry_params(max_attempts=2)  # while it waits, the server answers nobody
        return ArchiveDatastore(
            client,
            settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER,
            settings.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip() or None,
            settings.MONAI_LABEL_DICOMWEB_FETCH_BY_FRAME,
            settings.MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI,
        )


def _named(tasks: dict[str, Any], name: object, kind: str) -> Any:
    if isinstance(name, str) and name in tasks:
        return tasks[name]
    msg = f"there is no such {kind}; choose one of {', '.join(tasks)}"
    raise NotStoredError(msg)
