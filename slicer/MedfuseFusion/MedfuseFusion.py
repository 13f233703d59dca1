"""3D Slicer module: fuse two loaded volumes on a MONAI Label server that serves medfuse."""

from __future__ import annotations

from pathlib import Path

import ctk
import qt
from MedfuseFusionLib.client import FusionClient, ServerError
from MedfuseFusionLib.logic import FusionLogic, in_words
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget as Widget

import slicer

REGISTRATIONS = ("rigid", "affine", "deformable", "verify", "none")
METHODS = ("auto", "cddfuse", "cddfuse-fast", "max", "average", "laplacian")
SERIES_TAG, MODALITY_TAG = "0020,000e", "0008,0060"


class MedfuseFusion(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Medfuse Fusion"
        parent.categories = ["Registration"]
        parent.contributors = ["The medfuse authors"]
        parent.helpText = "Fuse two volumes of one patient into one that can be checked. Not a medical device."


class MedfuseFusionWidget(Widget):
    """The panel: two volumes, a server, a button, and what the server says."""

    def setup(self):
        """Build the panel."""
        Widget.setup(self)
        box = ctk.ctkCollapsibleButton()
        box.text = "Fuse"
        self.layout.addWidget(box)
        form = qt.QFormLayout(box)
        self.server = qt.QLineEdit("http://127.0.0.1:8000")
        self.fixed, self.moving = self._selector(), self._selector()
        self.method, self.registration = self._choice(METHODS), self._choice(REGISTRATIONS)
        self.accept = qt.QCheckBox()
        rows = {
            "Server": self.server,
            "Fixed volume": self.fixed,
            "Moving volume": self.moving,
            "Method": self.method,
            "Registration": self.registration,
            "Accept a failed registration": self.accept,
        }
        for label, widget in rows.items():
            form.addRow(label, widget)
        button = qt.QPushButton("Fuse")
        button.connect("clicked(bool)", self.on_fuse)
        form.addRow(button)
        self.said = qt.QLabel()
        self.said.wordWrap = True
        form.addRow(self.said)
        self.layout.addStretch(1)

    def on_fuse(self, _checked=False):
        """Fuse the two chosen volumes and show the result, or say why not."""
        fixed, moving = self.fixed.currentNode(), self.moving.currentNode()
        if fixed is None or moving is None:
            self.said.text = "Choose two volumes."
            return
        params = {
            "method": self.method.currentText,
            "registration": self.registration.currentText,
            "accept_registration": bool(self.accept.checked),
        }
        self.said.text = "Fusing ..."
        try:
            with slicer.util.WaitCursor():
                result, told = MedfuseFusionLogic().fuse(self.server.text, fixed, moving, params)
        except ServerError as error:
            self.said.text = str(error)
            return
        self.said.text = in_words(told)
        slicer.util.setSliceViewerLayers(background=result, fit=True)

    def _selector(self):
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.addEnabled = selector.removeEnabled = False
        selector.setMRMLScene(slicer.mrmlScene)
        return selector

    def _choice(self, names):
        choice = qt.QComboBox()
        choice.addItems(list(names))
        return choice


class MedfuseFusionLogic(ScriptedLoadableModuleLogic):
    """The logic as Slicer looks for it; the work is done in ``MedfuseFusionLib``."""

    def fuse(self, server, fixed, moving, params):
        """Fuse two volume nodes; return the node of the result and what the server says about it."""
        return FusionLogic(FusionClient(server), SlicerScene()).fuse(fixed, moving, params)


class SlicerScene:
    """The scene that is open in Slicer."""

    def name(self, volume):
        """Return the name of a volume node."""
        return volume.GetName()

    def series_uid(self, volume):
        """Return the SeriesInstanceUID of a volume that was loaded from the DICOM database."""
        return self._header(volume, SERIES_TAG)

    def modality(self, volume):
        """Return the modality of a volume that was loaded from the DICOM database."""
        return self._header(volume, MODALITY_TAG)

    def save(self, volume, path):
        """Write a volume node as NIfTI."""
        if not slicer.util.saveNode(volume, str(path)):
            raise ServerError(0, "Slicer could not write the volume; save it by hand to see why")

    def load(self, path, name):
        """Load a file as a scalar volume."""
        return slicer.util.loadVolume(str(path), {"name": name, "labelmap": False, "singleFile": True})

    def _header(self, volume, tag):
        instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
        if not instances:
            return None
        path = slicer.dicomDatabase.fileForInstance(instances[0])
        return slicer.dicomDatabase.fileValue(path, tag) if path and Path(path).is_file() else None
