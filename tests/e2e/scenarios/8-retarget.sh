# 8: a guest goes to a host where its device has another UUID
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# Host b has the UUID of `other_type` for a device of another type, and the recorded identity under another UUID.

# with_neighbour MDEV: host b has a guest that has this device
with_neighbour() { guest neighbour "$1" | virsh_on b define /dev/stdin; }

# has HOST GUEST MDEV [OPTION]: this device in the hostdev and in the record
has() {
    local xml
    xml=$(virsh_on "$1" dumpxml --domain "$(uuid_of "$2")" "${@:4}")
    grep -E '<address uuid=|hostdev uuid=' <<< "$xml"
    expect "$(grep -oE "<address uuid='[^']*'" <<< "$xml")" "<address uuid='$3'"
    grep -qE "<[a-z]+:hostdev uuid=[\"']$3[\"']" <<< "$xml"
}

retargeted_guest_arrives() { # live|offline
    use_our_hook b --require
    with_neighbour "$same"
    define_recorded moving "$other_type"
    [ "$1" = offline ] || start moving
    refused migrate "$1" moving
    client_sees "$other_type" i915-V5_4 i915-V5_8
    retarget_to_b moving
    migrate "$1" moving --xml "$work/new.xml" --persistent-xml "$work/new.xml"
    arrived "$1" moving
    syslog_has b moving passes
    has b moving "$twin_of_other_type"
    has b moving "$twin_of_other_type" --inactive
    virsh_on b dumpxml --inactive --domain "$(uuid_of moving)" | virt_mdev_on b check
}

# As virt-mdev-retarget(1) says.
definition_keeps_the_old_device_with_xml_alone() {
    use_our_hook b --require
    with_neighbour "$same"
    define_recorded moving "$other_type"
    start moving
    retarget_to_b moving
    migrate live moving --xml "$work/new.xml"
    arrived live moving
    has b moving "$twin_of_other_type"
    has b moving "$other_type" --inactive
}

device_of_a_neighbour_is_not_chosen() {
    with_neighbour "$twin_of_other_type"
    define_recorded moving "$other_type"
    refused retarget_to_b moving
    client_sees "$other_type" '--create-plan'
    expect "$(cat "$work/new.xml")" ''
}

for way in offline live; do
    check "$way, a guest arrives on another UUID of the same identity, and so does its definition" \
        retargeted_guest_arrives $way
done
check 'with --xml alone, the definition keeps the old UUID' definition_keeps_the_old_device_with_xml_alone
check 'a device that a guest of the destination has is not chosen' device_of_a_neighbour_is_not_chosen
