# 4: a manager gives the guest the destination's own device: virsh migrate --xml
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# migrate_onto GUEST MDEV: as Nova and KubeVirt do, with the UUID of a device of the destination
migrate_onto() {
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$1")" > "$work/source.xml"
    sed "s/<address uuid='[^']*'/<address uuid='$2'/" "$work/source.xml" > "$work/other.xml"
    ! cmp -s "$work/source.xml" "$work/other.xml" || { echo 'the XML is as it was'; return 1; }
    migrate live "$1" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

right_one_arrives() { # GUEST
    define_recorded "$1" "$other_type"
    start "$1"
    migrate_onto "$1" "$twin_of_other_type"
    arrived live "$1"
    dumpxml b "$1" | grep -F "<address uuid='$twin_of_other_type'"
    dumpxml b "$1" | virt_mdev_on b check
    # fill then brings the record's UUID up to date, and nothing else
    dumpxml b "$1" > "$work/arrived.xml"
    virt_mdev_on b fill --into metadata < "$work/arrived.xml" > "$work/filled.xml"
    sed "s/$other_type/$twin_of_other_type/" "$work/arrived.xml" | diff - "$work/filled.xml"
}

wrong_one_is_refused() { # GUEST
    define_recorded "$1" "$other_type"
    start "$1"
    refused migrate_onto "$1" "$same"
    client_sees "$1" "$same" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

# The scripts of qemu.d run in byte order, each gets what the one before it printed: ours sees the device that counts.
migrate_with_earlier_hook() { # GUEST MDEV
    # shellcheck disable=SC2016 # the hook expands it
    printf '#!/bin/sh\n[ "$2" != migrate ] || exec sed "/<address uuid=/s/%s/%s/"\n' "$other_type" "$2" > "$work/hook"
    install -m 755 "$work/hook" "$hosts/b/etc/hooks/qemu.d/10-own-device"
    define_recorded "$1" "$other_type"
    start "$1"
    migrate live "$1"
}

right_one_of_a_hook_arrives() { # GUEST
    migrate_with_earlier_hook "$1" "$twin_of_other_type"
    arrived live "$1"
    # what runs, not what is defined: a hook changes only that
    virsh_on b dumpxml --domain "$(uuid_of "$1")" | grep -F "<address uuid='$twin_of_other_type'"
}

wrong_one_of_a_hook_is_refused() { # GUEST
    refused migrate_with_earlier_hook "$1" "$same"
    client_sees "$1" "$same" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

for name in moved -dash --help; do
    check "virsh migrate --xml of '$name' onto an equal device: arrives" right_one_arrives $name
    check "virsh migrate --xml of '$name' onto an unequal device: refused" wrong_one_is_refused $name
done
check 'an earlier hook gives the guest an equal device of the destination: arrives' right_one_of_a_hook_arrives early
check 'an earlier hook gives it an unequal one: refused' wrong_one_of_a_hook_is_refused early
