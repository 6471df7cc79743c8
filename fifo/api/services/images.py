"""ImageService."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from google.protobuf import empty_pb2

from fifo.api import accepting
from fifo.api.accepting import Work
from fifo.api.faults import Faults
from fifo.api.places import list_token
from fifo.api.resources import images
from fifo.api.resources.instances import from_table
from fifo.api.resources.values import etag, set_time
from fifo.api.services import reading
from fifo.api.services.instance_changes import state
from fifo.model import names
from fifo.model.errors import (
    InvalidInput,
    NoRoom,
    NotFound,
    Violation,
    WrongState,
)
from fifo.model.image import Image
from fifo.v1 import image_service_pb2
from fifo.workflows import images as workflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.api.uploads import Uploads

REGISTRY: Final = "docker://"
_REFERENCE: Final = re.compile(
    r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


class ImageService:
    """Get, List, Import, Upload, Delete and CreateFromInstance."""

    def __init__(self, backend: Backend, uploads: Uploads) -> None:
        self._backend = backend
        self._uploads = uploads
        self._collection = reading.Collection(
            names.IMAGES, backend.orders.images, self._make, images.Message.DESCRIPTOR
        )

    def _make(self, uid: str) -> images.Message | None:
        parts = images.capture(self._backend.catalog, uid)
        return None if parts is None else images.message(self._backend.catalog, parts)

    def get_image(self, request: image_service_pb2.GetImageRequest, call: Call) -> Any:
        """Give one image."""
        del call
        return reading.get(self._backend, self._collection, request)

    async def list_images(
        self, request: image_service_pb2.ListImagesRequest, call: Call
    ) -> image_service_pb2.ListImagesResponse:
        """Give one page, with where a watch goes on from it."""
        token = list_token(self._backend)
        page = await reading.page(self._backend, self._collection, request, call)
        return image_service_pb2.ListImagesResponse(
            images=page.messages, next_page_token=page.next_page_token, resume_token=token
        )

    async def import_image(
        self, request: image_service_pb2.ImportImageRequest, call: Call
    ) -> Message:
        """Have an image brought in."""
        if not request.upload_id:
            return await self._import(request, call, None)
        try:
            async with self._uploads.wanted(request.upload_id) as upload:
                return await self._import(request, call, upload)
        finally:
            # Another import of it that ended meanwhile left the file to this one.
            self._imported(request.upload_id)

    async def _import(
        self, request: image_service_pb2.ImportImageRequest, call: Call, upload: Path | None
    ) -> Message:
        # From here on nothing is awaited: another call with this request id comes before, or later.
        if (first := await accepting.repeated(self._backend, call)) is not None:
            return first
        image_format = from_table(images.FORMATS, request.format)
        image = self._described(request.image_id, request.image, image_format)
        faults, source = Faults(), ""
        faults.violations += images.mismatches(image, "image")
        try:
            with faults:
                source = self._source(request, image_format, upload, faults.violations)
        except NotFound:
            # That bytes are not there is told of a request that is right else.
            faults.refuse("ImportImage")
            raise
        faults.refuse("ImportImage")
        image = msgspec.structs.replace(
            image,
            source=source,
            sha256=request.sha256,
            size_bytes=request.max_size_bytes,
            unpacked_bytes=request.max_unpacked_size_bytes,
        )
        only_check = request.validate_only
        accepted = await self._accept("import_image", image, call, only_check=only_check)
        if request.upload_id and not only_check:
            self._follow(accepted, request.upload_id)
        return accepted

    def _follow(self, operation: Message, upload_id: str) -> None:
        """Have an upload thrown away when its image is there; a failed import may be repeated."""
        own = operation.name.rpartition("/")[2]
        ended = self._backend.operations.ended(own)
        ended.add_done_callback(lambda _: self._imported(upload_id))

    def _imported(self, upload_id: str) -> None:
        catalog = self._backend.catalog
        every = [entry.record for entry in catalog.images]
        self._uploads.imported(upload_id, every, len(catalog.hosts))

    async def create_image_from_instance(
        self, request: image_service_pb2.CreateImageFromInstanceRequest, call: Call
    ) -> Message:
        """Have an image made of what a stopped instance holds."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        source = backend.references.instance(request.instance, "instance").record
        image_format = "qcow2" if source.is_vm else "rootfs_tar"
        image = self._described(request.image_id, request.image, image_format)
        if wrong := images.mismatches(image, "image"):
            raise InvalidInput("CreateImageFromInstance", tuple(wrong))
        now = state(backend, source)
        if now != "stopped":
            raise WrongState(
                f"it is {now}", request.instance, "stop it first", details={"state": now}
            )
        brands = image.brands if request.image.brands else (source.brand,)
        image = msgspec.structs.replace(image, source="", from_instance=source.uid, brands=brands)
        return await self._accept("create_image", image, call, only_check=request.validate_only)

    async def delete_image(
        self, request: image_service_pb2.DeleteImageRequest, call: Call
    ) -> Message:
        """Have an image taken away from every host, if no instance is made of it."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        entry = reading.find_or_none(backend, self._collection, request.name)
        if entry is None and request.allow_missing:
            work = Work("delete_image", request.name, ())
            return await accepting.done_already(backend, call, work)
        entry = reading.find(backend, self._collection, request.name)
        accepting.check_etag(request.etag, etag(entry.raw), request.name)
        count = backend.catalog.usage.images[entry.record.uid]
        if count:
            raise WrongState(
                f"{count} instances are made from it",
                request.name,
                "delete these first",
                reason="IMAGE_IN_USE",
            )
        work = Work("delete_image", request.name, (entry.record.uid,), {})
        if request.validate_only:
            return accepting.only_validated(backend, call, work, empty_pb2.Empty())
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))

    async def upload_image(
        self, requests: AsyncIterator[image_service_pb2.UploadImageRequest], call: Call
    ) -> image_service_pb2.UploadImageResponse:
        """Take the bytes of an image; a broken stream can go on where it ended."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("frame") != "open":
            raise InvalidInput("UploadImage", (Violation("open", "the first frame"),))
        wanted = first.open
        call.resource = f"uploads/{wanted.upload_id}"
        upload = await self._uploads.open(wanted.upload_id, wanted.size_bytes, wanted.offset_bytes)
        try:
            async for frame in requests:
                if frame.WhichOneof("frame") != "data":
                    told = "bytes in every frame but the first"
                    raise InvalidInput("UploadImage", (Violation("data", told),))
                await self._uploads.write(upload, frame.data)
            checksum = await self._uploads.end(upload)
        except OSError as error:
            raise NoRoom(
                f"it cannot be written: {error.strerror}", "uploads", "make room on the disk"
            ) from error
        finally:
            await self._uploads.close(wanted.upload_id, upload)
        answer = image_service_pb2.UploadImageResponse(
            upload_id=wanted.upload_id, size_bytes=upload.received_bytes, sha256=checksum
        )
        set_time(answer.expire_time, self._uploads.expire_time())
        return answer

    # -- its parts ---------------------------------------------------------------------------

    def _described(self, own: str, given: images.Message, image_format: str) -> Image:
        backend = self._backend
        uid = given.uid or backend.new_uid()
        fields: Any = images.described(given, image_format)
        return Image(
            uid=uid,
            id=own or names.id_from_uid(uid),
            create_time=backend.now(),
            format=image_format,  # type: ignore[arg-type]
            source="",
            **fields,
        )

    async def _accept(self, kind: str, image: Image, call: Call, *, only_check: bool) -> Message:
        backend = self._backend
        name = f"{names.IMAGES}/{image.id}"
        call.resource = name
        if (taken := workflow.refusal(backend.catalog, image)) is not None:
            raise taken
        work = Work(kind, name, (image.uid,), msgspec.to_builtins(image))
        if only_check:
            parts = images.parts_of(backend.catalog, accepting.as_if(image))
            made = images.message(backend.catalog, parts)
            return accepting.only_validated(backend, call, work, made)
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))

    def _source(
        self,
        request: image_service_pb2.ImportImageRequest,
        image_format: str,
        upload: Path | None,
        wrong: list[Violation],
    ) -> str:
        kind = request.WhichOneof("source")
        pulls = kind == "oci_reference"
        if pulls != (image_format == "oci_layout") and kind in {"url", "oci_reference"}:
            told = "OCI_LAYOUT for what a registry sends, and only for that or a directory"
            wrong.append(Violation("format", told))
        match kind:
            case "url":
                wrong += _url_violations(
                    request.url, private=self._backend.settings.private_sources
                )
                return _with_plain_scheme(request.url)
            case "file":
                return self._file(request.file, wrong)
            case "upload_id":
                own = _upload_id(request.upload_id)
                if upload is None:
                    told = "upload the whole of it first"
                    what = "there is no such upload, or it is not whole"
                    raise NotFound(what, own, told)
                return str(upload)
            case "oci_reference":
                reference = request.oci_reference.removeprefix(REGISTRY)  # As skopeo has it.
                if _REFERENCE.fullmatch(reference) is None:
                    told = "host/repository:tag or host/repository@sha256:..."
                    wrong.append(Violation("oci_reference", told))
                return REGISTRY + reference
        wrong.append(Violation("url", "one of url, file, upload_id or oci_reference"))
        return ""

    def _file(self, text: str, wrong: list[Violation]) -> str:
        """Resolve a file of the node, links and all; it has to be where the settings say."""
        allowed = self._backend.settings.import_directories
        path = Path(os.path.realpath(text))
        below = any(path.is_relative_to(os.path.realpath(own)) for own in allowed)
        if not Path(text).is_absolute() or not below:
            listed = ", ".join(map(str, allowed))
            told = f"a path below {listed}" if allowed else "no path: `import_dirs` is empty"
            wrong.append(Violation("file", f"{told}; or send it: fifo image import --upload"))
        return str(path)


def _upload_id(text: str) -> str:
    if not names.is_uid(text.lower()):
        raise InvalidInput("ImportImage", (Violation("upload_id", "a UUID4"),))
    return text.lower()


def _with_plain_scheme(url: str) -> str:
    """Write a URL's scheme in lower case, which is the same URL (RFC 3986, 3.1)."""
    scheme, colon, rest = url.partition(":")
    return f"{scheme.lower()}{colon}{rest}"


def _url_violations(url: str, *, private: bool) -> list[Violation]:
    """Refuse what can be seen to be wrong; the host looks again at every address it connects to."""
    try:
        found = urlsplit(url)
        host, _ = found.hostname, found.port
    except ValueError:
        return [Violation("url", "a URL")]
    wrong = []
    if found.scheme not in {"http", "https"} or not host:
        wrong.append(Violation("url", "http or https, and a host"))
    if found.username or found.password:
        wrong.append(Violation("url", "no user and password in it"))
    if host and not private and is_private(host):
        wrong.append(Violation("url", "a public address, or set images_from_private_addresses"))
    return wrong


def is_private(host: str) -> bool:
    """Tell whether a host is written as an address that is not public."""
    try:
        own = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(own, "ipv4_mapped", None)
    return not (mapped or own).is_global
