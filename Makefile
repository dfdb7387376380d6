# virt-mdev: build, test, install. Everything needs Rust, make and a C compiler; make e2e, bench and lint say what else they need.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install

binary = target/release/virt-mdev

.PHONY: build demo test lint bench e2e install install-hook clean

build: $(binary)

$(binary): Cargo.toml Cargo.lock $(shell find src -name '*.rs')
	$(CARGO) build --release --locked
	@touch $@

# The main job, on the proposal's own device: what does fill change, and what does it say where the device is another?
demo: $(binary)
	@testdata/demo/run $(binary)

test:
	$(CARGO) test --locked

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	mandoc -Tlint -W warning man/*.[1-9]

# One table, of one sitting. What it compares with and does not find, it names and leaves out.
bench: $(binary)
	$(CARGO) build --release --locked --example copy
	benches/run $(binary) target/release/examples/copy
	benches/many $(binary)

# Root, libvirt and QEMU: tests/e2e/install.sh brings them to a Debian machine.
e2e: $(binary)
	VIRT_MDEV=$(binary) tests/e2e/run

# Installs what `make build` has built, and builds nothing.
install:
	@test -x $(binary) || { echo 'make install: run make first' >&2; exit 1; }
	$(INSTALL) -D -m 755 $(binary) $(DESTDIR)$(BINDIR)/virt-mdev
	for page in man/*.1; do $(INSTALL) -D -m 644 $$page $(DESTDIR)$(MANDIR)/man1/$${page##*/} || exit 1; done
	for page in man/*.8; do $(INSTALL) -D -m 644 $$page $(DESTDIR)$(MANDIR)/man8/$${page##*/} || exit 1; done
	$(INSTALL) -d $(DESTDIR)$(DATADIR)/bash-completion/completions $(DESTDIR)$(DATADIR)/zsh/site-functions \
	    $(DESTDIR)$(DATADIR)/fish/vendor_completions.d
	$(binary) completions bash > $(DESTDIR)$(DATADIR)/bash-completion/completions/virt-mdev
	$(binary) completions zsh > $(DESTDIR)$(DATADIR)/zsh/site-functions/_virt-mdev
	$(binary) completions fish > $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/virt-mdev.fish

# On each host that guests migrate to. The hook runs what `make install` put into BINDIR.
hook = $(DESTDIR)$(SYSCONFDIR)/libvirt/hooks/qemu.d/90-virt-mdev
install-hook:
	$(INSTALL) -D -m 755 hooks/qemu.d/90-virt-mdev $(hook)
	sed -i 's|^binary=.*|binary=$(BINDIR)/virt-mdev|' $(hook)
	@echo 'libvirtd finds hooks when it starts or is reloaded: systemctl reload libvirtd'

clean:
	$(CARGO) clean
