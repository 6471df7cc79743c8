"""The small VM: its initramfs, whose first process configures it from a NoCloud disk.

The root file system is the initramfs. The first disk, labelled `fifo-data`, is mounted at /data
and keeps what is written there. Of a NoCloud disk (label `cidata`) it reads

- meta-data: `local-hostname: NAME`;
- network-config, version 2: of each interface `macaddress`, `mtu`, `addresses` (with prefix
  length), `gateway4`, `gateway6` or the `via` of a default route, and `nameservers`. Block and flow
  style, as far as a key stands before its values; of `routes` only defaults;
- user-data: run in the background if it begins with `#!`, else ignored.

Source: cloud-init's documentation of NoCloud and of network-config version 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests import file_tree, zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.file_tree import Tree

PROMPT: Final = "[fifo-guest "
"""What the shell on the serial console prints before the host name and `]# `.

After it busybox asks the terminal where its cursor is (ESC [ 6 n): a program drops that.
"""
DATA_LABEL: Final = "fifo-data"
KERNEL_ARGS: Final = (
    "console=ttyS0 quiet nokaslr mitigations=off no_timer_check tsc=reliable panic=-1"
)
"""The fastest to a prompt under TCG; a panic ends QEMU at once where it runs with -no-reboot."""
MODULES: Final = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "isofs",
    "evdev",
    "button",
    "virtio_balloon",
    "pvpanic_mmio",
)
"""What the kernel package does not have built in: disks, network, NoCloud, the power button, and
what tells QEMU of a panic."""

NETWORK_AWK: Final = r"""
# Words of network-config, as lines 'key value' for the shell. A key is a word with a colon at its
# end; a key that is not the format's own is the name of an interface.
BEGIN {
    own = " version: ethernets: match: macaddress: set-name: addresses: gateway4: gateway6:"
    own = own " nameservers: search: routes: to: via: mtu: dhcp4: dhcp6: network: optional: "
}
{ sub(/^[ \t]*#.*/, ""); gsub(/[][{}"',]/, " ") }
{
    for (i = 1; i <= NF; i++) {
        word = $i
        if (word == "-") continue
        if (word ~ /^[A-Za-z][A-Za-z0-9_-]*:$/) {
            key = word
            if (!index(own, " " key " ")) print "interface", substr(key, 1, length(key) - 1)
        }
        else if (key == "macaddress:") print "mac", tolower(word)
        else if (key == "mtu:") print "mtu", word
        else if (key == "addresses:") print (word ~ /\// ? "address" : "nameserver"), word
        else if (key ~ /^(gateway4|gateway6|via):$/) print "gateway", word
    }
}
"""

INIT: Final = f"""\
#!/bin/sh
# The first process of a VM.
export PATH={zone.PATH} HOME=/root TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
while read -r module; do
    insmod "/lib/modules/$module.ko"
done </lib/modules/order

# text_at DEVICE OFFSET LENGTH
text_at() {{ dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr -d '\\0'; }}

# The volume id of ISO 9660 is at 32,808; the label of ext4 at 1,144.
for disk in /sys/class/block/vd*; do
    disk=/dev/${{disk##*/}}
    case $(text_at "$disk" 32808 6) in
        cidata|CIDATA) mkdir -p /run/cidata && mount -t iso9660 -o ro "$disk" /run/cidata ;;
    esac
    if [ "$(text_at "$disk" 1144 16)" = {DATA_LABEL} ]; then
        mkdir -p /data && mount -t ext4 "$disk" /data
    fi
done

device_of() {{ grep -lix "$1" /sys/class/net/*/address | head -n 1 | cut -d / -f 5; }}

configure_network() {{
    device=
    while read -r key value; do
        case $key in
            interface) device=$value ;;
            mac) device=$(device_of "$value") ;;
            mtu) ip link set "$device" mtu "$value" ;;
            address) ip link set "$device" up && ip addr add "$value" dev "$device" ;;
            gateway) ip route replace default via "$value" dev "$device" ;;
            nameserver) echo "nameserver $value" >>/etc/resolv.conf ;;
        esac
    done
}}

ip link set lo up
hostname guest
if [ -d /run/cidata ]; then
    name=$(sed -n 's/^local-hostname: *//p' /run/cidata/meta-data | tr -d "'\\"")
    hostname "${{name:-guest}}"
    if [ -f /run/cidata/network-config ]; then
        awk -f /lib/network.awk /run/cidata/network-config | configure_network
    fi
    if [ "$(text_at /run/cidata/user-data 0 2)" = '#!' ]; then
        cp /run/cidata/user-data /run/user-data && chmod 700 /run/user-data
        /run/user-data >/run/user-data.log 2>&1 &
    fi
fi
hostname >/etc/hostname

finish() {{
    trap '' TERM USR1 USR2 PWR
    kill -TERM -1
    wait "$server"
    kill -KILL -1
    if [ -d /data ]; then umount /data; fi
    sync
    "$1" -f
}}
# busybox says halt by USR1, poweroff by USR2, reboot by TERM.
trap 'finish poweroff' USR1 USR2 PWR
trap 'finish reboot' TERM

export PS1='{PROMPT}\\h]# '
console() {{
    cd /root
    while :; do
        setsid cttyhack sh -i
        sleep 1
    done
}}

httpd -f -p 80 -h /srv/www &
server=$!
acpid
console &
while :; do wait; done
"""

POWER_BUTTON: Final = """\
#!/bin/sh
kill -PWR 1
"""


def tree(busybox: Busybox, modules: Mapping[str, bytes]) -> Tree:
    """Return the initramfs; `modules` are in the order in which they are to be loaded."""
    order = "".join(f"{name}\n" for name in modules)
    return {
        **zone.common(busybox),
        **{f"lib/modules/{name}.ko": file_tree.file(data) for name, data in modules.items()},
        "lib/modules/order": file_tree.file(order),
        "lib/network.awk": file_tree.file(NETWORK_AWK.lstrip()),
        "etc/os-release": file_tree.file('ID=fifo-vm\nNAME="FiFo small VM"\n'),
        "etc/acpi/PWRF/00000080": file_tree.script(POWER_BUTTON),
        "init": file_tree.script(INIT),
    }
