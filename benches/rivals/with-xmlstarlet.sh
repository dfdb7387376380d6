#!/bin/sh
# The filter as a user would write it with a shell: fills the mdevs of the domain on standard input. $1: /sys
set -eu
domain=$(cat)
addresses='/domain/devices/hostdev[@type="mdev"]/source/address'
for uuid in $(printf '%s\n' "$domain" | xmlstarlet sel -t -v "$addresses/@uuid"); do
    device=$(readlink -f "$1/bus/mdev/devices/$uuid")
    type=$(readlink "$device/mdev_type")
    parent=${device%/*}
    address="${addresses}[@uuid=\"$uuid\"]"
    indent='
        '
    # Each is added directly after the address, so the last comes first.
    domain=$(printf '%s\n' "$domain" | xmlstarlet ed -P -O \
        -a "$address" -t elem -n mdevtype -v "${type##*/}" -a "$address" -t text -n lead -v "$indent" \
        -a "$address" -t elem -n productid -v "$(cat "$parent/device")" -a "$address" -t text -n lead -v "$indent" \
        -a "$address" -t elem -n vendorid -v "$(cat "$parent/vendor")" -a "$address" -t text -n lead -v "$indent")
done
printf '%s\n' "$domain"
