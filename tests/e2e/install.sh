#!/bin/sh
# Installs from Debian what the end-to-end test needs: libvirtd with its QEMU driver, virsh, QEMU, network tools.
# Asks nothing, starts no service, and does nothing if all packages are installed. Needs root and an apt source.
set -eu

packages='libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 iproute2 util-linux coreutils'

# installed PACKAGE…: whether all of them are
installed() {
    states=$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null) || return 1
    [ "$(printf '%s\n' "$states" | sort -u)" = installed ]
}

command -v apt-get >/dev/null || { echo "install.sh: no apt-get here; install by hand: $packages" >&2; exit 1; }
# shellcheck disable=SC2086 # a list of words
if installed $packages; then exit 0; fi
[ "$(id -u)" = 0 ] || { echo 'install.sh: needs root' >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
candidate() { apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }

apt-get -qq update
# A qemu-utils of a later release conflicts with this release's qemu-system-common; so install it in the same version.
qemu=$(candidate qemu-system-x86)
utils=$(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null) || utils=
if [ -n "$utils" ] && dpkg --compare-versions "$utils" gt "$qemu"; then packages="$packages qemu-utils=$qemu"; fi

# These packages start no service (the units are in libvirt-daemon-system); neither may their dependencies.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of words
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends --allow-downgrades $packages
