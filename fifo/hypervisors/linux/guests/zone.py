"""The small zone: busybox, a first process that serves one page, and nothing that logs.

Its first process reaps orphans, stops in order within 0.3 s of SIGTERM or SIGPWR, and ends with
the status that stands in /run/exit-code, 0 without that file (`exit-with 7` writes it and stops).
When its server dies it ends with 70, so that a restart policy has something to act on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests import file_tree

if TYPE_CHECKING:
    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.file_tree import Tree

COMMAND: Final = ("/sbin/init",)
PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"

INIT: Final = f"""\
#!/bin/sh
# The first process of a zone.
export PATH={PATH} HOME=/root

finish() {{
    trap '' TERM INT PWR USR1 USR2
    # Again until it is gone: a child between fork and exec takes a signal for the shell's, and
    # loses it. Outside a process namespace of its own, 'everybody' would be the host.
    while [ -n "$server" ] && kill -0 "$server"; do
        if [ "$$" = 1 ]; then kill -TERM -1; else kill -TERM "$server"; fi
        sleep 0.03
    done 2>/dev/null
    code=0
    if [ -s /run/exit-code ]; then read -r code </run/exit-code; fi
    exit "$code"
}}
server=
# busybox says halt by USR1, poweroff by USR2, reboot by TERM.
trap finish TERM INT PWR USR1 USR2

console() {{
    cd /root
    while :; do
        sh -i </dev/console >/dev/console 2>&1
        sleep 1
    done
}}

httpd -f -p 80 -h /srv/www &
server=$!
if [ -t 0 ]; then console & fi
# Waiting for one child reaps all others that end meanwhile, orphans included.
wait "$server"
exit 70
"""

EXIT_WITH: Final = """\
#!/bin/sh
# exit-with STATUS: let the zone end by itself with this status.
echo "$1" >/run/exit-code
kill -TERM 1
"""

PAGE: Final = r"""#!/bin/sh
# The page is made when it is asked for: addresses may come after the start.
printf 'Content-Type: text/plain\r\n\r\n'
echo "hostname: $(hostname)"
ip -o addr show scope global | while read -r _ interface _ address _; do
    echo "address: $interface $address"
done
"""


def common(busybox: Busybox) -> Tree:
    """Return what the zone and the VM share: busybox, the page, and the usual files of /etc."""
    empty = ("dev", "proc", "sys", "run", "var/log", "root")
    return {
        **busybox.tree(),
        **dict.fromkeys(empty, file_tree.DIRECTORY),
        "tmp": file_tree.STICKY_DIRECTORY,
        "var/run": file_tree.link("../run"),
        "etc/passwd": file_tree.file(
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        ),
        "etc/group": file_tree.file("root:x:0:\nnogroup:x:65534:\n"),
        "etc/hosts": file_tree.file("127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
        "etc/resolv.conf": file_tree.file(""),
        "etc/hostname": file_tree.file(""),
        "srv/www/cgi-bin/index.cgi": file_tree.script(PAGE),
    }


def tree(busybox: Busybox) -> Tree:
    """Return the root file system of the small zone."""
    return {
        **common(busybox),
        "etc/os-release": file_tree.file('ID=fifo-zone\nNAME="FiFo small zone"\n'),
        "sbin/init": file_tree.script(INIT),
        "sbin/exit-with": file_tree.script(EXIT_WITH),
    }
