"""What a zone costs without FiFo: runc create and start, an overlay, and the same network by ip.

Run as `python -m benchmarks.programs.bare_zone COUNT` as root; it leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.programs.meter import emit
from fifo.hypervisors.linux.guests import spawning, zone_image

BRIDGE = "bench-bare0"
SUBNET = "10.120.0"


def run(*argv: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(argv, check=True, capture_output=True)


class Bare:
    """Zones by the plain tools."""

    def __init__(self, base: Path, lower: Path) -> None:
        self.base = base
        self.lower = lower
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "link", "set", BRIDGE, "up")

    def close(self) -> None:
        """Remove the bridge."""
        run("ip", "link", "delete", BRIDGE)

    def create(self, number: int) -> None:
        """Make and start one zone: the eight calls of ip, a mount, runc's two."""
        name = f"bench-bare-{number}"
        bundle = self.base / name
        for part in ("upper", "work", "root"):
            (bundle / part).mkdir(parents=True)
        layers = f"lowerdir={self.lower},upperdir={bundle}/upper,workdir={bundle}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", str(bundle / "root"))
        for command in (
            f"netns add {name}",
            f"link add bb{number} type veth peer name net0 netns {name}",
            f"link set bb{number} master {BRIDGE} up",
            f"-n {name} addr add {SUBNET}.{number + 10}/24 dev net0",
            f"-n {name} link set net0 up",
            f"-n {name} link set lo up",
            f"-n {name} route add default via {SUBNET}.{number + 10}",
            f"link show bb{number}",
        ):
            run("ip", *command.split())
        run("runc", "spec", "--bundle", str(bundle))
        config = json.loads((bundle / "config.json").read_text())
        config["root"] = {"path": "root", "readonly": False}
        config["process"]["terminal"] = False
        config["process"]["args"] = ["/sbin/init"]
        config["process"].pop("rlimits", None)
        for space in config["linux"]["namespaces"]:
            if space["type"] == "network":
                space["path"] = f"/run/netns/{name}"
        (bundle / "config.json").write_text(json.dumps(config))
        with (bundle / "log").open("wb") as log:
            subprocess.run(
                ("/usr/bin/env", "runc", "create", "--bundle", str(bundle), name),
                check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        run("runc", "start", name)

    def remove(self, number: int) -> None:
        """Remove one zone."""
        name = f"bench-bare-{number}"
        run("runc", "delete", "--force", name)
        run("umount", str(self.base / name / "root"))
        run("ip", "netns", "delete", name)


def main() -> None:
    """Measure."""
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        image = asyncio.run(zone_image.build(spawning.run, base / "guests"))
        lower = base / "lower"
        with tarfile.open(image.path("rootfs")) as archive:
            # As an attribute, since Debian 12's Python 3.11.2 has no such argument.
            archive.extraction_filter = lambda member, _: member
            archive.extractall(lower)  # noqa: S202 - built a moment ago
        bare = Bare(base, lower)
        times = []
        try:
            for number in range(count):
                began_s = time.perf_counter()
                bare.create(number)
                times.append(time.perf_counter() - began_s)
                bare.remove(number)
        finally:
            bare.close()
    emit("zone_create", 1000 * statistics.median(times), "ms")


if __name__ == "__main__":
    main()
