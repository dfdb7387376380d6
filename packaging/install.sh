#!/bin/sh
# Installs virt-mdev from this directory, or upgrades it; `./install.sh --hook` also installs the hook, which refuses guests.
# PREFIX is /usr unless it is set: Debian's AppArmor profile does not let libvirtd run what is in /usr/local.
set -eu
case $*: in : | --hook:) ;; *) echo 'usage: [PREFIX=/usr] ./install.sh [--hook]' >&2; exit 2 ;; esac
umask 022
cd "$(dirname "$0")"
export DESTDIR="${DESTDIR-}" BINDIR="${PREFIX=/usr}/bin" SBINDIR="$PREFIX/sbin" SYSCONFDIR="${SYSCONFDIR-/etc}"
mkdir -p "$DESTDIR$PREFIX"
cp -R --remove-destination bin share "$DESTDIR$PREFIX"
if [ "${1-}" = --hook ]; then hooks/install; fi
