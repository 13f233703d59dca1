"""Show a fused series of a phantom patient in OHIF, from a real Orthanc, and keep a picture of it.

    npm pack @ohif/app && tar xzf ohif-app-*.tgz
    pip install playwright  # drives the Chromium of the system
    PYTHONPATH=tests:tests/integration python tests/benchmarks/picture_ohif.py package/dist docs/images/ohif.png

Everything listens on the loopback interface only.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
from orthanc import Orthanc, running_orthanc
from playwright.sync_api import sync_playwright

from medfuse import FusionOptions, PhantomOptions, fuse_volumes, make_phantom, write_phantom

CONFIG = """
window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc', name: 'Orthanc',
      wadoUriRoot: '/dicom-web', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: false, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
    },
  }],
};
"""
SECONDS_TO_DRAW, SLICE = 10, 18
SHARED_MEMORY = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class Viewer(SimpleHTTPRequestHandler):
    """Serves OHIF, hands requests for images on to the archive, and answers any other page with the application."""

    def __init__(self, *arguments: object, archive: Orthanc, **named: object) -> None:
        self.archive = archive
        super().__init__(*arguments, **named)

    def end_headers(self) -> None:
        for name, value in SHARED_MEMORY.items():
            self.send_header(name, value)
        super().end_headers()

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web"):
            self._hand_on()
            return
        if self.path.startswith("/app-config.js"):
            self._answer(200, "text/javascript", CONFIG.encode())
            return
        if not Path(self.translate_path(self.path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def _hand_on(self) -> None:
        asked = urllib.request.Request(
            self.archive.http + self.path, headers={"Accept": self.headers["Accept"] or "*/*"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as found:
                self._answer(found.status, found.headers["Content-Type"], found.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, "text/plain", error.read())

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def store(archive: Orthanc, folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        request = urllib.request.Request(f"{archive.http}/instances", data=path.read_bytes(), method="POST")
        urllib.request.urlopen(request, timeout=30).close()


def main(viewer: Path, picture: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_phantom(make_phantom(PhantomOptions(volumes=("MR_T1", "PT"))), folder / "patient")
        series = folder / "patient" / "dicom"
        fuse_volumes(series / "MR_T1", series / "PT", FusionOptions(output=folder / "fused", method="cddfuse-fast"))
        with running_orthanc(folder) as archive:
            store(archive, folder / "fused")
            store(archive, series / "MR_T1")
            study = pydicom.dcmread(next((series / "MR_T1").glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID
            handler = partial(Viewer, archive=archive, directory=str(viewer))
            with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                take_picture(f"http://127.0.0.1:{server.server_port}/viewer?StudyInstanceUIDs={study}", picture)
                server.shutdown()


def take_picture(address: str, picture: Path) -> None:
    options = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.goto(address, timeout=120_000)
        page.get_by_text("Skip all").click(timeout=120_000)  # the tour of the viewer
        page.get_by_text("Confirm and hide").click(timeout=60_000)
        page.get_by_text("Fused MR + PT col").first.dblclick(timeout=60_000)
        page.wait_for_timeout(SECONDS_TO_DRAW * 1000)
        for _ in range(SLICE):
            page.keyboard.press("ArrowDown")
            page.wait_for_timeout(300)
        page.wait_for_timeout(SECONDS_TO_DRAW * 1000)
        page.screenshot(path=str(picture))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
