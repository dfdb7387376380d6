# 3: a saved guest, and a guest that got its record while it ran
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

saved() { # GUEST: is there an image of it?
    virsh_on a list --all --with-managed-save --uuid | grep -qF "$(uuid_of "$1")"
}

# refused_on_other_type GUEST CMD…: while the device is another, and not when it is itself again
refused_on_other_type() {
    local name=$1 status=0
    shift
    remake a "$same" i915-V5_8
    refused "$@" || status=1
    remake a "$same" i915-V5_4
    [ $status = 0 ]
    client_sees "$name" "$same" i915-V5_4 i915-V5_8 host-a
    expect "$(state a "$name")" 'shut off'
    "$@"
    expect "$(state a "$name")" running
}

managedsave_is_judged() { # GUEST
    define_recorded "$1" "$same"
    start "$1"
    virsh_on a managedsave --domain "$(uuid_of "$1")"
    refused_on_other_type "$1" start_saved "$1"
}

start_saved() { saved "$1" && start "$1"; }

restore_is_judged() { # GUEST
    define_recorded "$1" "$same"
    start "$1"
    virsh_on a save --domain "$(uuid_of "$1")" --file "$work/saved"
    refused_on_other_type "$1" virsh_on a restore --file "$work/saved"
}

start_is_judged_on_request() { # GUEST
    use_our_hook a --check-start
    define_recorded "$1" "$same"
    refused_on_other_type "$1" start "$1"
}

start_is_not_judged() { # GUEST
    define_recorded "$1" "$same"
    remake a "$same" i915-V5_8
    start "$1" || { remake a "$same" i915-V5_4; return 1; }
    remake a "$same" i915-V5_4
}

# record_running GUEST: the line that the man page gives
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

failing_fill_deletes_nothing() {
    local uuid
    uuid=$(uuid_of lasting)
    define_recorded lasting "$same"
    start lasting
    # host b does not have the device: nothing on stdout
    refused virsh_on a metadata --domain "$uuid" --uri urn:virt-mdev:1 --key mdev --live --config \
        --set "$(guest lasting "$absent" | virt_mdev_on b fill --metadata-only || :)"
    expect "$(records a lasting)" 1
}

for name in put-by -dash --help; do
    check "managedsave of '$name', the device made again as another type, start: refused" managedsave_is_judged $name
done
check 'save, the device made again as another type, restore: refused' restore_is_judged -dash
check 'start on a device of another type: not judged' start_is_not_judged --help
check 'start on a device of another type, with --check-start: refused' start_is_judged_on_request --help
for name in running --help; do
    check "virsh metadata --live --config on '$name' as it runs, other device: refused" \
        recorded_while_running_is_refused $name
    check "virsh metadata --live --config on '$name' as it runs, same device: arrives" \
        recorded_while_running_arrives $name
done
check 'virsh metadata with the nothing of a failing fill: refused, the record stays' failing_fill_deletes_nothing
