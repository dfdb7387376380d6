# shellcheck shell=bash
# shellcheck disable=SC2154 # lab, hosts, work, e2e, top and VIRT_MDEV are set by run
# Functions for the scenarios: hosts, guests, hooks and expectations. Sourced by `run`.

# Devices of the trees. On host-b the first is the same device, the second has another type, the third another parent,
# and the fourth does not exist; `twin_of_other_type` has the identity there that `other_type` has on host-a.
# shellcheck disable=SC2034 # used by the scenarios
{
    same=c0ffee01-0000-4000-8000-000000000001
    other_type=c0ffee02-0000-4000-8000-000000000002
    other_parent=c0ffee03-0000-4000-8000-000000000003
    absent=c0ffee04-0000-4000-8000-000000000004
    twin_of_other_type=0b0b0b0b-0000-4000-8000-00000000000b
}

# ---- hosts -----------------------------------------------------------------------------------------------------------

on() { "$lab" on "$hosts" "$@"; }                                # HOST CMD…

virsh_on() { local host=$1; shift; on "$host" virsh -q "$@"; }   # HOST ARGUMENT…

virt_mdev_on() { local host=$1; shift; on "$host" virt-mdev "$@"; }

start_hosts() { # TREES: starts both hosts with these devices and our hook, after it has ended those that are up
    local host
    [ ! -d "$hosts" ] || "$lab" down "$hosts"
    "$lab" up "$hosts" "$1" || fatal 'the two hosts do not start'
    for host in a b; do
        install -m 755 "$e2e/qemu-novfio" "$hosts/$host/bin/qemu-novfio"
        with_binary "$host"
        mkdir "$hosts/$host/etc/hooks/qemu.d"
        listen_to_syslog "$host"
        use_our_hook "$host"
        # libvirt looks only when it starts or is reloaded whether there are any hooks
        "$lab" reload "$hosts" "$host" || fatal "host $host does not reload"
    done
}

listen_to_syslog() { # HOST: what is sent to /dev/log there goes to $work/syslog.HOST
    # Perl, since every Debian has it
    # shellcheck disable=SC2016 # Perl's own variables
    on "$1" perl -MIO::Socket::UNIX -e '
        my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/dev/log") or die; $| = 1;
        while (defined $socket->recv(my $line, 65536)) { chomp $line; print "$line\n" }' \
        >> "$work/syslog.$1" 2>&1 < /dev/null &
    until on "$1" test -S /dev/log; do sleep 0.02; done
}

# sweep: removes all guests and hooks from both hosts, and installs our hook with its binary
sweep() {
    local host guest
    for host in a b; do
        for guest in $(virsh_on "$host" list --all --uuid); do
            virsh_on "$host" destroy --domain "$guest" >/dev/null 2>&1
            virsh_on "$host" undefine --domain "$guest" --managed-save >/dev/null 2>&1
        done
        [ -z "$(virsh_on "$host" list --all --name)" ] || fatal "host $host still has guests"
        rm -f "$hosts/$host/etc/hooks/qemu.d"/*
        use_our_hook "$host"
        with_binary "$host"
        : > "$work/syslog.$host"
    done
}

# ---- hooks -----------------------------------------------------------------------------------------------------------

use_our_hook() { # HOST [OPTION]…: installs the shipped hook, with the OPTIONs turned on as an administrator does
    local conf=$hosts/$1/whole-etc/virt-mdev/hook.conf option
    rm -f "$hosts/$1/etc/hooks/qemu.d/zz-virt-mdev"
    install -m 755 "$top/hooks/virt-mdev-hook" "$hosts/$1/bin/virt-mdev-hook"
    ln -s /usr/local/bin/virt-mdev-hook "$hosts/$1/etc/hooks/qemu.d/zz-virt-mdev"
    sed 's|^binary=.*|binary=/usr/local/bin/virt-mdev|' "$top/hooks/hook.conf" > "$conf"
    shift
    for option; do
        sed -i "s/^#option=$option$/option=$option/" "$conf"
        grep -qx "option=$option" "$conf" || { echo "no $option to turn on in hook.conf"; return 1; }
    done
}

set_option() { echo "option=$2" >> "$hosts/$1/whole-etc/virt-mdev/hook.conf"; } # HOST OPTION

use_hook() { # HOST TEXT: installs a hook with this text instead of ours
    printf '%s\n' "$2" > "$work/hook"
    use_no_hook "$1"
    install -m 755 "$work/hook" "$hosts/$1/etc/hooks/qemu.d/zz-virt-mdev"
}

use_no_hook() { rm -f "$hosts/$1/etc/hooks/qemu.d/zz-virt-mdev"; }

with_binary() { # HOST
    local binary=$hosts/$1/bin/virt-mdev
    if [ -f "$binary" ] && [ -x "$binary" ] && cmp -s "$VIRT_MDEV" "$binary"; then return; fi
    rm -rf "$binary"
    install -m 755 "$VIRT_MDEV" "$binary"
}

without_binary() { rm -f "$hosts/$1/bin/virt-mdev"; }            # HOST: until the next sweep

# ---- guests ----------------------------------------------------------------------------------------------------------

# uuid_of GUEST: its UUID, since virsh takes a name that begins with a dash for an option
uuid_of() {
    local sum
    sum=$(printf %s "$1" | md5sum)
    echo "${sum:0:8}-${sum:8:4}-4${sum:13:3}-8${sum:17:3}-${sum:20:12}"
}

# guest NAME [MDEV]…: XML of a guest that needs no disk, no network and no KVM
guest() {
    cat <<XML
<domain type='qemu'>
  <name>$1</name>
  <uuid>$(uuid_of "$1")</uuid>
  <memory unit='MiB'>16</memory>
  <memtune>
    <hard_limit unit='KiB'>8192</hard_limit>
  </memtune>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
  </os>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
  </cpu>
  <devices>
    <emulator>/usr/local/bin/qemu-novfio</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
XML
    local mdev
    shift
    for mdev; do hostdev_of "$mdev"; done
    printf '  </devices>\n</domain>\n'
}

hostdev_of() { # MDEV
    cat <<XML
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
      <source>
        <address uuid='$1'/>
      </source>
    </hostdev>
XML
}

define() { virsh_on a define /dev/stdin; }                       # stdin: XML

define_recorded() { guest "$@" | virt_mdev_on a fill --into metadata | define; }

# record_addresses GUEST: once it is defined its devices have guest addresses, and so have the records then
record_addresses() { on a env EDITOR='virt-mdev fill -i --into metadata' virsh edit --domain "$(uuid_of "$1")"; }

start() { virsh_on a start --domain "$(uuid_of "$1")"; }         # GUEST

dumpxml() { virsh_on "$1" dumpxml --inactive --domain "$(uuid_of "$2")"; } # HOST GUEST

# becomes HOST GUEST STATE: soon, since libvirt kills a guest asynchronously
becomes() {
    local _
    for _ in $(seq 100); do
        [ "$(state "$1" "$2")" != "$3" ] || return 0
        sleep 0.05
    done
    expect "$(state "$1" "$2")" "$3"
}

state() { virsh_on "$1" domstate --domain "$(uuid_of "$2")"; }   # HOST GUEST

# migrate live|offline GUEST [ARGUMENT]…: from a to b; what the client is told goes to $work/client too
migrate() {
    local way=$1 guest
    guest=$(uuid_of "$2")
    shift 2
    virsh_on a migrate "--$way" --persistent --undefinesource --domain "$guest" \
        --desturi qemu+tcp://host-b/system "$@" 2>&1 | tee "$work/client"
    return "${PIPESTATUS[0]}"
}

# retarget_to_b GUEST: its domain for host b goes to $work/new.xml
retarget_to_b() {
    virt_mdev_on b list --json > "$work/b.json"
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$1")" |
        virt_mdev_on a retarget --host "$work/b.json" --in-use "$hosts/b/etc/qemu/*.xml" > "$work/new.xml"
}

pid_of() { on "$1" cat "/run/libvirt/qemu/$2.pid"; }             # HOST GUEST

# remake HOST MDEV TYPE: recreates the device with another type of the same parent
remake() {
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" /bin/sh -euc '
        cd -P "/sys/bus/mdev/devices/$1"
        types=../mdev_supported_types
        [ -d "$types/$2" ]
        rm -f "$types"/*/devices/"$1"
        ln -sfn "$types/$2" mdev_type
        mkdir -p "$types/$2/devices"
        ln -sfn "../../../$1" "$types/$2/devices/$1"' sh "$2" "$3"
}

# ---- what is expected ------------------------------------------------------------------------------------------------

refused() { # CMD…: it must fail; its output goes to $work/client
    local status=0
    "$@" > "$work/client" 2>&1 || status=$?
    cat "$work/client"
    [ "$status" != 0 ] || { echo "not refused: $*"; return 1; }
}

client_sees() { # WORD…: what the client was told contains each of them
    local word
    for word; do
        grep -qF -- "$word" "$work/client" || { echo "the client is not told: $word"; return 1; }
    done
}

syslog_has() { # HOST WORD…: one line of its syslog with all of them, soon
    local host=$1 _ word lines
    shift
    for _ in $(seq 50); do
        lines=$(cat "$work/syslog.$host")
        for word; do lines=$(grep -F -- "$word" <<< "$lines") || true; done
        [ -z "$lines" ] || return 0
        sleep 0.02
    done
    echo "not in the syslog of host $host: $*"
    cat "$work/syslog.$host"
    return 1
}

# libvirt_since VERSION: whether this libvirt is as new
libvirt_since() { printf '%s\n' "$1" "$(virsh --version)" | sort -CV; }

expect() { # VALUE WANTED
    [ "$1" = "$2" ] || { printf 'expected: %s\n     got: %s\n' "$2" "$1"; return 1; }
}

nothing_on() { # HOST
    expect "$(virsh_on "$1" list --all --name)" ''
    expect "$(find "$hosts/$1/etc/qemu" -name '*.xml' 2>/dev/null)" ''
}

# at_home live|offline GUEST: still on host a, and nothing of it on host b
at_home() {
    if [ "$1" = live ]; then expect "$(state a "$2")" running; else expect "$(state a "$2")" 'shut off'; fi
    nothing_on b
}

# arrived live|offline GUEST: on host b, and gone from host a
arrived() {
    if [ "$1" = live ]; then expect "$(state b "$2")" running; else expect "$(state b "$2")" 'shut off'; fi
    nothing_on a
}

# records HOST GUEST: how many devices are recorded, with any prefix and quotes, which libvirt may rewrite
records() { dumpxml "$1" "$2" | grep -cE '<([a-z]+:)?hostdev uuid=' || true; }
