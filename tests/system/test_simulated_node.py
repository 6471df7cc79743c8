"""A node with a simulated host, from its first start to a restored backup."""

from __future__ import annotations

import json
import shlex
import socket
import tarfile
import urllib.request
from typing import TYPE_CHECKING

import pytest

from fifo.telemetry.metrics import METRICS
from tests.cli.test_node import completed
from tests.system.node_process import COMMAND_S, NodeProcess, fifo, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAYLOAD = {
    "brand": "lx",
    "alias": "from vmadm",
    "image_uuid": "",
    "max_physical_memory": 128,
    "kernel_version": "4.3",
    "zfs_root_compression": "lz4",
    "customer_metadata": {"secret": "s3cr3t-value"},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    base = tmp_path_factory.mktemp("node")
    base.chmod(0o711)
    (base / "zone.tar").write_bytes(b"a simulated host never reads this\n")
    with NodeProcess(base) as running:
        imported = running.fifo(
            "image", "import", "tiny", "--file", str(base / "zone.tar"),
            "--format", "rootfs_tar", "--brand", "lx",
        )  # fmt: skip
        assert imported.returncode == 0, imported.stderr
        yield running


def test_an_instance_is_created_listed_stopped_started_and_deleted(node: NodeProcess) -> None:
    created = node.fifo("instance", "create", "web", "--brand", "lx", "--image", "tiny")
    assert created.returncode == 0, created.stderr
    assert "done" in created.stdout
    (listed,) = rows(node.fifo("-o", "json", "instance", "list", "--filter", "state = RUNNING"))
    assert listed["name"] == "orgs/default/instances/web"
    short = listed["uid"][:8]
    assert rows(node.fifo("-o", "json", "instance", "get", short))["uid"] == listed["uid"]
    for verb, state in (("stop", "STOPPED"), ("start", "RUNNING"), ("reboot", "RUNNING")):
        done = node.fifo("instance", verb, "web")
        assert done.returncode == 0, done.stderr
        assert rows(node.fifo("-o", "json", "instance", "get", "web"))["state"] == state
    updated = node.fifo("instance", "update", "web", "max_physical_memory=512", "alias=bigger")
    assert updated.returncode == 0, updated.stderr
    assert node.fifo("instance", "delete", "--yes", "web").returncode == 0
    assert node.fifo("instance", "get", "web").returncode == 3


def test_a_vmadm_payload_is_taken_as_it_is_and_what_cannot_be_honoured_is_said(
    node: NodeProcess,
) -> None:
    image = rows(node.fifo("-o", "json", "image", "get", "tiny"))["uid"]
    payload = json.dumps({**PAYLOAD, "image_uuid": image})
    created = node.fifo("instance", "create", "-f", "-", told=payload)
    assert created.returncode == 0, created.stderr
    assert "zfs_root_compression" in created.stdout
    (found,) = rows(node.fifo("-o", "json", "instance", "list", "--filter", 'alias = "from vmadm"'))
    assert found["max_physical_memory"] == 128
    assert node.fifo("instance", "delete", "--yes", found["uid"]).returncode == 0


def test_errors_say_what_happened_and_have_statuses_of_their_own(node: NodeProcess) -> None:
    missing = node.fifo("instance", "start", "nobody")
    assert missing.returncode == 3
    assert "nobody" in missing.stderr
    bad = node.fifo("instance", "create", "Not_An_Id", "--brand", "lx", "--set", "max_lwps=-5")
    assert bad.returncode == 2
    assert "instance_id" in bad.stderr
    assert "max_lwps" in bad.stderr
    assert node.fifo("instance", "list", "--filter", "colour = red").returncode == 2
    assert fifo("--server", "127.0.0.1:1", "--timeout", "1", "instance", "list").returncode == 6
    assert fifo("instance", "explode").returncode == 2


def test_only_who_has_the_token_may_speak_over_tls(node: NodeProcess) -> None:
    tls = ("--server", node.address.replace("127.0.0.1", "localhost"), "--ca", str(node.ca_file))
    assert fifo(*tls, "instance", "list").returncode == 4
    token = ("--token-file", str(node.token_file))
    assert node.token_file.stat().st_mode & 0o777 == 0o600
    assert fifo(*tls, *token, "instance", "list").returncode == 0
    old = node.base / "old.token"
    old.write_bytes(node.token_file.read_bytes())
    assert node.fifo("admin", "token", "reset", "--yes").returncode == 0
    assert fifo(*tls, "--token-file", str(old), "instance", "list").returncode == 4
    assert fifo(*tls, *token, "instance", "list").returncode == 0


def test_the_tree_the_usage_and_the_metrics_are_there(node: NodeProcess) -> None:
    tree = node.fifo("tree").stdout
    assert "fleet (Supervisor)" in tree
    assert "agent" in tree
    assert "INSTANCE" in node.fifo("top", "-n", "1").stdout
    with urllib.request.urlopen(node.metrics_url, timeout=5) as answer:  # noqa: S310
        page = answer.read().decode()
    assert "fifo_hypervisor_ready" in page
    assert 'grpc_server_handled_total{grpc_service="fifo.v1.InstanceService"' in page
    assert "supervisors_processes" in page


def test_every_metric_of_the_table_is_on_the_page_with_a_sample(node: NodeProcess) -> None:
    pools = 'pools=[{"subnet": "10.9.0.0/24"}]'
    lan = node.fifo("network", "create", "lan", "nic_tag=lan", pools)
    assert lan.returncode == 0, lan.stderr
    made = ("instance", "create", "measured", "--brand", "lx", "--image", "tiny")
    created = node.fifo(*made, "--network", "lan")
    assert created.returncode == 0, created.stderr
    too_large = node.fifo(*made[:2], "huge", *made[3:], "--memory", "900000")
    assert too_large.returncode != 0
    # An instance's figures are there once somebody asked for fresh ones.
    assert node.fifo("instance", "stats", "measured").returncode == 0
    with urllib.request.urlopen(node.metrics_url, timeout=5) as answer:  # noqa: S310
        page = answer.read().decode()
    assert [own.name for own in METRICS if f"# TYPE {own.name} {own.kind}" not in page] == []
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    silent = {
        own.name
        for own in METRICS
        if not any(line.startswith((f"{own.name}{{", f"{own.name} ", own.name + "_bucket{"))
                   for line in lines)
    }  # fmt: skip
    # A host in memory has no processors.
    assert silent == {"fifo_hypervisor_cpu_seconds_total"}
    assert node.fifo("instance", "delete", "--yes", "measured").returncode == 0


def test_a_support_bundle_holds_no_secret(node: NodeProcess, tmp_path: Path) -> None:
    image = rows(node.fifo("-o", "json", "image", "get", "tiny"))["uid"]
    payload = json.dumps({**PAYLOAD, "image_uuid": image, "alias": "with secrets"})
    assert node.fifo("instance", "create", "-f", "-", told=payload).returncode == 0
    token = node.token_file.read_bytes().strip()
    # A simulated host has no keeper: this is as if one had written down what it must not.
    keeper_log = node.base / "run" / "keeper" / "keeper.log"
    keeper_log.write_bytes(b"a line " + token + b"\n")
    file = tmp_path / "bundle.tar.gz"
    assert node.fifo("support", "bundle", str(file)).returncode == 0
    with tarfile.open(file) as archive:
        names = archive.getnames()
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            text = content.read()
            assert token not in text, member.name
            assert b"s3cr3t-value" not in text, member.name
            if member.name == "fifo-support/metrics.txt":
                assert b"fifo_hypervisor_ready{" in text
            if member.name == "fifo-support/images.json":
                assert b'"id": "tiny"' in text
    assert {
        f"fifo-support/{name}"
        for name in (
            "settings.json", "instances.json", "images.json", "networks.json", "packages.json",
            "cleanups.json", "metrics.txt", "tree.json", "logs/fifo.log", "logs/keeper.log",
        )
    } <= set(names)  # fmt: skip
    few = tmp_path / "few.tar.gz"
    assert node.fifo("support", "bundle", "--log-bytes", "7", str(few)).returncode == 0
    with tarfile.open(few) as archive:
        sizes = {own.name: own.size for own in archive if "/logs/" in own.name}
    assert sizes == {"fifo-support/logs/fifo.log": 7, "fifo-support/logs/keeper.log": 7}


def test_a_backup_is_verified_and_restored_into_another_node(
    node: NodeProcess, tmp_path: Path
) -> None:
    tmp_path.chmod(0o711)
    created = node.fifo("instance", "create", "kept", "--brand", "lx", "--image", "tiny")
    assert created.returncode == 0, created.stderr
    backup = tmp_path / "fifo.backup"
    assert node.fifo("admin", "backup", str(backup)).returncode == 0
    verified = fifo("store", "verify", str(backup))
    assert verified.returncode == 0, verified.stderr
    data = tmp_path / "data"
    restored = fifo("store", "restore", str(backup), str(data))
    assert restored.returncode == 0, restored.stderr
    assert f"--data-dir {data}" in restored.stdout
    revision = int(rows(node.fifo("-o", "json", "admin", "info"))["store"]["revision"])
    with NodeProcess(tmp_path) as other:
        names = [row["name"] for row in rows(other.fifo("-o", "json", "instance", "list"))]
        told = rows(other.fifo("-o", "json", "admin", "info"))["store"]
        assert 0 < int(told["restored_revision"]) <= revision
        assert told["restore_time"].startswith("20")
        assert not told.get("last_backup_time"), "the backup was another node's"
        assert other.fifo("admin", "backup", str(tmp_path / "second.backup")).returncode == 0
        backed_up = rows(other.fifo("-o", "json", "admin", "info"))["store"]["last_backup_time"]
        other.kill()
        other.start()
        again = rows(other.fifo("-o", "json", "admin", "info"))
        assert again["store"]["last_backup_time"] == backed_up
        assert again["store"]["restore_time"] == told["restore_time"]
        assert again["store"]["record_version"] == 1
        assert {"python", "sqlite", "grpcio", "protobuf"} <= again["node"]["versions"].keys()
    inside = fifo("store", "restore", str(backup), str(data / "private"))
    assert (inside.returncode, "private part" in inside.stderr) == (2, True)
    over = fifo("store", "restore", str(backup), str(data))
    assert (over.returncode, "it is not empty" in over.stderr) == (1, True)
    assert "orgs/default/instances/kept" in names
    broken = tmp_path / "broken.backup"
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken.write_bytes(content)
    assert fifo("store", "verify", str(broken)).returncode != 0


def test_a_damaged_note_of_the_last_backup_is_a_warning_until_the_next(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with NodeProcess(tmp_path) as node:
        assert node.fifo("admin", "backup", str(tmp_path / "one.backup")).returncode == 0
        node.kill()
        (tmp_path / "data" / "private" / "last_backup.json").write_bytes(b"no note")
        node.start()
        info = rows(node.fifo("-o", "json", "admin", "info"))
        assert not info["store"].get("last_backup_time")
        (warning,) = info["node"]["warnings"]
        assert "take one" in warning
        assert node.fifo("admin", "backup", str(tmp_path / "two.backup")).returncode == 0
        info = rows(node.fifo("-o", "json", "admin", "info"))
        assert info["store"]["last_backup_time"]
        assert not info["node"].get("warnings")


def test_what_a_restored_backup_does_not_know_is_adopted_or_removed(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (tmp_path / "zone.tar").write_bytes(b"a simulated host never reads this\n")
    with NodeProcess(tmp_path) as node:
        for command in (
            f"image import tiny --file {tmp_path}/zone.tar --format rootfs_tar --brand lx",
            """network create lan nic_tag=lan 'pools=[{"subnet": "10.9.0.0/24"}]'""",
            f"admin backup {tmp_path}/early",
            "instance create young --brand lx --image tiny --network lan",
            "instance create doomed --brand lx --image tiny --network lan",
        ):
            done = node.fifo(*shlex.split(command))
            assert done.returncode == 0, (command, done.stderr)
        young, doomed = rows(node.fifo("instance", "get", "young", "doomed", "-o", "json"))
        node.kill()
        # Each start takes the host by a higher fence than the backup knows of.
        for _ in range(2):
            node.start()
            node.kill()
        store = tmp_path / "data" / "private" / "store"
        store.rename(store.with_name("store.old"))
        restored = fifo("store", "restore", str(tmp_path / "early"), str(tmp_path / "data"))
        assert restored.returncode == 0, restored.stderr
        node.start()
        host, foreign = node.await_foreign(2)
        assert foreign == {young["uid"], doomed["uid"]}
        offered = completed(node, f"fifo hypervisor adopt-foreign {host} {young['uid'][:4]}")
        assert young["uid"] in offered
        adopted = node.fifo("hypervisor", "adopt-foreign", host, young["uid"], "-o", "json")
        assert rows(adopted)["response"]["name"] == young["name"]
        removed = node.fifo("hypervisor", "remove-foreign", host, doomed["uid"], "--yes")
        assert (removed.returncode, "done" in removed.stdout) == (0, True), removed.stderr
        (left,) = rows(node.fifo("instance", "list", "-o", "json"))
        same = ("name", "uid", "addresses", "image", "max_physical_memory", "generation")
        assert {own: left[own] for own in same} == {own: young[own] for own in same}
        assert "foreign_instances" not in rows(node.fifo("hypervisor", "get", host, "-o", "json"))
        (taken,) = rows(node.fifo("network", "addresses", "lan", "-o", "json"))
        assert (taken["address"], taken["instance"]) == (young["addresses"][0], young["name"])


def test_a_second_node_on_the_same_data_is_refused(node: NodeProcess, tmp_path: Path) -> None:
    second = fifo(
        "serve", "--data-dir", str(node.base / "data"), "--run-dir", str(tmp_path / "run"),
        "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--driver", "simulated",
    )  # fmt: skip
    assert second.returncode == 6
    assert "has it open" in second.stderr


def test_a_port_that_is_taken_is_named(node: NodeProcess, tmp_path: Path) -> None:
    taken = fifo(
        "serve", "--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run"),
        "--listen", node.address, "--metrics-listen", "127.0.0.1:0", "--driver", "simulated",
    )  # fmt: skip
    assert taken.returncode == 6
    assert node.address in taken.stderr
    assert "taken" in taken.stderr


def test_a_metrics_port_that_is_taken_is_named_with_what_to_do(
    node: NodeProcess, tmp_path: Path
) -> None:
    address = node.metrics_url.removeprefix("http://").removesuffix("/metrics")
    taken = fifo(
        "serve", "--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run"),
        "--listen", "127.0.0.1:0", "--metrics-listen", address, "--driver", "simulated",
    )  # fmt: skip
    assert taken.returncode == 6
    assert address in taken.stderr
    assert "already in use" in taken.stderr
    assert "choose another with metrics_listen" in taken.stderr


def test_metrics_are_served_on_an_address_of_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    tmp_path.chmod(0o711)
    with NodeProcess(tmp_path, "--metrics-listen", "[::1]:0") as node:
        assert node.metrics_url.startswith("http://[::1]:")
        with urllib.request.urlopen(node.metrics_url, timeout=5) as answer:  # noqa: S310
            assert b"fifo_hypervisor_ready" in answer.read()


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with NodeProcess(tmp_path) as node:
        for number in range(3):
            made = node.fifo("package", "create", f"size-{number}", "max_physical_memory=128")
            assert made.returncode == 0, made.stderr
        # Some are cut off anywhere: what was made, the audit knows of.
        cut = [
            node.begin("package", "create", f"size-{number}", "max_physical_memory=128")
            for number in range(3, 7)
        ]
        assert cut[0].wait(COMMAND_S) == 0
        node.kill()
        for command in cut:
            command.wait(COMMAND_S)
        node.start()
        listed = {row["name"] for row in rows(node.fifo("-o", "json", "package", "list"))}
        sure = {f"packages/size-{number}" for number in range(3)}
        sure |= {
            f"packages/size-{number}"
            for number, command in enumerate(cut, 3)
            if command.returncode == 0
        }
        assert sure <= listed
        assert len(sure) >= 4
        assert node.stop() == 0
    lines = (tmp_path / "data/private/audit/audit.jsonl").read_text().splitlines()
    ends = {}
    for line in map(json.loads, lines):
        if line["code"] == "BEGUN":
            ends[line["id"]] = (line["resource"], "")
        elif "id" in line:
            ends[line["id"]] = (ends[line["id"]][0], line["code"])
    for name in listed:
        resource = f"package_id={name.rpartition('/')[2]}"
        assert any(begun == resource and code in {"OK", "UNKNOWN"} for begun, code in ends.values())
    assert all(code for _, code in ends.values())
