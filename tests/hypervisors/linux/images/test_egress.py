"""Where a pull may go: row 3 of the threats, by the real skopeo, at each of its connections.

The registries of these tests are on loopback, which stands for the world; what may not be reached
is other addresses of it, where a listener of the test's own would see who comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.images import registry, targets
from fifo.hypervisors.linux.keeper_runner import runner
from fifo.model.errors import DriverFailed, Forbidden, NotReady
from fifo.security.authority import issue, make_authority
from tests.hypervisors.linux.images.oci_registry import filled, serving, why_not
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost, ended
from tests.hypervisors.linux.runner import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fifo.hypervisors.linux.commands import CommandOutput, Run
    from fifo.hypervisors.linux.images.registry import Pulled
    from tests.hypervisors.linux.images.test_layouts import Layout

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

WORLD = "127.0.0.1"
INSIDE = "127.0.0.9"
METADATA = "169.254.169.254"
NAME = "registry.example.org"
OTHER = "blobs.example.net"


class Names:
    """A resolver of the test's own, by which loopback's first address is out in the world.

    A host has the addresses of its entry, one list for each time it is asked for and the last one
    from then on, empty if it has none; `asked` is who was. What is no name stands for itself.
    """

    def __init__(self, **found: list[list[str]]) -> None:
        self._found = {name.replace("_", "."): answers for name, answers in found.items()}
        self.asked: list[str] = []

    def admitted(self, host: str, port: int, *, private: bool, **more: Any) -> list[str]:
        """Do what `targets.admitted` does."""
        self.asked.append(host)
        answers = self._found.get(host, [[host]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer[:1] == [WORLD]:
            return answer

        def ask(*_: object) -> list[str]:
            if not answer:
                raise OSError("no such name")
            return answer

        return targets.admitted(host, port, private=private, ask=ask, **more)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return filled(tmp_path / "served")


@pytest.fixture
def forbidden() -> Iterator[socket.socket]:
    """Listen where no pull may come."""
    with socket.create_server((INSIDE, 0)) as listener:
        listener.setblocking(False)
        yield listener


def nobody_came(listener: socket.socket) -> bool:
    """Tell whether no connection was made, not even one that has ended."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


async def pull(
    image: str, place: Path, names: Names, run_: Run = run, *, private: bool = False
) -> Pulled:
    """Pull an image to a layout in a directory."""
    return await registry.pull(
        run_, image, place / "layout", 10_000_000, machine="x86_64", private=private,
        ask=names.admitted,
    )  # fmt: skip


async def test_a_registry_is_reached_by_its_name_at_the_addresses_that_were_checked(
    tmp_path: Path, layout: Layout
) -> None:
    names = Names(registry_example_org=[[WORLD], [METADATA]])
    with serving(layout) as served:
        found = await pull(served.image_of(NAME), tmp_path, names)
    assert found.size_bytes > 0
    assert len(served.blobs) == 2
    assert names.asked == [NAME]


@pytest.mark.parametrize("host", [WORLD, "localhost"])
async def test_a_registry_on_loopback_is_reached_where_it_is_allowed(
    tmp_path: Path, layout: Layout, host: str
) -> None:
    names = Names(localhost=[[WORLD]])
    with serving(layout) as served:
        await pull(served.image_of(host), tmp_path, names, private=True)
    assert len(served.blobs) == 2


async def test_blobs_may_be_elsewhere_where_that_is_admitted(
    tmp_path: Path, layout: Layout
) -> None:
    names = Names(registry_example_org=[[WORLD]], blobs_example_net=[[WORLD]])
    with serving(layout) as other, serving(layout, f"http://{OTHER}:{other.port}") as served:
        await pull(served.image_of(NAME), tmp_path, names)
    assert len(other.blobs) == 2


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (OTHER, INSIDE),
        (OTHER, METADATA),
        (METADATA, METADATA),
        ("10.0.0.1", "10.0.0.1"),
        ("[fd00::1]", "fd00::1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
    ],
)
async def test_a_redirect_to_an_inadmissible_address_is_refused_and_reaches_nobody(
    tmp_path: Path, layout: Layout, forbidden: socket.socket, host: str, found: str
) -> None:
    names = Names(registry_example_org=[[WORLD]], blobs_example_net=[[found]])
    port = forbidden.getsockname()[1]
    with (
        serving(layout, f"http://{host}:{port}") as served,
        pytest.raises(Forbidden, match=f"leads to (::ffff:)?{found}, which is not public") as told,
    ):
        await pull(served.image_of(NAME), tmp_path, names)
    assert told.value.remedy == targets.ADVICE
    assert nobody_came(forbidden)


@pytest.mark.parametrize("host", [INSIDE, "localhost", "[::1]"])
async def test_a_redirect_to_loopback_itself_reaches_nobody(
    tmp_path: Path, layout: Layout, host: str
) -> None:
    names = Names(registry_example_org=[[WORLD]])
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    address = {"localhost": WORLD}.get(host, host.strip("[]"))
    with socket.create_server((address, 0), family=family) as listener:
        listener.setblocking(False)
        with (
            serving(layout, f"http://{host}:{listener.getsockname()[1]}") as served,
            pytest.raises(DriverFailed, match="connection refused"),
        ):
            await pull(served.image_of(NAME), tmp_path, names)
        assert nobody_came(listener)


@pytest.mark.parametrize(
    ("host", "listening"),
    [
        (OTHER, INSIDE),
        ("0.0.0.0", WORLD),  # noqa: S104 -- connected to, by which Linux means loopback
        ("LOCALHOST", WORLD),
    ],
)
async def test_a_redirect_to_a_name_of_loopback_is_refused_where_private_addresses_are_allowed(
    tmp_path: Path, layout: Layout, host: str, listening: str
) -> None:
    names = Names(blobs_example_net=[[INSIDE]], LOCALHOST=[["::1", WORLD]])
    with socket.create_server((listening, 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        with (
            serving(layout, f"http://{host}:{port}") as served,
            pytest.raises(Forbidden, match=f"{host}: leads to .*, which is this host") as told,
        ):
            await pull(served.image, tmp_path, names, private=True)
        assert told.value.remedy == targets.LOOPBACK_ADVICE
        assert nobody_came(listener)


async def test_a_registry_on_loopback_may_not_lead_to_another_port_by_its_own_name(
    tmp_path: Path, layout: Layout
) -> None:
    names = Names(registry_example_org=[[WORLD]])
    with socket.create_server((WORLD, 0)) as listener:
        listener.setblocking(False)
        with (
            serving(layout, f"http://{NAME}:{listener.getsockname()[1]}") as served,
            pytest.raises(Forbidden, match=f"{NAME}: leads to {WORLD}, which is this host"),
        ):
            await pull(served.image_of(NAME), tmp_path, names, private=True)
        assert nobody_came(listener)


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(
    tmp_path: Path, layout: Layout
) -> None:
    names = Names(registry_example_org=[[WORLD]], blobs_example_net=[[WORLD], [INSIDE]])
    with (
        serving(layout) as other,
        socket.create_server((INSIDE, other.port)) as listener,
        serving(layout, f"http://{OTHER}:{other.port}") as served,
    ):
        listener.setblocking(False)
        with pytest.raises(Forbidden, match=f"leads to {INSIDE}, which is not public"):
            await pull(served.image_of(NAME), tmp_path, names)
        assert nobody_came(listener)
    assert len(other.blobs) == 1


def secured(directory: Path) -> ssl.SSLContext:
    """Give the registry's side of TLS; what a client has to trust is in `ca.pem`."""
    now = time.time()
    authority = make_authority("the test", now)
    issued = issue(authority, [NAME], now)
    chain = directory / "chain.pem"
    chain.write_bytes(issued.key + issued.certificate)
    (directory / "ca.pem").write_bytes(authority.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


async def test_a_registry_of_the_world_proves_who_it_is_and_may_not_give_up_tls(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = secured(tmp_path)
    # One public address makes a registry one of the world; the first of them answers.
    names = Names(registry_example_org=[[WORLD, "8.8.8.8"]], blobs_example_net=[[WORLD]])
    with (
        serving(layout) as other,
        serving(layout, secured=context) as served,
        serving(layout, f"http://{OTHER}:{other.port}", secured=context) as leaving,
    ):
        with pytest.raises(DriverFailed, match="unknown authority"):
            await pull(served.image_of(NAME), tmp_path, names)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        await pull(served.image_of(NAME), tmp_path, names)
        place = tmp_path / "again"
        place.mkdir()
        with pytest.raises(Forbidden, match=f"{OTHER}:{other.port}.* without TLS"):
            await pull(leaving.image_of(NAME), place, names)
    assert len(served.blobs) == 2
    assert other.asked == []


# --- what is told ---------------------------------------------------------------------------------


async def test_a_registry_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind((WORLD, 0))
        image = f"{WORLD}:{nobody.getsockname()[1]}/name:tag"
        for each in (image, image.replace(WORLD, NAME)):
            names = Names(registry_example_org=[[WORLD]])
            with pytest.raises(DriverFailed, match=r"(?i)connection refused|connect call failed"):
                await pull(f"docker://{each}", tmp_path, names, private=True)


async def test_a_redirect_to_a_name_without_an_address_is_told(
    tmp_path: Path, layout: Layout
) -> None:
    names = Names(registry_example_org=[[WORLD]], blobs_example_net=[[]])
    with (
        serving(layout, f"http://{OTHER}") as served,
        pytest.raises(DriverFailed, match=f"{OTHER}: cannot be resolved"),
    ):
        await pull(served.image_of(NAME), tmp_path, names)


async def test_a_host_without_skopeo_is_told(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("env", "nsenter"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with serving(layout) as served, pytest.raises(NotReady, match="skopeo: it is not installed"):
        await pull(served.image, tmp_path, Names(), private=True)


# --- bounds ---------------------------------------------------------------------------------------


async def test_a_connection_too_many_is_closed(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EGRESS_CONNECTIONS", 0)
    with serving(layout) as served, pytest.raises(DriverFailed):
        await pull(served.image, tmp_path, Names(), private=True)
    assert served.asked == []


async def test_a_registry_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EGRESS_IDLE_S", 0.1)
    with socket.create_server((WORLD, 0)) as silent:
        image = f"docker://{WORLD}:{silent.getsockname()[1]}/name:tag"
        with pytest.raises(DriverFailed):
            await pull(image, tmp_path, Names(), private=True)


# --- nothing is left ------------------------------------------------------------------------------


class Seen:
    """A runner that remembers the namespaces of what it ran, by their numbers."""

    def __init__(self, inner: Run) -> None:
        self._inner = inner
        self.namespaces: set[int] = set()

    async def __call__(
        self, argv: Sequence[str], *, netns: str | None = None, **more: Any
    ) -> CommandOutput:
        """Run it."""
        assert netns is not None
        self._see(netns)
        return await self._inner(argv, netns=netns, **more)

    def _see(self, netns: str) -> None:
        self.namespaces.add(Path(netns).stat().st_ino)

    def inside(self) -> list[int]:
        """List the processes that are in one of them; their numbers are given anew when they go."""
        found = {f"net:[{number}]" for number in self.namespaces}
        own = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [int(path.name) for path in own if _namespace_of(path) in found]


def _namespace_of(process: Path) -> str:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        # It has ended meanwhile.
        return ""


def descriptors() -> set[str]:
    """List what this process has open: a namespace that nothing is in lives by these alone."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("refused", [False, True])
async def test_a_pull_leaves_no_namespace_connection_or_task(
    tmp_path: Path, layout: Layout, refused: bool
) -> None:
    seen, before = Seen(run), descriptors()
    names = Names(registry_example_org=[[WORLD]])
    elsewhere = f"http://{METADATA}" if refused else ""
    expected = pytest.raises(Forbidden) if refused else contextlib.nullcontext()
    with serving(layout, elsewhere) as served, expected:
        await pull(served.image_of(NAME), tmp_path, names, seen)
    assert len(seen.namespaces) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert descriptors() == before


async def test_a_pull_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    host = KeeperHost(tmp_path / "k")
    loop = asyncio.get_running_loop()
    try:
        async with host.client() as keeper:
            seen, before = Seen(runner(keeper)), descriptors()
            with socket.create_server((WORLD, 0)) as silent:
                silent.setblocking(False)
                image = f"docker://{WORLD}:{silent.getsockname()[1]}/name:tag"
                pulling = asyncio.create_task(pull(image, tmp_path, Names(), seen, private=True))
                with (await loop.sock_accept(silent))[0]:
                    (skopeo,) = seen.inside()
                    pulling.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await pulling
            await ended(skopeo)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert descriptors() == before
    finally:
        host.clear()
