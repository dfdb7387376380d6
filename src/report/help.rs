//! What to do about an error: the advice that names commands and options.

use super::escape::shell_word;
use crate::domain::{HostdevError, Kind, MetadataError, NAMESPACE, ReadErrorKind};
use crate::plan::{Missing, PlanErrorKind, RemarkKind};

/// Returns what to do about an error of a plan.
pub fn plan_error(error: &PlanErrorKind) -> Option<String> {
    let help = match error {
        PlanErrorKind::Hostdev(HostdevError::Twice { part, .. })
        | PlanErrorKind::Metadata(MetadataError::Twice { part, .. }) => {
            format!("remove the {part} that is wrong")
        }
        PlanErrorKind::Hostdev(HostdevError::LookAlike(_)) | PlanErrorKind::Metadata(MetadataError::LookAlike(_)) => {
            "remove this attribute, or give it another name".to_owned()
        }
        PlanErrorKind::Hostdev(_) => "name the mediated device with <source><address uuid='…'/></source>".to_owned(),
        PlanErrorKind::Metadata(MetadataError::OtherElement { .. }) => {
            "remove it: virsh metadata DOMAIN --uri urn:virt-mdev:1 --remove --config".to_owned()
        }
        PlanErrorKind::NotAUuid { .. } => {
            "enter the UUID of a mediated device; mdevctl list shows those of this host".to_owned()
        }
        PlanErrorKind::Missing(missing @ Missing::NotOnHost { .. }) => {
            format!("{}, or skip it with --on-missing skip", start(missing))
        }
        PlanErrorKind::Missing(Missing::ParentNotPci { .. }) => {
            "it has no vendor and product id to record; skip it with --on-missing skip".to_owned()
        }
        PlanErrorKind::Host { .. } => {
            "check that this is the host's sysfs and that you may read it; --sysfs DIR names another".to_owned()
        }
        PlanErrorKind::DeviceApi { device_api, .. } => {
            format!("name a vfio-pci device, or set model='{device_api}'; QEMU would refuse this one at start")
        }
        PlanErrorKind::Conflict { .. } => {
            "--on-conflict replace writes what this host has, --on-conflict keep leaves the hostdev unchanged"
                .to_owned()
        }
        PlanErrorKind::Elsewhere { .. } => "correct both places at once: --into both --on-conflict replace".to_owned(),
        PlanErrorKind::Disagree { .. } => {
            "correct both on a host that has the device: virt-mdev fill --into both --on-conflict replace".to_owned()
        }
        PlanErrorKind::TwoRecords(_) => {
            "remove the wrong one, or all but the right ones: virt-mdev fill --into metadata --on-conflict replace"
                .to_owned()
        }
        PlanErrorKind::LoneHostdev => "fill it with --into source, or fill the whole domain".to_owned(),
        PlanErrorKind::NoDomain => return None,
        PlanErrorKind::Overlap(_) => "please report it, with the document if you can".to_owned(),
    };
    Some(help)
}

/// Returns what to do about a document that cannot be read, if that is known.
pub fn read_error(error: &ReadErrorKind) -> Option<String> {
    let kinds = || Kind::ALL.map(|kind| format!("<{}>", kind.root())).join(", ");
    let help = match error {
        ReadErrorKind::Empty => "did the command before it fail?".to_owned(),
        ReadErrorKind::NotUtf8(_) => {
            "libvirt reads UTF-8 whatever the declaration says: convert it (iconv -t UTF-8)".to_owned()
        }
        ReadErrorKind::Compressed(compression) => {
            format!("decompress it first: {} FILE | virt-mdev …", compression.command())
        }
        ReadErrorKind::NotText(_) => "libvirt reads UTF-8: convert UTF-16 with iconv -f UTF-16 -t UTF-8".to_owned(),
        ReadErrorKind::TooMuch(_) | ReadErrorKind::Malformed(_) => return None,
        ReadErrorKind::Namespace(error) => error.help(),
        ReadErrorKind::InternalSubset => "remove the part in [ ]: libvirt's documents have none".to_owned(),
        ReadErrorKind::TwoRoots => {
            "give one document at a time; virt-install prints one for each phase of an installation: \
                                    --print-xml 1 prints only the first"
                .to_owned()
        }
        ReadErrorKind::OtherRoot(_) => format!("expected {}", kinds()),
        ReadErrorKind::RootInNamespace { namespace, .. } if namespace == NAMESPACE => {
            "this is the metadata element by itself; give the domain that it belongs to".to_owned()
        }
        ReadErrorKind::RootInNamespace { .. } => format!("expected {}, in no namespace", kinds()),
    };
    Some(help)
}

/// Returns what to do about a remark.
pub fn remark(kind: &RemarkKind) -> Option<&'static str> {
    matches!(kind, RemarkKind::Stale).then_some("fill --into metadata --on-conflict replace removes it")
}

/// Returns the command that starts a device that a host does not have, as far as its type and a parent are known.
pub fn start(missing: &Missing) -> String {
    let Missing::NotOnHost { device: crate::device::DeviceAddress::Mdev(uuid), mdev_type, parent, .. } = missing else {
        return "assign the guest a slice of a PCI device".to_owned();
    };
    match (mdev_type, parent) {
        (Some(mdev_type), Some(parent)) => {
            format!("start it: mdevctl start -u {uuid} -p {} -t {}", shell_word(parent), shell_word(mdev_type.as_str()))
        }
        (Some(mdev_type), None) => format!(
            "start it: mdevctl start -u {uuid} -p PARENT -t {}, once a PARENT with its ids has an instance left (mdevctl types)",
            shell_word(mdev_type.as_str())
        ),
        (None, _) => format!("start it: mdevctl start -u {uuid} -p PARENT -t TYPE (mdevctl types lists both)"),
    }
}
