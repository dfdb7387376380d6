#!/bin/sh
# Installs virt-mdev from this directory, or upgrades it; `./install.sh --hook` also installs the hook, which refuses guests.
# PREFIX is /usr unless it is set: Debian's AppArmor profile does not let libvirtd run what is in /usr/local.
set -eu
case $*: in : | --hook:) ;; *) echo 'usage: [PREFIX=/usr] ./install.sh [--hook]' >&2; exit 2 ;; esac
umask 022
cd "$(dirname "$0")"
export DESTDIR="${DESTDIR-}" BINDIR="${PREFIX=/usr}/bin" SBINDIR="$PREFIX/sbin" SYSCONFDIR="${SYSCONFDIR-/etc}"
mkdir -p "$DESTDIR$BINDIR"
cp bin/virt-mdev "$DESTDIR$BINDIR/virt-mdev.new"
mv "$DESTDIR$BINDIR/virt-mdev.new" "$DESTDIR$BINDIR/virt-mdev" # at once: a guest may be judged meanwhile
cp -R --remove-destination share "$DESTDIR$PREFIX"
if [ "${1-}" = --hook ]; then hooks/install; fi
