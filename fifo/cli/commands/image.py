"""`fifo image`: images that instances are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import resource
from fifo.cli.kinds import stub_of
from fifo.cli.options import allow_missing, confirm, fill, guarded, pass_target, waiting
from fifo.cli.resources import add_get, add_list

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target

BOOTS = ["init", "disk", "direct"]
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
@click.option("--upload", "upload", default="", type=click.Path(),
              help="A file of this machine, which is sent.")  # fmt: skip
@click.option("--upload-id", default="", help="What `image upload` sent before.")
@click.option("--oci", default="", metavar="REFERENCE", help="An image of an OCI registry.")
@click.option("--format", "kind", required=True, type=click.Choice(KINDS),
              help="What the bytes are; never guessed.")  # fmt: skip
@click.option("--sha256", default="", help="What they must hash to.")
@click.option("--brand", "brands", multiple=True, type=click.Choice(["lx", "kvm"]),
              help="What can be made from it.")  # fmt: skip
@click.option("--boot", default=None, type=click.Choice(BOOTS),
              help="How it starts; direct: FILE is a directory with a manifest.json, a kernel, an"
              " initrd and a disk.")  # fmt: skip
@click.option("--max-size", "most", type=click.IntRange(min=0), default=0, metavar="BYTES",
              help="Refuse more bytes than this.")  # fmt: skip
@click.option("--max-unpacked-size", "most_unpacked", type=click.IntRange(min=0), default=0,
              metavar="BYTES", help="Refuse what unpacks to more than this.")  # fmt: skip
@waiting
@pass_target
def import_image(target: Target, image: str, kind: str, **options: Any) -> int:
    """Bring an image in."""
    from fifo.cli.finishing import finish
    from fifo.v1 import image_pb2, instance_pb2
    from fifo.v1 import image_service_pb2 as messages

    sources = ("url", "file", "oci", "upload", "upload_id")
    given = [name for name in sources if options[name]]
    if len(given) != 1:
        raise click.UsageError("give one of --url, --file, --oci, --upload and --upload-id")
    with target.client() as client:
        request = messages.ImportImageRequest(
            image_id=image,
            format=image_pb2.Image.Format.Value(kind.upper()),
            sha256=options["sha256"],
            max_size_bytes=options["most"],
            max_unpacked_size_bytes=options["most_unpacked"],
        )
        fill(client, request, options)
        field = {"oci": "oci_reference", "upload": "upload_id"}.get(given[0], given[0])
        setattr(request, field, _sent(client, given[0], options))
        if options["boot"]:
            request.image.boot = image_pb2.Image.Boot.Value(options["boot"].upper())
        for brand in options["brands"]:
            request.image.brands.append(instance_pb2.Instance.Brand.Value(brand.upper()))
        operation = client.call(stub_of(client, "image").ImportImage, request)
        return finish(client, target, operation, options)


def _sent(client: Client, source: str, options: dict[str, Any]) -> str:
    """Give a source's text, after sending what is here."""
    if source != "upload":
        return str(options[source])
    from fifo.cli.uploading import upload

    return str(upload(client, options["upload"], quiet=options["quiet"]).upload_id)


@COMMAND.command(name="upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@pass_target
def upload_file(target: Target, file: str, *, quiet: bool) -> None:
    """Send a file of this machine to the node, for `image import --upload-id`."""
    from fifo.cli import columns, output
    from fifo.cli.uploading import upload

    with target.client() as client:
        output.show_one(target.output, upload(client, file, quiet=quiet), columns.UPLOADS)


@COMMAND.command()
@click.argument("image")
@resource("instance", name="instance")
@waiting
@pass_target
def capture(target: Target, image: str, instance: str, **options: Any) -> int:
    """Make an image of a stopped instance."""
    from fifo.cli.finishing import finish
    from fifo.cli.naming import name_of
    from fifo.v1 import image_service_pb2 as messages

    with target.client() as client:
        request = messages.CreateImageFromInstanceRequest(
            instance=name_of(client, target, "instance", instance), image_id=image
        )
        fill(client, request, options)
        operation = client.call(stub_of(client, "image").CreateImageFromInstance, request)
        return finish(client, target, operation, options)


@COMMAND.command()
@resource("image", name="image")
@click.option("--yes", is_flag=True, help="Do not ask.")
@allow_missing
@guarded
@waiting
@pass_target
def delete(target: Target, image: str, *, yes: bool, **options: Any) -> int:
    """Delete an image that nothing is made from."""
    from fifo.cli.finishing import finish
    from fifo.cli.naming import name_of
    from fifo.cli.text import safe
    from fifo.v1 import image_service_pb2 as messages

    if not yes and not options["validate_only"]:
        confirm(f"Delete the image {safe(image)}?")
    with target.client() as client:
        request = messages.DeleteImageRequest(name=name_of(client, target, "image", image))
        fill(client, request, options)
        operation = client.call(stub_of(client, "image").DeleteImage, request)
        return finish(client, target, operation, options)
