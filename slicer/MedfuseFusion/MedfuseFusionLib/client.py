"""Speaks to a MONAI Label server that serves medfuse; needs Python 3.9 and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen


class ServerError(Exception):
    """What a server says when it does not do what it was asked.

    Attributes:
        status: the HTTP status, or 0 if no server answers.
        reason: one line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class FusionClient:
    """A client of one server.

    Args:
        server: its address, such as ``http://127.0.0.1:8000``.
        timeout_s: the longest wait for an answer; a fusion takes from seconds to minutes.
    """

    def __init__(self, server: str, timeout_s: float = 900.0) -> None:
        if not server.startswith(("http://", "https://")):
            raise ServerError(0, f"{server!r} is no address of a server; it begins with http:// or https://")
        self._server = server.rstrip("/")
        self._timeout_s = timeout_s

    def images(self) -> list[str]:
        """Return the ids of all images of the server."""
        return sorted(self._json("GET", "/datastore/?output=all")["objects"])

    def pairs(self, image_id: str) -> list[dict[str, str]]:
        """Return the pairs that the server proposes for an image: ``fixed``, ``moving`` and their modalities."""
        return list(self._json("POST", f"/infer/pairs?image={quote(image_id)}")["pairs"])

    def upload(self, path: Path, image_id: str, modality: str | None = None) -> str:
        """Give the server an image, and return the id that it has there.

        Args:
            path: a NIfTI file.
            image_id: what to call it.
            modality: MR, CT, PT or NM, if that is known.
        """
        said = {} if modality is None else {"Modality": modality}
        body, kind = _form({"params": json.dumps(said)}, {"file": path})
        return str(self._json("PUT", f"/datastore/image?image={quote(image_id)}", body, kind)["image"])

    def remove(self, image_id: str) -> None:
        """Have the server forget an image."""
        self._json("DELETE", f"/datastore/image?id={quote(image_id)}")

    def fuse(self, fixed: str, moving: str, output: Path, params: Mapping[str, Any]) -> dict[str, Any]:
        """Fuse two images of the server.

        Args:
            fixed: id of the image whose grid the result has.
            moving: id of the other one.
            output: the ``.nii.gz`` file to write.
            params: see the page on MONAI Label.

        Returns:
            What the server says about the result: verdict, metrics, notes, record.

        Raises:
            ServerError: with the server's reason.
        """
        body, kind = _form({"params": json.dumps({**params, "moving": moving})}, {})
        answer, answered = self._ask("POST", f"/infer/fusion?image={quote(fixed)}&output=all", body, kind)
        parts = _parts(answer, answered)
        if not {"params", "image"} <= parts.keys():
            raise ServerError(0, "the server sent no image; look whether it serves medfuse")
        output.write_bytes(parts["image"])
        return dict(json.loads(parts["params"]))

    def _json(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> dict[str, Any]:
        answer, _ = self._ask(method, path, body, kind)
        return dict(json.loads(answer))

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> tuple[bytes, str]:
        headers = {} if kind is None else {"Content-Type": kind}
        request = Request(f"{self._server}{path}", data=body, headers=headers, method=method)
        try:
            with urlopen(request, timeout=self._timeout_s) as answer:
                return answer.read(), str(answer.headers.get("Content-Type", ""))
        except HTTPError as error:
            raise ServerError(error.code, _reason(error)) from None
        except (URLError, OSError) as error:
            raise ServerError(0, f"no server answers at {self._server} ({getattr(error, 'reason', error)})") from None


def _reason(error: HTTPError) -> str:
    """Return what the server says, in one line."""
    said = error.read()
    try:
        detail = json.loads(said)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = said.decode("utf-8", "replace")
    return " ".join(str(detail).split())


def _form(fields: Mapping[str, str], files: Mapping[str, Path]) -> tuple[bytes, str]:
    """Return the body of a form, and its content type."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, text in fields.items():
        parts += [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode(), text.encode()]
        parts.append(b"\r\n")
    for name, path in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{path.name}"'
        parts.append(f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode())
        parts += [path.read_bytes(), b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _parts(body: bytes, content_type: str) -> dict[str, bytes]:
    """Return the parts of a multipart answer by name."""
    message: Message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    found = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if name is not None:
            found[str(name)] = bytes(part.get_payload(decode=True))
    return found
