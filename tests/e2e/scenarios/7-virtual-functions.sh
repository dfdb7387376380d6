# 7: vGPUs that are PCI virtual functions, and passthrough devices
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# Host a has the devices of host-c of testdata/hosts, host b those of host-d.
mkdir "$work/functions"
ln -s "$top/testdata/hosts/linux-6.1/host-c" "$work/functions/host-a"
ln -s "$top/testdata/hosts/linux-6.1/host-d" "$work/functions/host-b"

# libvirt before 9.7 knows no driver with VFIO but vfio-pci, so it does not start a guest with such a vGPU.

function_of() { # ADDRESS SLOT: a hostdev of type pci, in this slot of the guest
    local bus=${1#*:} function=${1##*.}
    cat <<XML
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address domain='0x0000' bus='0x${bus%%:*}' slot='0x00' function='0x$function'/>
      </source>
      <address type='pci' domain='0x0000' bus='0x00' slot='$2' function='0x0'/>
    </hostdev>
XML
}

guest_with() { # NAME HOSTDEVS
    guest "$1" | sed '/<\/devices>/d; /<\/domain>/d'
    printf '%s\n  </devices>\n</domain>\n' "$2"
}

define_with() { # NAME HOSTDEVS: recorded
    guest_with "$1" "$2" | virt_mdev_on a fill --into metadata --devices mdev,vgpu,pci | define
    dumpxml a "$1" | grep -q ':pci source=' || { echo 'libvirt has not kept the record'; return 1; }
}

# ready live|offline GUEST: running, where it has to be
ready() { [ "$1" = offline ] || start "$2"; }

# migrate_to live|offline GUEST HOSTDEVS: with the addresses of the destination, as Nova does
migrate_to() {
    local way=$1 guest=$2
    virsh_on a dumpxml --migratable --domain "$(uuid_of "$guest")" |
        sed '/<hostdev /,/<\/hostdev>/d; /<\/devices>/,$d' > "$work/other.xml"
    printf '%s\n  </devices>\n</domain>\n' "$3" >> "$work/other.xml"
    migrate "$way" "$guest" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

same_type_arrives() { # live|offline
    use_our_hook b --require
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    ready "$1" vf
    migrate_to "$1" vf "$(function_of 0000:82:00.6 0x08)"
    arrived "$1" vf
    syslog_has b vf passes
    dumpxml b vf | grep -A 3 '<hostdev' | grep -qF "bus='0x82' slot='0x00' function='0x6'"
    dumpxml b vf | virt_mdev_on b check
}

retargeted_guest_arrives_on_another_function() { # live|offline
    use_our_hook b --require
    guest neighbour | virsh_on b define /dev/stdin
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    ready "$1" vf
    retarget_to_b vf
    migrate "$1" vf --xml "$work/new.xml" --persistent-xml "$work/new.xml"
    arrived "$1" vf
    syslog_has b vf passes
    dumpxml b vf | grep -A 3 '<hostdev' | grep -qF "bus='0x82' slot='0x00' function='0x6'"
    dumpxml b vf | grep -q "pci source=[\"']0000:82:00.6"
    dumpxml b vf | virt_mdev_on b check
}

another_type_is_refused() { # live|offline
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    ready "$1" vf
    refused migrate_to "$1" vf "$(function_of 0000:82:00.5 0x08)"
    client_sees 0000:82:00.5 nvidia-1150 nvidia-1148 host-b
    at_home "$1" vf
}

exchanged_functions_are_refused() { # live|offline
    define_with pair "$(function_of 0000:01:00.4 0x08; function_of 0000:01:00.6 0x09)"
    ready "$1" pair
    refused migrate_to "$1" pair "$(function_of 0000:82:00.5 0x08; function_of 0000:82:00.6 0x09)"
    client_sees 0000:82:00.5 0000:82:00.6 nvidia-1150 nvidia-1148
    at_home "$1" pair
    # not exchanged it arrives
    migrate_to "$1" pair "$(function_of 0000:82:00.6 0x08; function_of 0000:82:00.5 0x09)"
    arrived "$1" pair
}

untyped_function_is_refused() { # live|offline
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    ready "$1" vf
    refused migrate_to "$1" vf "$(function_of 0000:82:00.4 0x08)"
    client_sees 'echo 1148 > /sys/bus/pci/devices/0000:82:00.4/nvidia/current_vgpu_type'
    at_home "$1" vf
}

unrecorded_network_card_arrives() {
    use_our_hook b --require
    guest_with card "$(function_of 0000:03:00.0 0x08)" | define
    migrate_to offline card "$(function_of 0000:81:00.0 0x08)"
    arrived offline card
}

# set_type HOST ADDRESS TYPE
set_type() {
    # shellcheck disable=SC2016 # the host's shell expands it
    on "$1" /bin/sh -euc 'echo "$2" > "/sys/bus/pci/devices/$1/nvidia/current_vgpu_type"' sh "$2" "$3"
}

# type_is_set_late TYPE: another hook of host b sets it at `prepare begin`, before ours
type_is_set_late() {
    local hook=$hosts/b/etc/hooks/qemu.d/50-type
    # shellcheck disable=SC2016 # the hook expands it
    printf '#!/bin/sh\n[ "$2" != prepare ] || echo %s > /sys/bus/pci/devices/0000:82:00.4/nvidia/current_vgpu_type\n' \
        "$1" > "$hook"
    chmod 755 "$hook"
}

type_set_late_is_judged() { # live|offline
    local status=0
    use_our_hook b --defer-absent
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    ready "$1" vf
    if [ "$1" = live ]; then
        type_is_set_late 1150
        refused migrate_to live vf "$(function_of 0000:82:00.4 0x08)" || status=$?
        set_type b 0000:82:00.4 0
        [ $status = 0 ]
        client_sees 0000:82:00.4 nvidia-1150 nvidia-1148 'prepare begin'
        at_home live vf
    fi
    # an offline migration has no `prepare begin`
    type_is_set_late 1148
    migrate_to "$1" vf "$(function_of 0000:82:00.4 0x08)" || status=$?
    set_type b 0000:82:00.4 0
    [ $status = 0 ]
    arrived "$1" vf
}

unrecorded_function_is_refused_on_request() { # live|offline
    use_our_hook b --require
    guest_with vf "$(function_of 0000:01:00.4 0x08)" | define
    ready "$1" vf
    refused migrate_to "$1" vf "$(function_of 0000:82:00.6 0x08)"
    client_sees 0000:82:00.6 'not recorded' host-b
    at_home "$1" vf
}

start_on_another_type_is_refused() { # live|offline
    local status=0
    use_our_hook a --check-start
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    set_type a 0000:01:00.4 1150
    refused start vf || status=$?
    set_type a 0000:01:00.4 1148
    [ $status = 0 ]
    client_sees 0000:01:00.4 nvidia-1150 nvidia-1148 host-a
    ready "$1" vf
}

# After a BIOS update, say, the disk has the address that the network card had.
start_on_another_device_is_refused() {
    local here=/sys/bus/pci/devices status=0
    use_our_hook a --check-start
    define_with card "$(function_of 0000:03:00.0 0x08)"
    on a cp "$here"/0000:02:00.0/{vendor,device,class} "$here/0000:03:00.0/"
    refused start card || status=$?
    on a cp "$work/functions/host-a$here"/0000:03:00.0/{vendor,device,class} "$here/0000:03:00.0/"
    [ $status = 0 ]
    client_sees 0000:03:00.0 0x010802 0x020000
}

unrecorded_start_is_refused_on_request() {
    use_our_hook a --check-start --require
    guest_with vf "$(function_of 0000:01:00.4 0x08)" | define
    refused start vf
    client_sees 0000:01:00.4 'not recorded' host-a
}

start_hosts "$work/functions"
for way in offline live; do
    if [ $way = live ] && ! libvirt_since 9.7.0; then
        skip 'live migration of vGPUs that are virtual functions' "this libvirt knows no driver with VFIO but vfio-pci"
        break
    fi
    check "$way, a vGPU of the same type at another address arrives" same_type_arrives $way
    check "$way, a guest arrives on the function that retarget chooses" \
        retargeted_guest_arrives_on_another_function $way
    check "$way, a vGPU of another type is refused" another_type_is_refused $way
    check "$way, two vGPUs that were exchanged are refused" exchanged_functions_are_refused $way
    check "$way, a virtual function without a type is refused" untyped_function_is_refused $way
    check "$way, with --defer-absent a type that another hook sets is judged after it" type_set_late_is_judged $way
    check "$way, with --require an unrecorded vGPU is refused" unrecorded_function_is_refused_on_request $way
    check "$way, virsh start is refused while the vGPU has another type" start_on_another_type_is_refused $way
done
check 'with --require an unrecorded network card arrives' unrecorded_network_card_arrives
check 'virsh start is refused when another device is at the address' start_on_another_device_is_refused
check 'with --require virsh start of an unrecorded vGPU is refused' unrecorded_start_is_refused_on_request
start_hosts "$trees"
