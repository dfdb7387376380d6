# 4: a guest gets another device than it had, by virsh migrate --xml, by another hook or by its administrator
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# migrate_onto GUEST MDEV: with the UUID of a device of the destination, as Nova and KubeVirt do
migrate_onto() {
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$1")" > "$work/source.xml"
    sed "s/<address uuid='[^']*'/<address uuid='$2'/" "$work/source.xml" > "$work/other.xml"
    ! cmp -s "$work/source.xml" "$work/other.xml" || { echo 'the XML is unchanged'; return 1; }
    migrate live "$1" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

right_one_arrives() { # GUEST
    use_our_hook b --follow-guest-address
    define_recorded "$1" "$other_type"
    record_addresses "$1"
    start "$1"
    migrate_onto "$1" "$twin_of_other_type"
    arrived live "$1"
    dumpxml b "$1" | grep -F "<address uuid='$twin_of_other_type'"
    # then fill corrects the UUID of the record, which check finds the same
    dumpxml b "$1" | virt_mdev_on b fill --into metadata > "$work/filled.xml"
    grep "<mdev:hostdev uuid=.$twin_of_other_type" "$work/filled.xml"
    ! grep -F "$other_type" "$work/filled.xml" || return 1
    virt_mdev_on b check < "$work/filled.xml"
}

wrong_one_is_refused() { # GUEST
    use_our_hook b --follow-guest-address
    define_recorded "$1" "$other_type"
    start "$1"
    refused migrate_onto "$1" "$same"
    client_sees "$1" "$same" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

# A guest with one record and one device: no address is needed to pair them.
single_one_without_address_arrives() { # GUEST
    use_our_hook b --follow-guest-address
    define_recorded "$1" "$other_type"
    start "$1"
    migrate_onto "$1" "$twin_of_other_type"
    arrived live "$1"
    syslog_has b "$1" "$twin_of_other_type" "$other_type"
}

# The default: a record says nothing about a device of another UUID.
other_uuid_is_refused() { # GUEST
    define_recorded "$1" "$other_type"
    record_addresses "$1"
    start "$1"
    refused migrate_onto "$1" "$twin_of_other_type"
    client_sees "$1" "$twin_of_other_type" "$other_type"
    at_home live "$1"
}

# exchange GUEST: its two devices exchange their UUIDs on the way
exchange() {
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$1")" > "$work/source.xml"
    sed "s/<address uuid='$same'/<address uuid='X'/; s/<address uuid='$other_type'/<address uuid='$same'/
        s/<address uuid='X'/<address uuid='$other_type'/" "$work/source.xml" > "$work/other.xml"
    migrate live "$1" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

exchanged_pair_is_refused() { # [OPTION]…
    use_our_hook b "$@"
    remake b "$other_type" i915-V5_8
    trap 'remake b "$other_type" i915-V5_4' EXIT
    define_recorded pair "$same" "$other_type"
    record_addresses pair
    start pair
    refused exchange pair
    client_sees pair "$same" "$other_type" i915-V5_4 i915-V5_8 host-b
    at_home live pair
    # unchanged it arrives
    migrate live pair
    arrived live pair
}

# replace_device GUEST FROM TO: detaches one device from a guest on host a, and attaches another
replace_device() {
    local uuid
    uuid=$(uuid_of "$1")
    hostdev_of "$2" > "$work/detached.xml"
    hostdev_of "$3" > "$work/attached.xml"
    virsh_on a detach-device --domain "$uuid" --file "$work/detached.xml" --config
    virsh_on a attach-device --domain "$uuid" --file "$work/attached.xml" --config
}

# The record of a device that was detached says nothing about the one that replaced it.
replaced_device_is_refused() {
    define_recorded replaced "$same"
    replace_device replaced "$same" "$other_type"
    start replaced
    refused migrate live replaced
    client_sees replaced "$other_type" host-b
    at_home live replaced
}

# two_records GUEST first|last: the record that is right comes first or last of two with one UUID
two_records() {
    guest "$1" "$other_type" | virt_mdev_on a fill --into metadata > "$work/one.xml"
    # shellcheck disable=SC2016 # Perl's own variables
    perl -0pe 's{(\s*<mdev:hostdev .*?</mdev:hostdev>)}{my ($r, $w) = ($1, $1); $w =~ s/V5_8/V5_4/;
        "'"$2"'" eq "first" ? "$r$w" : "$w$r"}se' "$work/one.xml" > "$work/two.xml"
    define < "$work/two.xml"
}

two_records_are_refused() { # GUEST first|last
    two_records "$1" "$2"
    start "$1"
    refused migrate live "$1"
    client_sees "$1" 'two records have the UUID' host-b
    at_home live "$1"
}

# What fill writes agrees with the device, whatever was recorded before.
refilled_after_replacement_arrives() {
    define_recorded refilled "$other_type"
    record_addresses refilled
    replace_device refilled "$other_type" "$same"
    record_addresses refilled
    start refilled
    migrate live refilled
    arrived live refilled
}

# The scripts of qemu.d run in byte order, and each gets what the one before printed: ours sees the device that is used.
migrate_with_earlier_hook() { # GUEST MDEV
    # shellcheck disable=SC2016 # the hook expands it
    printf '#!/bin/sh\n[ "$2" != migrate ] || exec sed "/<address uuid=/s/%s/%s/"\n' "$other_type" "$2" > "$work/hook"
    install -m 755 "$work/hook" "$hosts/b/etc/hooks/qemu.d/10-own-device"
    define_recorded "$1" "$other_type"
    start "$1"
    migrate live "$1"
}

right_one_of_a_hook_arrives() { # GUEST
    use_our_hook b --follow-guest-address
    migrate_with_earlier_hook "$1" "$twin_of_other_type"
    arrived live "$1"
    # in the running domain: a hook does not change the definition
    virsh_on b dumpxml --domain "$(uuid_of "$1")" | grep -F "<address uuid='$twin_of_other_type'"
}

wrong_one_of_a_hook_is_refused() { # GUEST
    use_our_hook b --follow-guest-address
    refused migrate_with_earlier_hook "$1" "$same"
    client_sees "$1" "$same" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

# bind_function HOST ADDRESS: makes a PCI function look as if it were bound to vfio-pci
bind_function() {
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" /bin/sh -euc '
        cd -P "/sys/bus/pci/devices/$1"
        mkdir -p /sys/bus/pci/drivers/vfio-pci /sys/kernel/iommu_groups/90/devices
        ln -sfn "$(realpath --relative-to=. /sys/bus/pci/drivers/vfio-pci)" driver
        ln -sfn "$(realpath --relative-to=. /sys/kernel/iommu_groups/90)" iommu_group
        ln -sfn "$(realpath --relative-to=/sys/kernel/iommu_groups/90/devices .)" "/sys/kernel/iommu_groups/90/devices/$1"
        : > /dev/vfio/90' sh "$2"
}

# migrate_onto_function GUEST: its mdev becomes a PCI function of host b, at the same guest address
migrate_onto_function() {
    bind_function b 0000:01:00.0
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$1")" > "$work/source.xml"
    perl -0pe "s{<hostdev mode='subsystem' type='mdev'[^>]*>\s*<source>.*?</source>}{<hostdev mode='subsystem' type='pci' \
managed='no'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>}s" \
        "$work/source.xml" > "$work/other.xml"
    ! cmp -s "$work/source.xml" "$work/other.xml" || { echo 'the XML is unchanged'; return 1; }
    migrate live "$1" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

function_is_refused() { # [OPTION]…
    use_our_hook b "$@"
    define_recorded function "$other_type"
    record_addresses function
    start function
    refused migrate_onto_function function
    client_sees function "$other_type"
    at_home live function
    syslog_has b function "$other_type"
}

# Without an address in the record it is not known whether the function replaced the device.
function_arrives_with_a_warning() {
    define_recorded function "$other_type"
    start function
    migrate_onto_function function
    arrived live function
    syslog_has b function "$other_type"
}

function_without_address_is_refused_on_request() {
    use_our_hook b --require
    define_recorded function "$other_type"
    start function
    refused migrate_onto_function function
    client_sees function "$other_type"
    at_home live function
}

check 'virsh migrate --xml onto an equal device of another UUID: refused' other_uuid_is_refused strict
for name in moved -dash --help; do
    check "--follow-guest-address, migrate --xml of '$name' onto an equal device: arrives" right_one_arrives $name
    check "--follow-guest-address, migrate --xml of '$name' onto an unequal device: refused" wrong_one_is_refused $name
done
check '--follow-guest-address, one record without an address, one device: arrives, with a line in syslog' \
    single_one_without_address_arrives single
check '--follow-guest-address, an earlier hook gives the guest an equal device: arrives' right_one_of_a_hook_arrives early
check '--follow-guest-address, an earlier hook gives it an unequal one: refused' wrong_one_of_a_hook_is_refused early
check 'two devices exchanged by migrate --xml: refused' exchanged_pair_is_refused
check 'two devices exchanged by migrate --xml, --follow-guest-address: refused' \
    exchanged_pair_is_refused --follow-guest-address
check 'detach-device, attach-device of another that differs on the destination: refused' replaced_device_is_refused
for order in first last; do
    check "two records of one UUID, the right one $order: refused" two_records_are_refused twofold $order
done
check 'detach-device, attach-device of another, fill: arrives' refilled_after_replacement_arrives
if libvirt_since 11.0.0; then
    check 'an mdev becomes a PCI function by migrate --xml: refused' function_is_refused
    check 'the same with --require' function_is_refused --require
    check 'the same, the record without an address: arrives, with a warning in syslog' function_arrives_with_a_warning
    check 'the same, the record without an address, with --require: refused' \
        function_without_address_is_refused_on_request
else
    skip 'an mdev becomes a PCI function by migrate --xml' 'libvirt refuses that itself before 11.0'
fi
