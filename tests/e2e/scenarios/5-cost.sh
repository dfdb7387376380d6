# 5: what the hook costs
# shellcheck shell=bash disable=SC2154,SC2317 # sourced by run

# `fifteen` starts fifteen programs: what ours may cost at most, on a machine of any speed and load.
hook_kinds=(none empty fifteen ours)

install_kind() { # KIND, on both hosts
    local host
    for host in a b; do
        case $1 in
            none)    use_no_hook $host ;;
            empty)   use_hook $host $'#!/bin/sh\nexit 0' ;;
            fifteen) use_hook $host "#!/bin/sh$(printf '\n/bin/true%.0s' {1..15})" ;;
            ours)    use_our_hook $host ;;
        esac
    done
}

# timed COMMAND…: prints how many microseconds it took
timed() {
    local begin=$EPOCHREALTIME end
    "$@" > "$work/timed" 2>&1 || { cat "$work/timed" >&2; return 1; }
    end=$EPOCHREALTIME
    echo $((${end/./} - ${begin/./}))
}

median() { sort -n | awk '{ v[NR] = $1 } END { print int((v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2) }'; }

# measure live|offline ROUNDS: in each round there and back with each kind of hook; times go to $work/WAY.KIND
measure() {
    local way=$1 uuid _ kind from to arguments
    uuid=$(uuid_of timed)
    arguments=("--$way" --persistent --undefinesource --domain "$uuid")
    rm -f "$work/$way".*
    for _ in $(seq "$2"); do
        for kind in "${hook_kinds[@]}"; do
            install_kind "$kind"
            for from in a b; do
                if [ $from = a ]; then to=b; else to=a; fi
                timed virsh_on $from migrate "${arguments[@]}" --desturi "qemu+tcp://host-$to/system" \
                    >> "$work/$way.$kind"
            done
        done
    done
}

beyond_empty() { echo $(($(median < "$work/$1.$2") - $(median < "$work/$1.empty"))); } # live|offline KIND

table() {
    local way kind
    printf '      | median of a migration, ms %8s %8s %8s %8s   ours beyond the empty one\n' "${hook_kinds[@]}"
    for way in offline live; do
        [ -s "$work/$way.ours" ] || continue
        printf '      | %-7s (%3d each)        ' $way "$(wc -l < "$work/$way.ours")"
        for kind in "${hook_kinds[@]}"; do
            awk '{ printf " %8.1f", $1 / 1000 }' <<< "$(median < "$work/$way.$kind")"
        done
        awk '{ printf "   %.1f\n", $1 / 1000 }' <<< "$(beyond_empty $way ours)"
    done
}

# Both wait for the hook once. The rest of an offline migration takes 30 ms and hardly varies, so a few ms can be seen. In a
# live one two QEMUs start and stop, which varies by more than that: it is shown, but not compared with the limit.
costs_little() {
    define_recorded timed "$same"
    measure offline 20
    # Once more, in case the load of the machine changed.
    within_limit || measure offline 20
    start timed
    measure live 3
    within_limit
}

within_limit() { [ "$(beyond_empty offline ours)" -le "$(beyond_empty offline fifteen)" ]; }

check 'our hook costs a migration no more than a hook that starts fifteen programs' costs_little
table
