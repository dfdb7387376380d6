//! The operations that libvirt passes to a hook.

/// Operations that are judged at their sub-operation `begin`, whatever the options are.
pub const JUDGED: [&str; 2] = ["migrate", "restore"];

/// Operations that are not judged: those that libvirt documents for qemu, and some that it does not.
pub const OTHERS: [[&str; 2]; 12] = [
    ["prepare", "begin"],
    ["start", "begin"],
    ["started", "begin"],
    ["stopped", "end"],
    ["release", "end"],
    ["reconnect", "begin"],
    ["attach", "begin"],
    ["migrate", "end"],
    ["restore", "end"],
    ["unheard-of", "begin"],
    ["", ""],
    ["MIGRATE", "BEGIN"],
];
