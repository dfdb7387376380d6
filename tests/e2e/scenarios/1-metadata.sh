# 1: records that libvirt keeps
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

survives_define() { # GUEST
    define_recorded "$1" "$same" "$other_type"
    expect "$(records a "$1")" 2
    dumpxml a "$1" | grep -F 'urn:virt-mdev:1'
}

check_agrees() { # GUEST
    define_recorded "$1" "$same" "$other_type"
    dumpxml a "$1" | virt_mdev_on a check
    start "$1"
    virsh_on a dumpxml --domain "$(uuid_of "$1")" | virt_mdev_on a check
}

check_differs_elsewhere() {
    define_recorded elsewhere "$same" "$other_type"
    local status=0
    dumpxml a elsewhere | virt_mdev_on b check || status=$?
    expect $status 1
}

# If this fails one day, libvirt knows the elements, and they can be recorded in the source as proposed.
elements_in_source_are_dropped() {
    guest proposal "$same" | virt_mdev_on a fill > "$work/filled.xml"
    grep -F '<mdevtype>i915-V5_4</mdevtype>' "$work/filled.xml"
    define < "$work/filled.xml"
    expect "$(dumpxml a proposal | grep -cE 'vendorid|productid|mdevtype')" 0
}

edit_fills() { # GUEST
    guest "$1" "$same" | define
    expect "$(records a "$1")" 0
    on a env EDITOR='virt-mdev fill -i --into metadata' virsh edit --domain "$(uuid_of "$1")"
    expect "$(records a "$1")" 1
    dumpxml a "$1" | virt_mdev_on a check
}

warning_names_virsh_edit() {
    guest own-file "$same" | define
    cp "$hosts/a/etc/qemu/own-file.xml" "$work/own-file.xml"
    virt_mdev_on a fill -i --into metadata "$work/own-file.xml" > "$work/client" 2>&1
    cat "$work/client"
    client_sees 'virt-mdev fill -i --into metadata' 'virsh edit'
}

strip_restores() {
    guest stripped "$same" | define
    dumpxml a stripped > "$work/before.xml"
    virt_mdev_on a fill --into metadata < "$work/before.xml" | define
    expect "$(records a stripped)" 1
    dumpxml a stripped | virt_mdev_on a strip | define
    dumpxml a stripped | diff "$work/before.xml" -
}

all_guests_are_recorded() {
    local name
    guest plain | define
    for name in off -dash; do guest $name "$same" | define; done
    guest running "$other_type" | define
    start running
    guest saved "$other_parent" | define
    start saved
    virsh_on a managedsave --domain saved
    install -m 755 "$top/hooks/record-guests" "$hosts/a/bin/record-guests"
    expect "$(on a record-guests | sort)" "$(printf '%s: recorded in the %s\n' -dash definition off definition \
        running definition running 'running guest' saved definition saved 'saved state' | sort)"
    for name in off -dash running saved; do dumpxml a $name | virt_mdev_on a check; done
    virsh_on a dumpxml running | virt_mdev_on a check
    virsh_on a managedsave-dumpxml saved | virt_mdev_on a check
    # Nothing is left to do.
    expect "$(on a record-guests)" ''
}

for name in recorded -dash --help; do
    check "fill --into metadata | virsh define: dumpxml of '$name' carries the record" survives_define $name
    check "virsh dumpxml | virt-mdev check of '$name': all same, defined and running" check_agrees $name
done
check 'virt-mdev check on a host with other devices: status 1' check_differs_elsewhere
check 'the elements in source alone: dropped at define' elements_in_source_are_dropped
for name in edited -dash; do
    check "EDITOR='virt-mdev fill -i --into metadata' virsh edit of '$name': recorded in one line" edit_fills $name
done
check "fill -i on libvirt's own file: the warning names virsh edit" warning_names_virsh_edit
check 'virt-mdev strip | virsh define: the domain is what it was before fill' strip_restores
check 'record-guests: all guests are recorded, off, running and saved, and a second run changes none' all_guests_are_recorded
