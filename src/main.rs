//! The command `virt-mdev`.

fn main() {}
