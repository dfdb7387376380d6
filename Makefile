# virt-mdev: build, test, install. Everything needs Rust, make and a C compiler; `make e2e`, `bench` and `lint` say what else
# they need.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
# For the hook's script. Debian's AppArmor profile lets libvirtd run what is in /usr/sbin and /usr/bin.
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
BASHDIR ?= $(DATADIR)/bash-completion/completions
# On Debian, packages install zsh functions to /usr/share/zsh/vendor-completions instead.
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install

# Where cargo puts its builds.
target = $(or $(CARGO_TARGET_DIR),target)
builds = $(target)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)
release = $(builds)release
binary = $(release)/virt-mdev
# These are shipped: the program of a cross build does not run here.
completions = src/cli/completions/virt-mdev

.PHONY: build demo test lint bench e2e e2e-versions install install-hook uninstall portable dist deb rpm clean
.DELETE_ON_ERROR:

build: $(binary)

# The source tarballs have the crates in vendor.
cargo = $(CARGO)$(if $(wildcard vendor), --offline --config packaging/vendored.toml)

# The same program wherever it is built: panics name source files, and their paths would be in it. \037 separates flags.
separator := $(shell printf '\037')
empty :=
space := $(empty) $(empty)
cargo_home = $(or $(CARGO_HOME),$(HOME)/.cargo)
flags := $(subst $(space),$(separator),$(strip $(RUSTFLAGS)))
flags := $(or $(CARGO_ENCODED_RUSTFLAGS),$(flags))
flags := $(if $(flags),$(flags)$(separator))--remap-path-prefix=$(CURDIR)=.
flags := $(flags)$(separator)--remap-path-prefix=$(cargo_home)/registry/src=registry
$(binary) bench: export CARGO_ENCODED_RUSTFLAGS = $(flags)

$(binary): Cargo.toml Cargo.lock $(shell find src -name '*.rs')
	$(cargo) build --release --locked
	@touch $@

# What fill writes, and what the person who runs virsh migrate sees if the device differs on the other host.
demo:
	$(cargo) build --locked --bin virt-mdev
	@testdata/demo/run $(builds)debug/virt-mdev

# cargo counts a test that this machine cannot run as passed. It prints why it was skipped, and the last line counts them.
skipped = $(abspath $(target)/skipped-tests)
test:
	@mkdir -p '$(target)' && : > '$(skipped)'
	@echo '$(CARGO) test --locked'; \
	VIRT_MDEV_TEST_SKIPPED='$(skipped)' $(cargo) test --locked; status=$$?; \
	echo "$$(sort -u '$(skipped)' | wc -l) tests skipped, in whole or in part: see the lines that begin with skipped"; \
	exit $$status

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	mandoc -Tlint -W warning man/*.[1-9]

# All benchmarks, in one run. Programs to compare with that are not installed, and the portable build if it was not made, are
# named and left out. BENCHDIR: the directory for the many files (default: beside the binary).
bench: $(binary)
	$(cargo) build --release --locked --example copy
	benches/run $(binary) target/release/examples/copy $(wildcard $(target)/portable/*/bin/virt-mdev)
	benches/many $(if $(BENCHDIR),-d '$(BENCHDIR)') $(binary)
	benches/fleet $(binary)

# Needs root, libvirt and QEMU; tests/e2e/install.sh installs them on Debian.
e2e: $(binary)
	VIRT_MDEV=$(binary) tests/e2e/run

# The same on newer libvirt, in root directories of Debian releases: see tests/e2e/versions. Needs root and mmdebstrap.
e2e-versions: $(binary)
	VIRT_MDEV=$(binary) tests/e2e/versions

# Installs what `make` has built; builds nothing. The quotes allow a DESTDIR with spaces.
install:
	@test -f $(binary) || { echo 'make install: $(binary) does not exist: run make first' >&2; exit 1; }
	$(INSTALL) -D -m 755 $(binary) '$(DESTDIR)$(BINDIR)/virt-mdev.new'
	mv '$(DESTDIR)$(BINDIR)/virt-mdev.new' '$(DESTDIR)$(BINDIR)/virt-mdev' # at once: a guest may be judged meanwhile
	for page in man/*.1; do $(INSTALL) -D -m 644 $$page "$(DESTDIR)$(MANDIR)/man1/$${page##*/}" || exit 1; done
	for page in man/*.8; do $(INSTALL) -D -m 644 $$page "$(DESTDIR)$(MANDIR)/man8/$${page##*/}" || exit 1; done
	$(INSTALL) -D -m 644 src/host/record.schema.json '$(DESTDIR)$(DATADIR)/virt-mdev/host-record.schema.json'
	$(INSTALL) -D -m 755 hooks/record-guests '$(DESTDIR)$(DATADIR)/virt-mdev/record-guests'
	$(INSTALL) -D -m 644 $(completions).bash '$(DESTDIR)$(BASHDIR)/virt-mdev'
	$(INSTALL) -D -m 644 $(completions).zsh '$(DESTDIR)$(ZSHDIR)/_virt-mdev'
	$(INSTALL) -D -m 644 $(completions).fish '$(DESTDIR)$(FISHDIR)/virt-mdev.fish'

# For each host that guests migrate to. On NixOS: SYSCONFDIR=/var/lib.
install-hook:
	@DESTDIR='$(DESTDIR)' BINDIR='$(BINDIR)' SBINDIR='$(SBINDIR)' SYSCONFDIR='$(SYSCONFDIR)' hooks/install

# A static binary, which runs on every Linux of this architecture, in a tarball with the manual pages, the completions, the
# hook and an installer. It has musl, if rustup installed that target, since that starts faster: glibc asks the processor for
# its features, which in a virtual machine is a VM exit for each. musl also comes with Rust, so the bytes do not depend on the
# libc of the build host. With glibc, many threads are faster: PORTABLE_TARGET=x86_64-unknown-linux-gnu.
machine := $(shell uname -m)
rustlib = $(shell $(or $(RUSTC),rustc) --print sysroot)/lib/rustlib
PORTABLE_TARGET ?= $(machine)-unknown-linux-$(if $(wildcard $(rustlib)/$(machine)-unknown-linux-musl/lib),musl,gnu)
portable = $(name)-$(firstword $(subst -, ,$(PORTABLE_TARGET)))-linux
unpacked = $(abspath $(target))/portable/$(portable)
static = CARGO_TARGET_DIR='$(abspath $(target))/portable' CARGO_BUILD_TARGET='$(PORTABLE_TARGET)' \
    RUSTFLAGS='$(RUSTFLAGS) -C target-feature=+crt-static'
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
portable:
	$(static) $(MAKE) build
	rm -rf '$(unpacked)'
	$(static) $(MAKE) install DESTDIR='$(unpacked)' PREFIX=
	cp -R hooks LICENSE-* packaging/install.sh '$(unpacked)'
	$(CARGO) vendor --locked --quiet '$(target)/portable/vendor' > /dev/null
	packaging/licenses '$(target)'/portable/vendor/* > '$(unpacked)/LICENSE.dependencies'
	sed -i 's|^Files: .*/vendor/|Files: vendor/|' '$(unpacked)/LICENSE.dependencies'
	tar -C '$(unpacked)/..' --sort=name --mtime='@$(SOURCE_DATE_EPOCH)' --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
	    -c '$(portable)' | gzip -n9 > '$(target)/$(portable).tar.gz'
	@echo '$(target)/$(portable).tar.gz, for $(PORTABLE_TARGET)'

# Removes what `make install` and `make install-hook` installed, if it is given the same variables.
hooks = $(DESTDIR)$(SYSCONFDIR)/libvirt/hooks/qemu.d
confdir = $(DESTDIR)$(SYSCONFDIR)/virt-mdev
uninstall:
	rm -f '$(hooks)/zz-virt-mdev' '$(hooks)/90-virt-mdev' '$(confdir)/hook.conf' '$(DESTDIR)$(SBINDIR)/virt-mdev-hook' \
	    '$(DESTDIR)$(BINDIR)/virt-mdev' \
	    '$(DESTDIR)$(BASHDIR)/virt-mdev' '$(DESTDIR)$(ZSHDIR)/_virt-mdev' '$(DESTDIR)$(FISHDIR)/virt-mdev.fish'
	rmdir '$(confdir)' 2>/dev/null || true
	rm -f '$(DESTDIR)$(DATADIR)/virt-mdev/host-record.schema.json' '$(DESTDIR)$(DATADIR)/virt-mdev/record-guests'
	rmdir '$(DESTDIR)$(DATADIR)/virt-mdev' 2>/dev/null || true
	for page in man/*.1; do rm -f "$(DESTDIR)$(MANDIR)/man1/$${page##*/}"; done
	for page in man/*.8; do rm -f "$(DESTDIR)$(MANDIR)/man8/$${page##*/}"; done

# The source as committed, and the crates that it needs: the same commit gives the same bytes. With cargo-cyclonedx also an SBOM.
version = $(shell sed -n '/^version = "/{s///;s/"//p;q}' Cargo.toml)
name = virt-mdev-$(version)
dist = $(abspath $(target))/dist
vendored = $(target)/dist/$(name)-vendor.tar.xz
tar = tar --sort=name --mtime="@$$(git log -1 --format=%ct Cargo.lock)" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX
dist: $(vendored)
	@git diff --quiet HEAD || echo 'make dist: changes that are not committed are left out' >&2
	git archive --prefix='$(name)/' HEAD | xz > '$(dist)/$(name).tar.xz'
	@if $(CARGO) cyclonedx --version > /dev/null 2>&1; then \
	    SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' $(CARGO) cyclonedx --format json --override-filename '$(name).cdx' && mv '$(name).cdx.json' '$(dist)'; \
	else \
	    echo 'make dist: no SBOM, since cargo-cyclonedx is not installed'; \
	fi

$(vendored): Cargo.lock
	rm -rf '$(dist)'
	mkdir -p '$(dist)'
	$(CARGO) vendor --locked --quiet '$(dist)/vendor' > /dev/null
	$(tar) -C '$(dist)' -c vendor | xz > $@
	rm -r '$(dist)/vendor'

# Both compile without the network. Debian's or Fedora's tools make them: debhelper, or rpmbuild. They do not ask for the
# packages of Rust, which may be rustup's. DEB_BUILD_OPTIONS=nocheck leaves the tests out; the spec runs them with --with check.
debs = $(abspath $(target))/deb
deb: dist
	rm -rf '$(debs)'
	mkdir -p '$(debs)'
	cp '$(dist)/$(name).tar.xz' '$(debs)/virt-mdev_$(version).orig.tar.xz'
	cp '$(dist)/$(name)-vendor.tar.xz' '$(debs)/virt-mdev_$(version).orig-vendor.tar.xz'
	cd '$(debs)' && tar -xf virt-mdev_*.orig.tar.xz && tar -C '$(name)' -xf virt-mdev_*.orig-vendor.tar.xz
	cd '$(debs)/$(name)' && cp -r packaging/debian . && packaging/licenses vendor/* >> debian/copyright
	cd '$(debs)/$(name)' && dpkg-buildpackage --unsigned-source --unsigned-changes --no-check-builddeps

rpms = $(abspath $(target))/rpm
rpm: dist
	rm -rf '$(rpms)'
	mkdir -p '$(rpms)'
	rpmbuild -ba --nodeps --define '_topdir $(rpms)' --define '_sourcedir $(dist)' packaging/virt-mdev.spec

clean:
	$(CARGO) clean
