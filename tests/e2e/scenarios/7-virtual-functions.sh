# 7: vGPUs that are PCI virtual functions, and passthrough devices
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# The guests are recorded on host-c of testdata/hosts and come to host-d: hook and fill read those trees. libvirt needs no
# such device to define a guest, nor for an offline migration; a start is refused before it looks for one.
functions_here=$top/testdata/hosts/linux-6.1/host-c/sys
functions_there=$top/testdata/hosts/linux-6.1/host-d/sys

# reads HOST TREE [OPTION]…: our hook with these options, which reads the devices of this tree
reads() {
    local host=$1 tree=$2
    shift 2
    use_our_hook "$host" "$@"
    sed -i "s|^options=\$|options='--sysfs $tree'|" "$hosts/$host/etc/hooks/qemu.d/zz-virt-mdev"
}

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

define_with() { # NAME HOSTDEVS: recorded with the devices of host-c
    guest_with "$1" "$2" | virt_mdev_on a fill --into metadata --devices mdev,vgpu,pci --sysfs "$functions_here" | define
    dumpxml a "$1" | grep -q ':pci source=' || { echo 'libvirt has not kept the record'; return 1; }
}

# migrate_to GUEST HOSTDEVS: with the addresses of the destination, as Nova does
migrate_to() {
    local hostdevs=$2
    dumpxml a "$1" | sed '/<hostdev /,/<\/hostdev>/d; /<\/devices>/,$d' > "$work/other.xml"
    printf '%s\n  </devices>\n</domain>\n' "$hostdevs" >> "$work/other.xml"
    migrate offline "$1" --xml "$work/other.xml" --persistent-xml "$work/other.xml"
}

same_type_arrives() {
    reads b "$functions_there" --require
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    migrate_to vf "$(function_of 0000:82:00.6 0x08)"
    arrived offline vf
    syslog_has b vf passes
}

another_type_is_refused() {
    reads b "$functions_there"
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    refused migrate_to vf "$(function_of 0000:82:00.5 0x08)"
    client_sees 0000:82:00.5 nvidia-1150 nvidia-1148 host-b
    at_home offline vf
}

exchanged_functions_are_refused() {
    reads b "$functions_there"
    define_with pair "$(function_of 0000:01:00.4 0x08; function_of 0000:01:00.6 0x09)"
    refused migrate_to pair "$(function_of 0000:82:00.5 0x08; function_of 0000:82:00.6 0x09)"
    client_sees 0000:82:00.5 0000:82:00.6 nvidia-1150 nvidia-1148
    at_home offline pair
    # not exchanged it arrives
    migrate_to pair "$(function_of 0000:82:00.6 0x08; function_of 0000:82:00.5 0x09)"
    arrived offline pair
}

untyped_function_is_refused() {
    reads b "$functions_there"
    define_with vf "$(function_of 0000:01:00.4 0x08)"
    refused migrate_to vf "$(function_of 0000:82:00.4 0x08)"
    client_sees 'echo 1148 > /sys/bus/pci/devices/0000:82:00.4/nvidia/current_vgpu_type'
    at_home offline vf
    # where another hook sets the type at the start, it is judged there
    reads b "$functions_there" --defer-absent
    migrate_to vf "$(function_of 0000:82:00.4 0x08)"
    arrived offline vf
}

unrecorded_function_is_refused_on_request() {
    reads b "$functions_there" --require
    guest_with plain "$(function_of 0000:81:00.0 0x08)" | define
    migrate offline plain
    arrived offline plain
    guest_with vf "$(function_of 0000:82:00.6 0x08)" | define
    refused migrate offline vf
    client_sees 0000:82:00.6 'not recorded' host-b
    expect "$(state a vf)" 'shut off'
}

# After a BIOS update, say, the address is another device's.
start_is_refused_when_the_device_became_another() { # ADDRESS THEN WORD…
    reads a "$functions_here" --check-start
    define_with started "$(function_of "$1" 0x08)"
    dumpxml a started | sed "s/bus='0x${1:5:2}' slot='0x00' function='0x${1##*.}'/bus='0x${2:5:2}' slot='0x00' function='0x${2##*.}'/" | define
    refused start started
    shift
    client_sees "$@"
}

check 'a vGPU of the same type at another address arrives' same_type_arrives
check 'a vGPU of another type is refused' another_type_is_refused
check 'two vGPUs that were exchanged are refused' exchanged_functions_are_refused
check 'a virtual function without a type is refused, or deferred' untyped_function_is_refused
check 'with --require an unrecorded vGPU is refused, and a network card is not' unrecorded_function_is_refused_on_request
check 'virsh start is refused when the vGPU has another type' \
    start_is_refused_when_the_device_became_another 0000:01:00.4 0000:01:00.6 nvidia-1150 nvidia-1148
check 'virsh start is refused when another device is at the address' \
    start_is_refused_when_the_device_became_another 0000:03:00.0 0000:02:00.0 0x010802 0x020000
