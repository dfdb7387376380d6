#!/bin/bash
# Two libvirt hosts, a and b, on one machine, joined by a veth pair. Needs root, libvirtd, virsh, QEMU; no GPU, no KVM.
#
#   lab.sh up DIR TREES       start both and wait until they answer (at most LAB_WAIT s, 20). They write only below DIR,
#                             which must not exist yet. Host a sees the devices of TREES/host-a/sys, host b those of
#                             TREES/host-b/sys
#   lab.sh on DIR HOST CMD…   run CMD on host a or b: its network, mounts, host name, processes
#   lab.sh reload DIR HOST    send SIGHUP to that libvirtd: it reads hooks and domain files again
#   lab.sh restart DIR HOST   stop that libvirtd and start it again; guests keep running
#   lab.sh down DIR           stop both, by the process ids recorded in DIR, and remove DIR
#
# A host is one process tree in its own network, mount, UTS, IPC and PID namespace with its own /etc, /etc/libvirt,
# /var/{lib,cache,log}/libvirt, /run and /usr/local/bin; DIR/HOST/{whole-etc,etc,lib,cache,log,run,bin} are those directories
# as the machine sees them. Nothing has a name in the machine's own namespaces (no `ip netns`, no
# bridge), so all of it is gone when the tree ends. It ends by itself after LAB_TTL seconds (900).
#
# libvirt itself sees the devices of the trees: `virsh nodedev-list --cap mdev` lists the mediated ones, and a domain that
# has one, or since libvirt 9.7 a vGPU that is a virtual function, starts, saves and migrates live, given an <emulator> that leaves vfio-pci out (qemu-novfio) and, where the
# memory lock limit cannot be raised, a <hard_limit> below it.
set -eu

ip_a=192.0.2.1 ip_b=192.0.2.2                           # TEST-NET-1, inside the namespaces only
libvirtd=(libvirtd -l -p /run/libvirtd.pid)
# Without the last one libudev does not accept a tree on tmpfs as sysfs, and the node device driver lists nothing.
clean_env=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
    SYSTEMD_DEVICE_VERIFY_SYSFS=0)

die() { echo "lab.sh: $*" >&2; exit 2; }

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 2; }

# ---- inside a host: these run in the new namespaces; `declare -f` copies them there ---------------------------------

# host_main DIR HOST IP TREE: pid 1 of a host
host_main() {
    local dir=$1 host=$2 ip=$3 tree=$4 name
    set -e
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    own_etc "$dir"
    mkdir -p /run/libvirt /run/lock /etc/libvirt /var/{lib,cache,log}/libvirt
    mount --bind "$dir/run" /run/libvirt
    mount --bind "$dir/etc" /etc/libvirt
    mount --bind "$dir/bin" /usr/local/bin
    for name in lib cache log; do mount --bind "$dir/$name" "/var/$name/libvirt"; done
    for name in hosts passwd group; do mount --bind "$dir/$name" "/etc/$name"; done
    hostname "host-$host"
    own_sys "$dir" "$tree"
    own_dev "$dir"
    mount --rbind "$dir/sys" /sys
    mount --rbind "$dir/dev" /dev
    ip link set lo up
    until ip link show eth-lab >/dev/null 2>&1; do sleep 0.02; done      # the wire comes from `lab.sh up`
    ip addr add "$ip/24" dev eth-lab
    ip link set eth-lab up
    set +e
    cd / || exit
    shift 4
    "$@" &
    while :; do wait -n || sleep 0.2; done                               # pid 1 stays: it reaps what QEMU leaves
}

# own_etc DIR: DIR/whole-etc, a copy of /etc for the hook's settings. It has a file to mount `hosts` over; a container may
# have none
own_etc() {
    cp -a /etc "$1/whole-etc"
    : > "$1/whole-etc/hosts"
    mkdir -p "$1/whole-etc/virt-mdev"
    mount --bind "$1/whole-etc" /etc
}

# own_sys DIR TREE: DIR/sys, a sysfs of this network namespace with the tree's devices in it
own_sys() {
    local dir=$1 tree=$2 sys=$1/sys real=$1/sysfs part device group=0 vendor product
    mkdir -p "$real" "$sys"
    mount -t sysfs sysfs "$real"
    mount -t tmpfs tmpfs "$sys"
    cp -a "$tree/." "$sys/"
    for part in devices/system class/net devices/virtual/net kernel/mm fs module firmware; do
        [ -d "$real/$part" ] || continue
        mkdir -p "$sys/$part"
        mount --rbind "$real/$part" "$sys/$part"
    done
    # libvirt needs an IOMMU group for each mdev and PCI device, the `vfio-dev` that tells it of a driver with VFIO for
    # each virtual function that is a vGPU, and the config space of each PCI device; the trees have none of them.
    for device in "$sys"/bus/{mdev,pci}/devices/*; do
        [ -e "$device" ] || continue
        group=$((group + 1))
        device=$(realpath "$device")
        mkdir -p "$sys/kernel/iommu_groups/$group/devices"
        ln -s "$(realpath --relative-to="$device" "$sys/kernel/iommu_groups/$group")" "$device/iommu_group"
        ln -s "$(realpath --relative-to="$sys/kernel/iommu_groups/$group/devices" "$device")" \
            "$sys/kernel/iommu_groups/$group/devices/"
        [ ! -d "$device/nvidia" ] || mkdir -p "$device/vfio-dev/vfio$group"
    done
    for device in "$sys"/devices/pci*/*/ "$sys"/devices/pci*/*/*:*/; do
        [ -e "$device/vendor" ] || continue
        vendor=$(cat "$device/vendor") product=$(cat "$device/device")
        { printf '%b' "\\x${vendor:4:2}\\x${vendor:2:2}\\x${product:4:2}\\x${product:2:2}"; head -c 252 /dev/zero; } \
            > "$device/config"
    done
}

# own_dev DIR: DIR/dev, a /dev with a VFIO group for each IOMMU group of DIR/sys
own_dev() {
    local dev=$1/dev name group
    mkdir -p "$dev"
    mount -t tmpfs tmpfs "$dev"
    mkdir "$dev"/{vfio,pts,shm}
    : > "$dev/vfio/vfio"
    for group in "$1"/sys/kernel/iommu_groups/*; do : > "$dev/vfio/${group##*/}"; done
    for name in null zero full random urandom tty; do
        : > "$dev/$name"
        mount --bind "/dev/$name" "$dev/$name"
    done
    for name in pts shm; do mount --rbind "/dev/$name" "$dev/$name"; done
    ln -s pts/ptmx "$dev/ptmx"
    ln -s /proc/self/fd "$dev/fd"
    for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$dev/${name#*:}"; done
}

# ---- outside ---------------------------------------------------------------------------------------------------------

configure() { # DIR HOST: writes what the host has below /etc
    local dir=$1 host=$2 file
    mkdir -p "$dir"/{bin,cache,etc/hooks,lib/qemu,log,run}
    printf '127.0.0.1 localhost\n%s host-a\n%s host-b\n' "$ip_a" "$ip_b" > "$dir/hosts"
    # libvirtd does not start without the user it would run QEMU as, even where qemu.conf names another; Debian makes
    # that user in libvirt-daemon-system, which also brings services that nobody wants on a test machine.
    for file in passwd group; do cp "/etc/$file" "$dir/$file"; done
    grep -q ^libvirt-qemu: "$dir/passwd" \
        || echo 'libvirt-qemu:x:64055:64055:Libvirt Qemu:/var/lib/libvirt:/usr/sbin/nologin' >> "$dir/passwd"
    for file in libvirt-qemu:x:64055: kvm:x:64056:; do
        grep -q "^${file%%:*}:" "$dir/group" || echo "$file" >> "$dir/group"
    done
    # `reload` waits for this: libvirtd calls it after it has looked for hooks.
    # shellcheck disable=SC2016 # the hook expands it
    printf '#!/bin/sh\n[ "$2" != reload ] || : > /etc/libvirt/reloaded\n' > "$dir/etc/hooks/daemon"
    chmod 755 "$dir/etc/hooks/daemon"
    cat > "$dir/etc/libvirtd.conf" <<CONF
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
listen_addr = "0.0.0.0"
host_uuid = "0000000$host-0000-4000-8000-00000000000$host"
log_outputs = "${LAB_LOG:-2}:file:$dir/log/libvirtd.log"
CONF
    cat > "$dir/etc/qemu.conf" <<'CONF'
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
CONF
}

start_host() { # DIR HOST IP TREE
    local dir=$1 script
    # shellcheck disable=SC2016 # the inner bash expands them
    script="$(declare -f host_main own_etc own_sys own_dev)"'; host_main "$@"'
    "${clean_env[@]}" timeout -s KILL "${LAB_TTL:-900}" unshare --net --mount --uts --ipc --pid --fork --kill-child \
        /bin/bash -c "$script" "lab-host-$2" "$@" "${libvirtd[@]}" > "$dir/log/out" 2>&1 < /dev/null &
    echo $! > "$dir/timeout.pid"
}

init_of() { # DIR HOST: pid 1 of a host, as the machine sees it: timeout -> unshare -> bash
    local pid _
    pid=$(cat "$1/$2/timeout.pid") || return 1
    for _ in 1 2; do
        pid=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || return 1
        pid=${pid%% *}
        [ -n "$pid" ] || return 1
    done
    echo "$pid"
}

on() { # DIR HOST CMD…
    local pid
    pid=$(cat "$1/$2/init.pid")
    shift 2
    nsenter -t "$pid" -n -m -u -i -p -r --wdns="$PWD" -- "$@"
}

answers() { on "$1" "$2" timeout 5 virsh -q -c qemu:///system uri >/dev/null 2>&1; }

await() { # DIR HOST END
    until [ -S "$1/$2/run/libvirt-sock" ] && answers "$1" "$2"; do
        [ "$SECONDS" -lt "$3" ] \
            || die "host $2 does not answer: $(cat "$1/$2/log/out"; tail -n 3 "$1/$2/log/libvirtd.log")"
        sleep 0.05
    done
}

up() { # DIR TREES
    local dir=$1 trees=$2 host name pid end=$((SECONDS + ${LAB_WAIT:-20}))
    [ "$(id -u)" = 0 ] || die "needs root (namespaces, libvirtd)"
    for name in unshare nsenter ip timeout libvirtd virsh; do command -v $name >/dev/null || die "needs $name"; done
    for host in a b; do [ -d "$trees/host-$host/sys/bus" ] || die "no sysfs in $trees/host-$host/sys"; done
    trees=$(cd "$trees" && pwd)
    mkdir "$dir" || die "$dir: must not be there yet"
    dir=$(cd "$dir" && pwd)
    : > "$dir/.lab"
    for host in a b; do
        configure "$dir/$host" $host
        name=ip_$host
        start_host "$dir/$host" $host "${!name}" "$trees/host-$host/sys"
    done
    for host in a b; do
        until pid=$(init_of "$dir" $host) && ! [ "/proc/$pid/ns/net" -ef /proc/self/ns/net ]; do
            [ "$SECONDS" -lt "$end" ] || die "host $host did not start: $(cat "$dir/$host/log/out")"
            sleep 0.02
        done
        echo "$pid" > "$dir/$host/init.pid"
    done
    nsenter -t "$(cat "$dir/a/init.pid")" -n \
        ip link add eth-lab type veth peer name eth-lab netns "$(cat "$dir/b/init.pid")"
    for host in a b; do await "$dir" $host $end; done
}

reload() { # DIR HOST
    local mark=$1/$2/etc/reloaded end=$((SECONDS + 10))
    rm -f "$mark"
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" "$2" /bin/sh -c 'kill -HUP "$(cat /run/libvirtd.pid)"'
    until [ -e "$mark" ]; do
        [ "$SECONDS" -lt "$end" ] || die "libvirtd of host $2 does not reload"
        sleep 0.01
    done
}

restart() { # DIR HOST
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" "$2" /bin/sh -c 'p=$(cat /run/libvirtd.pid); kill "$p"
        for i in $(seq 250); do [ -e "/proc/$p" ] || exit 0; sleep 0.02; done; exit 1' \
        || die "libvirtd of host $2 does not stop"
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" "$2" /bin/sh -c 'cd /; setsid "$@" </dev/null >/dev/null 2>&1 &' sh "${clean_env[@]}" "${libvirtd[@]}"
    await "$1" "$2" $((SECONDS + 10))
}

down() { # DIR
    local dir=$1 host pid _
    for host in a b; do
        pid=$(cat "$dir/$host/init.pid" 2>/dev/null) || pid=$(init_of "$dir" $host) || pid=
        # only if it is still ours: its command line names this lab
        if [ -n "$pid" ] && tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF "lab-host-$host $dir/$host"; then
            kill -KILL "$pid"                                    # pid 1 of a PID namespace takes the whole tree along
            for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.02; done
        fi
    done
    if [ -e "$dir/.lab" ]; then rm -rf "$dir"; fi
}

[ $# -ge 2 ] || usage
command=$1 dir=$2
shift 2
[ "$command" = up ] || dir=$(cd "$dir" 2>/dev/null && pwd) || die "$dir: no lab here"
case $command in
    up)      [ $# = 1 ] || usage; up "$dir" "$1" ;;
    on)      on "$dir" "$@" ;;
    reload)  reload "$dir" "$1" ;;
    restart) restart "$dir" "$1" ;;
    down)    down "$dir" ;;
    *)       usage ;;
esac
