# 6: a device that another hook creates at prepare begin
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

link=/sys/bus/mdev/devices/$same hidden=/run/hidden

# hide HOST TYPE: the device has this type, and is absent until `show` or the end of the check
hide() {
    # shellcheck disable=SC2064 # expanded now
    trap "show $1; remake $1 $same i915-V5_4" EXIT
    remake "$1" "$same" "$2"
    on "$1" mv "$link" "$hidden"
}

show() { # HOST
    if on "$1" test -L "$hidden"; then on "$1" mv "$hidden" "$link"; fi
}

# made_late HOST TYPE: a hook creates the device at prepare begin; its name is after 90-… in byte order
made_late() {
    hide "$1" "$2"
    # shellcheck disable=SC2016 # the hook expands it
    printf '#!/bin/sh\nif [ "$2" = prepare ] && [ -L %s ]; then mv %s %s; fi\n' "$hidden" "$hidden" "$link" > "$work/hook"
    install -m 755 "$work/hook" "$hosts/$1/etc/hooks/qemu.d/vgpu"
}

late_is_refused_by_default() {
    define_recorded late "$same"
    start late
    made_late b i915-V5_4
    refused migrate live late
    client_sees late "$same" host-b 'migrate begin'
    at_home live late
}

late_arrives() {
    use_our_hook b --defer-absent
    define_recorded late "$same"
    start late
    made_late b i915-V5_4
    migrate live late
    arrived live late
}

late_of_other_type_is_refused() {
    use_our_hook b --defer-absent
    define_recorded late "$same"
    start late
    made_late b i915-V5_8
    refused migrate live late
    client_sees late "$same" i915-V5_4 i915-V5_8 host-b 'prepare begin'
    at_home live late
}

never_made_is_refused() {
    use_our_hook b --defer-absent
    define_recorded late "$same"
    start late
    hide b i915-V5_4
    refused migrate live late
    client_sees late "$same" host-b 'prepare begin'
    at_home live late
}

differing_is_not_deferred() {
    use_our_hook b --defer-absent
    define_recorded late "$other_type"
    start late
    refused migrate live late
    client_sees late "$other_type" i915-V5_8 i915-V5_4 'migrate begin'
    at_home live late
}

late_is_restored() { # save|managedsave
    use_our_hook a --defer-absent
    define_recorded late "$same"
    start late
    local uuid
    uuid=$(uuid_of late)
    if [ "$1" = save ]; then
        virsh_on a save --domain "$uuid" --file "$work/saved"
        made_late a i915-V5_4
        virsh_on a restore --file "$work/saved"
    else
        virsh_on a managedsave --domain "$uuid"
        made_late a i915-V5_4
        start late
    fi
    expect "$(state a late)" running
    virsh_on a destroy --domain "$uuid"
}

check 'another hook creates the device at prepare begin: refused at migrate begin' late_is_refused_by_default
check '--defer-absent, another hook creates it: arrives' late_arrives
check '--defer-absent, another hook creates one of another type: refused at prepare begin' late_of_other_type_is_refused
check '--defer-absent, no hook creates it: refused at prepare begin' never_made_is_refused
check '--defer-absent, a device that differs: refused at migrate begin' differing_is_not_deferred
for way in save managedsave; do
    check "--defer-absent, $way, another hook creates the device: restored" late_is_restored $way
done
