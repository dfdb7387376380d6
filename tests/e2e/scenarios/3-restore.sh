# 3: a saved guest, and a guest that got its record while it ran
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

saved() { [ -e "$hosts/a/lib/qemu/save/$1.save" ]; }              # GUEST: is there an image of managedsave?

# while_other_type CMD…: runs CMD while the device has another type
while_other_type() {
    local status=0
    remake a "$same" i915-V5_8
    "$@" || status=$?
    remake a "$same" i915-V5_4
    return $status
}

# refused_on_other_type GUEST CMD…: CMD is refused while the device has another type, and works when it has its own again
refused_on_other_type() {
    local name=$1
    shift
    while_other_type refused "$@"
    client_sees "$name" "$same" i915-V5_4 i915-V5_8 host-a
    expect "$(state a "$name")" 'shut off'
    "$@"
    expect "$(state a "$name")" running
}

# libvirt 11.3 deletes the image where a hook fails at `restore begin`, so our script judges at `prepare begin`.
managedsave_is_judged() { # GUEST [OPTION]…
    local name=$1
    shift
    use_our_hook a "$@"
    define_recorded "$name" "$same"
    start "$name"
    virsh_on a managedsave --domain "$(uuid_of "$name")"
    refused_on_other_type "$name" start_saved "$name"
    client_sees 'prepare begin'
    ! saved "$name"
}

start_saved() { saved "$1" && start "$1"; }

# What the script relies on.
failure_at_prepare_keeps_image() {
    guest kept "$same" | define
    start kept
    virsh_on a managedsave --domain "$(uuid_of kept)"
    use_hook a $'#!/bin/sh\n[ "$2" != prepare ]'
    refused start_saved kept
    expect "$(state a kept)" 'shut off'
    use_our_hook a
    start_saved kept
    expect "$(state a kept)" running
}

force_boot_is_not_judged() { # GUEST
    define_recorded "$1" "$same"
    start "$1"
    virsh_on a managedsave --domain "$(uuid_of "$1")"
    while_other_type virsh_on a start --force-boot --domain "$(uuid_of "$1")"
    ! saved "$1"
}

restore_is_judged() { # GUEST
    define_recorded "$1" "$same"
    start "$1"
    virsh_on a save --domain "$(uuid_of "$1")" --file "$work/saved"
    refused_on_other_type "$1" virsh_on a restore --file "$work/saved"
    client_sees 'restore begin'
}

restore_beside_image_is_judged() { # GUEST
    define_recorded "$1" "$same"
    start "$1"
    virsh_on a save --domain "$(uuid_of "$1")" --file "$work/saved"
    start "$1"
    virsh_on a managedsave --domain "$(uuid_of "$1")"
    refused_on_other_type "$1" restore_beside_image "$1"
    client_sees 'prepare begin'
}

restore_beside_image() { saved "$1" && virsh_on a restore --file "$work/saved"; }

start_is_judged_on_request() { # GUEST
    use_our_hook a --check-start
    define_recorded "$1" "$same"
    refused_on_other_type "$1" start "$1"
}

start_is_not_judged() { # GUEST
    define_recorded "$1" "$same"
    while_other_type start "$1"
}

# record_running GUEST: with the command of the man page
record_running() {
    local uuid record
    uuid=$(uuid_of "$1")
    record=$(virsh_on a dumpxml --domain "$uuid" | virt_mdev_on a fill --metadata-only)
    virsh_on a metadata --domain "$uuid" --uri urn:virt-mdev:1 --key mdev --live --config --set "$record"
    expect "$(records a "$1")" 1
    virsh_on a dumpxml --domain "$uuid" | virt_mdev_on a check
}

recorded_while_running_is_refused() { # GUEST
    guest "$1" "$other_type" | define
    start "$1"
    record_running "$1"
    refused migrate live "$1"
    client_sees "$1" "$other_type" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

recorded_while_running_arrives() { # GUEST
    guest "$1" "$same" | define
    start "$1"
    record_running "$1"
    use_our_hook b --require
    migrate live "$1"
    arrived live "$1"
    expect "$(records b "$1")" 1
}

saved_before_record_is_edited() { # GUEST
    use_our_hook a --require
    guest "$1" "$same" | define
    start "$1"
    virsh_on a managedsave --domain "$(uuid_of "$1")"
    refused start_saved "$1"
    client_sees "$1" 'prepare begin'
    on a env EDITOR='virt-mdev fill -i --into metadata' virsh managedsave-edit --domain "$(uuid_of "$1")"
    start_saved "$1"
    expect "$(state a "$1")" running
}

transient_is_recorded_live() { # GUEST
    local uuid record
    uuid=$(uuid_of "$1")
    guest "$1" "$other_type" | virsh_on a create /dev/stdin
    record=$(virsh_on a dumpxml --domain "$uuid" | virt_mdev_on a fill --metadata-only)
    refused virsh_on a metadata --domain "$uuid" --uri urn:virt-mdev:1 --key mdev --live --config --set "$record"
    virsh_on a metadata --domain "$uuid" --uri urn:virt-mdev:1 --key mdev --live --set "$record"
    refused virsh_on a migrate --live --domain "$uuid" --desturi qemu+tcp://host-b/system
    client_sees "$1" "$other_type" i915-V5_8 i915-V5_4 host-b
    at_home live "$1"
}

failing_fill_deletes_nothing() {
    local uuid
    uuid=$(uuid_of lasting)
    define_recorded lasting "$same"
    start lasting
    # host b does not have the device, so fill prints nothing
    refused virsh_on a metadata --domain "$uuid" --uri urn:virt-mdev:1 --key mdev --live --config \
        --set "$(guest lasting "$absent" | virt_mdev_on b fill --metadata-only || :)"
    expect "$(records a lasting)" 1
}

for name in put-by -dash --help; do
    check "managedsave of '$name', the device recreated with another type, start: refused, the saved state stays" managedsave_is_judged $name
done
check 'the same with --require --check-start' managedsave_is_judged 'a b' --require --check-start
check 'managedsave, a hook that fails at prepare begin: libvirt keeps the saved state' failure_at_prepare_keeps_image
check 'managedsave, start --force-boot on another type: not judged' force_boot_is_not_judged forced
check 'save, the device recreated with another type, restore: refused' restore_is_judged -dash
check 'the same beside an image of managedsave: refused at prepare begin, both stay' restore_beside_image_is_judged twice
check 'start on a device of another type: not judged' start_is_not_judged --help
check 'start on a device of another type, with --check-start: refused' start_is_judged_on_request --help
for name in running --help; do
    check "virsh metadata --live --config on '$name' while it runs, other device: refused" \
        recorded_while_running_is_refused $name
    check "virsh metadata --live --config on '$name' while it runs, same device: arrives" \
        recorded_while_running_arrives $name
done
check 'managedsave before it was recorded, --require: refused, starts after managedsave-edit' \
    saved_before_record_is_edited edited
check 'virsh metadata --live on a transient guest, other device: refused' transient_is_recorded_live passing
check 'virsh metadata with the empty output of a failing fill: refused, the record stays' failing_fill_deletes_nothing
