"""A file of this machine on its way to a node: in frames, going on where it broke off."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from fifo.cli.files import opened
from fifo.cli.progress import Progress
from fifo.model.errors import NotReady
from fifo.v1 import image_service_pb2, image_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.cli.client import Client

FRAME_BYTES: Final = 512 * 1024
"""Half of what a frame may hold."""
ATTEMPTS: Final = 5
"""Streams for one file; a line that breaks more often would not bring it over."""
PAUSE_S: Final = 0.5


def upload(client: Client, file: str, *, quiet: bool) -> Any:
    """Send a file and give the node's answer, with its `upload_id`.

    Raises NotReady, LocalFileError.
    """
    upload_id = str(uuid.uuid4())
    offset = 0
    with opened(file) as stream, Progress(quiet=quiet) as progress:
        whole = stream.seek(0, 2)
        stub = image_service_pb2_grpc.ImageServiceStub(client.channel)
        for attempt in range(ATTEMPTS):
            frames = _frames(stream, upload_id, whole, offset, progress)
            try:
                answer = stub.UploadImage(frames, metadata=client.metadata)
            except grpc.RpcError as error:
                here = _offset(error)
                gone = error.code() == grpc.StatusCode.UNAVAILABLE
                if attempt + 1 == ATTEMPTS or not (gone or here is not None):
                    raise
                offset = offset if here is None else here
                time.sleep(PAUSE_S)
                continue
            if answer.size_bytes >= whole:
                return answer
            offset = answer.size_bytes
    raise NotReady(f"only {offset} of {whole} bytes arrived", file, "try again")


def _frames(
    stream: BinaryIO, upload_id: str, whole: int, offset: int, progress: Progress
) -> Iterator[Any]:
    opening = image_service_pb2.UploadImageRequest()
    opening.open.upload_id = upload_id
    opening.open.size_bytes = whole
    opening.open.offset_bytes = offset
    yield opening
    stream.seek(offset)
    while data := stream.read(FRAME_BYTES):
        progress.show("upload", "", 100 * stream.tell() // max(1, whole))
        yield image_service_pb2.UploadImageRequest(data=data)


def _offset(error: Any) -> int | None:
    """Read where a node says that a broken upload goes on; None if it says nothing of that."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.reason == "WRONG_OFFSET":
            return int(info.metadata["offset_bytes"])
    return None
