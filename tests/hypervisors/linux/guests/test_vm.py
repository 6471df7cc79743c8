"""The small VM really boots, is what its NoCloud disk says, and powers down when it is asked to."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest

from fifo.hypervisors.linux.guests import file_tree, image_cache, spawning, vm
from tests.hypervisors.linux.guests import machine
from tests.hypervisors.linux.guests.machine import Machine
from tests.hypervisors.linux.guests.waiting import DEADLINE_S, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.image_cache import GuestImage


# --- the images ----------------------------------------------------------------------------------
# First, so that no test both builds an image and boots it: that is long on a busy machine.


def test_each_image_says_how_it_boots(vm_guest: GuestImage, firmware_guest: GuestImage) -> None:
    direct, disk = vm_guest.manifest, firmware_guest.manifest
    assert (direct.boot, direct.brand, disk.boot, disk.brand) == ("direct", "kvm", "disk", "kvm")
    assert [file.role for file in direct.files] == ["kernel", "initrd", "disk"]
    assert [file.role for file in disk.files] == ["disk"]
    assert direct.kernel_args == vm.KERNEL_ARGS
    assert direct.inputs == disk.inputs


def test_an_overwritten_kernel_is_found_out(vm_guest: GuestImage, tmp_path: Path) -> None:
    copy = tmp_path / "vm"
    shutil.copytree(vm_guest.directory, copy)
    assert image_cache.look_up(copy) == image_cache.GuestImage(copy, vm_guest.manifest)
    with (copy / "vmlinux").open("r+b") as kernel:
        kernel.seek(-1, 2)
        kernel.write(b"!")
    assert image_cache.look_up(copy) is None


def test_every_shell_script_of_the_vm_is_one(box: Busybox) -> None:
    scripts = [
        entry.content
        for entry in vm.tree(box, {"m": b""}).values()
        if entry.content.startswith(b"#!/bin/sh")
    ]
    assert len(scripts) == 3
    for script in scripts:
        checked = asyncio.run(
            spawning.run(["/bin/busybox", "sh", "-n"], stdin=script, deadline_s=10.0)
        )
        assert (checked.status, checked.stderr) == (0, b"")


def test_modules_are_listed_in_the_order_in_which_they_were_given(box: Busybox) -> None:
    tree = vm.tree(box, {"second": b"2", "first": b"1"})
    assert tree["lib/modules/order"] == file_tree.file("second\nfirst\n")
    assert tree["lib/modules/first.ko"] == file_tree.file(b"1")


# --- the lives -----------------------------------------------------------------------------------


class Life(NamedTuple):
    """What was seen of a VM from its boot to its end."""

    console: str
    hostname: str
    addresses: str
    routes: str
    told: str
    page: str
    exit_status: int
    disk: Path


@pytest.fixture(scope="session")
def life(vm_guest: GuestImage, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(vm_guest, tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="session")
def firmware_life(firmware_guest: GuestImage, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live(firmware_guest, tmp_path_factory.mktemp("firmware"))


def live(image: GuestImage, directory: Path) -> Life:
    with Machine(image, directory) as booted:
        console = booted.prompt()
        hostname, addresses, routes, told = (
            booted.type(command)
            for command in ("hostname", "ip -o -4 addr", "ip route", "cat /run/told")
        )
        booted.type("echo kept >/data/note")
        page = eventually(lambda: fetch(booted.forwarded_port()))
        booted.ask("system_powerdown")
        return Life(console, hostname, addresses, routes, told, page, booted.wait(), booted.disk)


def fetch(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE_S) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def test_it_boots_to_a_prompt_with_its_hostname(life: Life) -> None:
    assert life.hostname == f"{machine.HOSTNAME}\n"


def test_nothing_on_its_console_complains(life: Life) -> None:
    greeting, _, rest = life.console.strip().partition("\r\n")
    assert greeting.startswith("BusyBox v")
    assert rest == "Enter 'help' for a list of built-in commands."


def test_it_has_the_address_and_the_route_that_it_was_given(life: Life) -> None:
    assert f" {machine.ADDRESS}/24 " in life.addresses
    assert life.routes.startswith("default via 10.77.0.1 dev eth0")


def test_it_runs_the_script_in_its_user_data(life: Life) -> None:
    assert life.told == "from user-data\n"


def test_it_serves_its_page_to_the_host(life: Life) -> None:
    assert life.page == f"hostname: {machine.HOSTNAME}\naddress: eth0 {machine.ADDRESS}/24\n"


def test_the_power_button_ends_it_in_order(life: Life) -> None:
    assert life.exit_status == 0


def test_its_disk_keeps_what_was_written_and_is_clean(life: Life, tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    flat = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(life.disk), str(raw)]
    subprocess.run(flat, check=True, timeout=DEADLINE_S)
    check = ["e2fsck", "-fn", str(raw)]
    subprocess.run(check, check=True, capture_output=True, timeout=DEADLINE_S)
    read = ["debugfs", "-R", "cat /note", str(raw)]
    kept = subprocess.run(read, check=True, capture_output=True, timeout=DEADLINE_S)
    assert kept.stdout == b"kept\n"


def test_the_disk_image_boots_by_firmware_to_the_same(firmware_life: Life) -> None:
    assert firmware_life.hostname == f"{machine.HOSTNAME}\n"
    assert machine.ADDRESS in firmware_life.page
    assert firmware_life.exit_status == 0
