# 2: a migration between equal devices passes, one between unequal devices does not
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

ready() { # live|offline GUEST: starts it for a live migration
    if [ "$1" = live ]; then start "$2"; fi
}

arrives_unchanged() { # live|offline GUEST MDEV…
    local way=$1
    shift
    define_recorded "$@"
    ready "$way" "$1"
    dumpxml a "$1" > "$work/before.xml"
    migrate "$way" "$1"
    arrived "$way" "$1"
    # without whitespace: libvirt 9.0.0 indents the metadata of a live migration by two more
    dumpxml b "$1" | diff -b "$work/before.xml" -
    dumpxml b "$1" | virt_mdev_on b check
}

# stays_home live|offline GUEST MDEV WORD…: refused, with a message that contains the words
stays_home() {
    local way=$1 guest=$2 mdev=$3
    shift 3
    define_recorded "$guest" "$mdev"
    ready "$way" "$guest"
    refused migrate "$way" "$guest"
    client_sees "$guest" "$mdev" host-b "$@"
    at_home "$way" "$guest"
    syslog_has b "$guest" "$mdev"
    # and its record still agrees with host a
    dumpxml a "$guest" | virt_mdev_on a check
}

half_recorded_stays_home() {
    define_recorded half "$same"
    dumpxml a half | sed "s|^    <hostdev |    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>\\
      <source><address uuid='$other_type'/></source>\\
    </hostdev>\\
&|" | define
    expect "$(records a half)" 1
    start half
    refused migrate live half
    client_sees half "$other_type" host-b
    at_home live half
}

unrecorded_arrives() { # live|offline GUEST MDEV
    guest "$2" "$3" | define
    ready "$1" "$2"
    migrate "$1" "$2"
    arrived "$1" "$2"
    syslog_has b "$2"
}

unrecorded_is_refused_on_request() { # live|offline GUEST MDEV
    use_our_hook b --require
    guest "$2" "$3" | define
    ready "$1" "$2"
    refused migrate "$1" "$2"
    client_sees "$2" host-b
    at_home "$1" "$2"
}

recorded_arrives_on_request() {
    use_our_hook b --require
    define_recorded required "$same"
    start required
    migrate live required
    arrived live required
}

# A domain without mdevs, in everything that libvirt does with a guest.
passes_everywhere() { # GUEST [OPTION]…
    local name=$1 uuid pid
    uuid=$(uuid_of "$1")
    shift
    use_our_hook a "$@"
    use_our_hook b "$@"
    guest "$name" | define
    start "$name"
    virsh_on a save --domain "$uuid" --file "$work/saved"
    virsh_on a restore --file "$work/saved"
    virsh_on a managedsave --domain "$uuid"
    start "$name"
    pid=$(pid_of a "$name")
    "$lab" restart "$hosts" a
    expect "$(state a "$name")" running
    expect "$(pid_of a "$name")" "$pid"
    migrate live "$name"
    arrived live "$name"
    virsh_on b destroy --domain "$uuid"
    virsh_on b start --domain "$uuid"
    virsh_on b destroy --domain "$uuid"
}

without_binary_passes_everywhere() {
    without_binary a
    without_binary b
    passes_everywhere "$@"
    expect "$(cat "$work/syslog.a" "$work/syslog.b")" ''
}

# break_binary HOST HOW: until the next sweep
break_binary() {
    local binary=$hosts/$1/bin/virt-mdev
    case $2 in
        missing)          rm "$binary" ;;
        'not executable') chmod 644 "$binary" ;;
        'a directory')    rm "$binary"; mkdir "$binary" ;;
        'a text')         echo 'touch /run/executed' > "$binary" ;;
        'cut off')        truncate -s 4096 "$binary" ;;
    esac
}

broken_binary_passes() { # HOW
    define_recorded damaged "$other_type"
    start damaged
    break_binary b "$1"
    migrate live damaged
    arrived live damaged
    syslog_has b damaged 'cannot be judged on host-b'
    on b test ! -e /run/executed
}

broken_binary_refuses_on_request() { # HOW
    use_our_hook b --require
    define_recorded damaged "$same"
    start damaged
    break_binary b "$1"
    refused migrate live damaged
    client_sees damaged 'cannot be judged on host-b' --require
    at_home live damaged
    syslog_has b damaged 'cannot be judged on host-b'
    on b test ! -e /run/executed
}

# The picture in the README shows these commands and their output. UPDATE_EXPECT=1 draws it again.
picture_shows_the_refusal() {
    local picture=$top/docs/refused.svg
    guest win10 "$other_type" | sed "s|^    </hostdev>|      <address type='pci' slot='0x09'/>\n&|" \
        | virt_mdev_on a fill --into metadata | define
    start win10
    session() { # COMMAND
        echo "# $1"
        { on a bash -c "$1" 2>&1 || true; } | sed '/^$/d'
    }
    {
        session 'virsh dumpxml win10 | virt-mdev check'
        # The environment of the hook is left out.
        session 'virsh migrate --live win10 qemu+tcp://host-b/system' | sed 's|(LC_ALL=C .* \(/etc/libvirt/\)|(\1|'
        session 'virsh domstate win10'
    } > "$work/session"
    cat "$work/session"
    "$e2e/picture" < "$work/session" > "$work/refused.svg"
    [ -z "${UPDATE_EXPECT:-}" ] || cp "$work/refused.svg" "$picture"
    diff "$picture" "$work/refused.svg"
}

typo_refuses_mdevs() {
    set_option b --requier
    define_recorded mistyped "$same"
    start mistyped
    refused migrate live mistyped
    client_sees 'guest mistyped'
    at_home live mistyped
}

typo_passes_others() {
    set_option b --requier
    guest unconcerned | define
    start unconcerned
    migrate live unconcerned
    arrived live unconcerned
}

# Why a hook has to pass what it does not judge, and that the checks below can fail.
failing_reconnect_kills() {
    guest victim "$same" | define
    start victim
    use_hook a $'#!/bin/sh\n[ "$2" != reconnect ]'
    "$lab" restart "$hosts" a
    becomes a victim 'shut off'
}

survives_restart() { # GUEST present|missing [OPTION]…: with or without virt-mdev at the restart
    local name=$1 binary=$2 pid
    shift 2
    define_recorded "$name" "$same"
    start "$name"
    pid=$(pid_of a "$name")
    use_our_hook a "$@"
    [ "$binary" = present ] || without_binary a
    remake a "$same" i915-V5_8
    "$lab" restart "$hosts" a || { remake a "$same" i915-V5_4; return 1; }
    remake a "$same" i915-V5_4
    expect "$(state a "$name")" running
    expect "$(pid_of a "$name")" "$pid"
}

times_out() {
    local begin=$EPOCHREALTIME end vendor=/sys/bus/mdev/devices/$same/../vendor
    define_recorded stuck "$same"
    start stuck
    # shellcheck disable=SC2016 # the host's shell expands it
    on b /bin/sh -euc 'v=$(realpath "$1"); mv "$v" "$v.kept"; mkfifo "$v"
        sleep 20 <>"$v" >/dev/null 2>&1 &' sh "$vendor"
    refused migrate live stuck || :
    end=$EPOCHREALTIME
    # shellcheck disable=SC2016 # the host's shell expands it
    on b /bin/sh -euc 'v=$(realpath "$1"); mv "$v.kept" "$v"' sh "$vendor"
    client_sees stuck
    grep -E '\b10 ?s\b|in time|time is up' "$work/client"
    at_home live stuck
    local took=$(((${end/./} - ${begin/./}) / 1000))
    echo "took $took ms"
    [ $took -ge 9000 ] && [ $took -lt 13000 ]
    # host b works as before: the device is readable again, and the guest arrives
    migrate live stuck
    arrived live stuck
}

for way in live offline; do
    for name in plain -dash --help; do
        check "$way, the same device: '$name' arrives unchanged" arrives_unchanged $way $name "$same"
    done
    check "$way, another type: refused" stays_home $way --help "$other_type" i915-V5_8 i915-V5_4
    check "$way, another parent: refused" stays_home $way -dash "$other_parent" 8086 10d3 1b36 0005
    check "$way, no such device: refused" stays_home $way plain "$absent"
    check "$way, no record: arrives, with a warning in syslog" unrecorded_arrives $way --help "$other_type"
    check "$way, no record, with --require: refused" unrecorded_is_refused_on_request $way -dash "$same"
done
check 'live, a record, with --require: arrives' recorded_arrives_on_request
check 'live, a device without a record beside one that has one: refused' half_recorded_stays_home
check 'no mdevs: starts, is saved, restored, migrated, survives a restart of libvirtd' passes_everywhere none
check 'no mdevs, with --require --check-start: the same' passes_everywhere --help --require --check-start
check 'no mdevs, virt-mdev missing on both hosts: the same' without_binary_passes_everywhere unjudged
check 'no mdevs, virt-mdev missing, with --require --check-start: the same' \
    without_binary_passes_everywhere unjudged --require --check-start
for how in missing 'not executable' 'a directory' 'a text' 'cut off'; do
    check "an mdev, virt-mdev on the destination is $how: arrives, with a warning in syslog" broken_binary_passes "$how"
    check "the same with --require: refused" broken_binary_refuses_on_request "$how"
done
check 'a typo in hook.conf: a guest with an mdev is refused' typo_refuses_mdevs
check 'a typo in hook.conf: a guest without one arrives' typo_passes_others
check 'another hook that fails at a restart of libvirtd: it kills the guest' failing_reconnect_kills
check 'ours, a guest with a wrong device survives the restart' survives_restart --help present
check 'the same with --require --check-start' survives_restart -dash present --require --check-start
check 'the same with virt-mdev missing' survives_restart bereft missing --require --check-start
check 'a FIFO that nobody writes to as vendor on the destination: refused after 10 s, and the words say so' times_out
check 'the picture in the README shows what virsh prints when a migration is refused' picture_shows_the_refusal
