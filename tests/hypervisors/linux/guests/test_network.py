"""What the VM reads of a network-config: the words that the shell acts on."""

from __future__ import annotations

import asyncio

import pytest

from fifo.hypervisors.linux.guests import spawning, vm

FLOW = """
version: 2
ethernets:
  eth0:
    match: {macaddress: "52:54:00:AB:00:01"}
    mtu: 1400
    addresses: [10.77.0.5/24, "fd00:77::5/64"]
    gateway4: 10.77.0.1
    nameservers: {search: [example.org], addresses: [10.77.0.53, "fd00:77::53"]}
"""
BLOCK = """
network:
  version: 2
  ethernets:
    # the first
    id0:
      match:
        macaddress: '52:54:00:ab:00:01'
      set-name: eth0
      dhcp4: false
      addresses:
        - 10.77.0.5/24
      routes:
        - to: default
          via: 10.77.0.1
    id1:
      addresses:
        - 10.78.0.5/24
      nameservers:
        addresses:
          - 10.78.0.53
"""
FLOW_WORDS = """
interface eth0
mac 52:54:00:ab:00:01
mtu 1400
address 10.77.0.5/24
address fd00:77::5/64
gateway 10.77.0.1
nameserver 10.77.0.53
nameserver fd00:77::53
"""
BLOCK_WORDS = """
interface id0
mac 52:54:00:ab:00:01
address 10.77.0.5/24
gateway 10.77.0.1
interface id1
address 10.78.0.5/24
nameserver 10.78.0.53
"""
CASES = {
    "flow style": (FLOW, FLOW_WORDS),
    "block style, two interfaces": (BLOCK, BLOCK_WORDS),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("config", "words"), CASES.values(), ids=CASES)
def test_each_style_gives_the_words_that_the_shell_acts_on(config: str, words: str) -> None:
    argv = ["/bin/busybox", "awk", vm.NETWORK_AWK]
    done = asyncio.run(spawning.run(argv, stdin=config.encode(), deadline_s=10.0))
    assert (done.status, done.stdout.decode()) == (0, words.lstrip())
