"""`fifo image`: images that instances are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import pass_target, waiting
from fifo.cli.resources import add_get, add_list

if TYPE_CHECKING:
    from fifo.cli.target import Target

KINDS = ["oci_layout", "oci_archive", "rootfs_tar", "qcow2", "raw"]


@click.group(name="image")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Images that instances are made from."""


add_list(COMMAND, "image")
add_get(COMMAND, "image")


@COMMAND.command(name="import")
@click.argument("image")
@click.option("--url", default="", help="Where to fetch it.")
@click.option("--file", "file", default="", help="A file on the node.")
@click.option("--oci", default="", metavar="REFERENCE", help="An image of an OCI registry.")
@click.option("--format", "kind", required=True, type=click.Choice(KINDS),
              help="What the bytes are; never guessed.")  # fmt: skip
@click.option("--sha256", default="", help="What they must hash to.")
@click.option("--brand", "brands", multiple=True, type=click.Choice(["lx", "kvm"]),
              help="What can be made from it.")  # fmt: skip
@click.option("--max-size", "most", type=click.IntRange(min=0), default=0, metavar="BYTES")
@waiting
@pass_target
def import_image(target: Target, image: str, kind: str, **options: Any) -> int:
    """Bring an image in."""
    from fifo.cli.finishing import finish
    from fifo.v1 import (
        image_pb2,
        instance_pb2,
    )
    from fifo.v1 import image_service_pb2 as messages
    from fifo.v1 import image_service_pb2_grpc as services

    given = [name for name in ("url", "file", "oci") if options[name]]
    if len(given) != 1:
        raise click.UsageError("give one of --url, --file and --oci")
    with target.client() as client:
        request = messages.ImportImageRequest(
            image_id=image,
            format=image_pb2.Image.Format.Value(kind.upper()),
            sha256=options["sha256"],
            max_size_bytes=options["most"],
            request_id=options["request_id"] or client.request_id(),
            validate_only=options["validate_only"],
        )
        field = "oci_reference" if options["oci"] else given[0]
        setattr(request, field, options[given[0]])
        for brand in options["brands"]:
            request.image.brands.append(instance_pb2.Instance.Brand.Value(brand.upper()))
        stub = services.ImageServiceStub(client.channel)
        operation = client.call(stub.ImportImage, request)
        wait = options["wait"] and not options["validate_only"]
        return finish(client, target, operation, wait=wait, quiet=options["quiet"])


@COMMAND.command()
@click.argument("image")
@click.argument("instance")
@waiting
@pass_target
def capture(target: Target, image: str, instance: str, **options: Any) -> int:
    """Make an image of a stopped instance."""
    from fifo.cli.commands.instance import name_of
    from fifo.cli.finishing import finish
    from fifo.v1 import image_service_pb2 as messages
    from fifo.v1 import image_service_pb2_grpc as services

    with target.client() as client:
        request = messages.CreateImageFromInstanceRequest(
            instance=name_of(client, target, instance),
            image_id=image,
            request_id=options["request_id"] or client.request_id(),
            validate_only=options["validate_only"],
        )
        stub = services.ImageServiceStub(client.channel)
        operation = client.call(stub.CreateImageFromInstance, request)
        wait = options["wait"] and not options["validate_only"]
        return finish(client, target, operation, wait=wait, quiet=options["quiet"])


@COMMAND.command()
@click.argument("image")
@waiting
@pass_target
def delete(target: Target, image: str, **options: Any) -> int:
    """Delete an image that nothing is made from."""
    from fifo.cli.finishing import finish
    from fifo.v1 import image_service_pb2 as messages
    from fifo.v1 import image_service_pb2_grpc as services

    with target.client() as client:
        request = messages.DeleteImageRequest(
            name=image if "/" in image else f"images/{image}",
            request_id=options["request_id"] or client.request_id(),
            validate_only=options["validate_only"],
        )
        stub = services.ImageServiceStub(client.channel)
        operation = client.call(stub.DeleteImage, request)
        wait = options["wait"] and not options["validate_only"]
        return finish(client, target, operation, wait=wait, quiet=options["quiet"])
