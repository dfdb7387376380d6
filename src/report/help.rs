//! What to do about an error: the advice that names commands and options.

use super::escape::shell_word;
use crate::device::{DeviceAddress, DeviceKind, Identity};
use crate::domain::{HostdevError, Kind, MetadataError, NAMESPACE, ReadErrorKind};
use crate::host::{Absence, HostName, MdevctlError, NoIdentity, SysfsError};
use crate::plan::{Missing, PlanErrorKind, RemarkKind};

/// Returns what to do about an error of a plan.
pub fn plan_error(error: &PlanErrorKind) -> Option<String> {
    let help = match error {
        PlanErrorKind::Hostdev(HostdevError::Twice(twice)) | PlanErrorKind::Metadata(MetadataError::Twice(twice)) => {
            format!("remove the {} that is wrong", twice.part)
        }
        PlanErrorKind::Hostdev(HostdevError::LookAlike(_)) | PlanErrorKind::Metadata(MetadataError::LookAlike(_)) => {
            "remove this attribute, or give it another name".to_owned()
        }
        PlanErrorKind::Hostdev(HostdevError::NoPciAddress { .. } | HostdevError::NotAPciAddress { .. }) => {
            "name the PCI device with <source><address domain='0x0000' bus='0x26' slot='0x00' function='0x4'/></source>"
                .to_owned()
        }
        PlanErrorKind::TwoHostdevs(_) => "remove one of the two hostdevs".to_owned(),
        PlanErrorKind::Hostdev(_) => "name the mediated device with <source><address uuid='…'/></source>".to_owned(),
        PlanErrorKind::Metadata(MetadataError::OtherElement { .. }) => {
            "remove it: virsh metadata DOMAIN --uri urn:virt-mdev:1 --remove --config".to_owned()
        }
        PlanErrorKind::NotAUuid { .. } => {
            "enter the UUID of a mediated device; mdevctl list shows those of this host".to_owned()
        }
        PlanErrorKind::Missing(missing) => match &missing.why {
            NoIdentity::Absent(Absence::NotStarted { definition: Some(_), .. }) => {
                format!("{}, use its definition with --defined, or skip it with --on-missing skip", start(missing))
            }
            NoIdentity::OtherDeviceApi(_) => start(missing),
            NoIdentity::ParentNotPci { .. } => {
                "it has no vendor and product id to record; skip it with --on-missing skip".to_owned()
            }
            _ => format!("{}, or skip it with --on-missing skip", start(missing)),
        },
        PlanErrorKind::Host { error, .. } if error.is::<SysfsError>() => {
            "check that this is the host's sysfs and that you may read it; --sysfs DIR names another".to_owned()
        }
        PlanErrorKind::Host { error, .. } if error.is::<MdevctlError>() => {
            "correct the definition, or use the running devices only, without --defined".to_owned()
        }
        PlanErrorKind::Host { .. } => FROM_THE_HOST.to_owned(),
        PlanErrorKind::Conflict(conflict) => format!(
            "--on-conflict replace writes what {} has, --on-conflict keep leaves the hostdev unchanged",
            conflict.host
        ),
        PlanErrorKind::Elsewhere(_) => "correct both places at once: --into both --on-conflict replace".to_owned(),
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
            format!("decompress it first: {} FILE | virt-mdev …", compression.command)
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

/// What to do if a source does not know a device well enough.
const FROM_THE_HOST: &str = "look on the host itself, or use a record made there: virt-mdev list --json";

/// What describes a host.
pub const HOST_FILE: &str =
    "a host is described by what virt-mdev list --json prints there, or virsh nodedev-dumpxml of its devices";

/// Returns what to do about a remark.
pub fn remark(kind: &RemarkKind) -> Option<&'static str> {
    matches!(kind, RemarkKind::Stale).then_some("fill --into metadata --on-conflict replace removes it")
}

/// Why a guest with one kind of vGPU cannot be given the other.
pub const OTHER_KIND: &str =
    "a host whose vGPUs are mediated devices and one whose vGPUs are PCI virtual functions cannot exchange guests";

/// Returns how to make a device what a hostdev needs: the command, complete as far as the type and a parent are known.
pub fn start(missing: &Missing) -> String {
    let Missing { device, host, why, recorded, parent, .. } = missing;
    let there = match host {
        HostName::File(_) => " there",
        HostName::This => "",
    };
    match (why, device) {
        (NoIdentity::Absent(Absence::NoDriver { .. }), DeviceAddress::Mdev(_)) => {
            format!("load the driver of the card that has mediated devices{there}")
        }
        (NoIdentity::Absent(Absence::NotStarted { .. }), DeviceAddress::Mdev(uuid)) => {
            format!("start it{there}: mdevctl start -u {uuid}")
        }
        (NoIdentity::Absent(Absence::NotFound { .. }), DeviceAddress::Mdev(uuid)) => {
            let start = format!("start it{there}: mdevctl start -u {uuid} -p");
            match (recorded.as_ref().map(|identity| &identity.kind), parent) {
                (Some(DeviceKind::Mdev(mdev_type)), Some(parent)) => {
                    format!("{start} {} -t {}", shell_word(parent), shell_word(mdev_type.as_str()))
                }
                (Some(DeviceKind::Mdev(mdev_type)), None) => format!(
                    "{start} PARENT -t {}; PARENT needs the recorded ids and a free instance: mdevctl types",
                    shell_word(mdev_type.as_str())
                ),
                _ => format!("{start} PARENT -t TYPE (mdevctl types lists both)"),
            }
        }
        (NoIdentity::Absent(_), DeviceAddress::Pci(_)) => format!(
            "assign the guest another PCI device{there} (lspci -D lists them); the virtual functions of a card exist once its \
             sriov_numvfs is set"
        ),
        (NoIdentity::OtherDeviceApi(device_api), _) => {
            format!("name a vfio-pci device, or set model='{device_api}'; QEMU would refuse this one at start")
        }
        (NoIdentity::Untyped, _) => set_type(missing, there),
        (NoIdentity::NoVgpuType { .. }, _) => {
            "load NVIDIA's vGPU driver and bind the virtual function to it; if it is bound, its interface is not known to this \
             version"
                .to_owned()
        }
        (NoIdentity::ParentNotPci { .. }, _) => "assign the guest a slice of a PCI device".to_owned(),
        (NoIdentity::Unknown { .. }, _) => FROM_THE_HOST.to_owned(),
    }
}

/// Returns how to set the type of a virtual function: the recorded one, or else one that its card has.
fn set_type(missing: &Missing, there: &str) -> String {
    let address = match missing.device {
        DeviceAddress::Pci(address) => address.to_string(),
        DeviceAddress::Mdev(uuid) => uuid.to_string(),
    };
    let file = format!("/sys/bus/pci/devices/{address}/nvidia/current_vgpu_type");
    let list = "creatable_vgpu_types beside it lists the numbers";
    match (missing.recorded.as_ref().and_then(Identity::vgpu_type), &missing.vgpu_type) {
        (Some(recorded), Some((_, name))) => {
            format!("set its type{there}, {name}: echo {} > {file}", recorded.number())
        }
        (Some(recorded), None) => format!("set its type{there}: echo {} > {file}", recorded.number()),
        (None, Some((known, name))) => {
            format!("set its type{there}, for example {name}: echo {} > {file}; {list}", known.number())
        }
        (None, None) => format!("set its type{there}: echo NUMBER > {file}; {list}"),
    }
}
