//! What `--json` prints: an array of objects.

use serde::Serialize;

use super::{Failure, NotFound, name_of};
use crate::device::{Device, DeviceAddress, Part};
use crate::domain::RecordedIdentity;
use crate::file::Input;
use crate::plan::demand::Wanted;
use crate::report::{Diagnostic, escape};
use crate::text::Position;

/// What was found in a document, or why it failed.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Entry<T> {
    /// One of the results.
    Found(T),
    /// The file that failed.
    Failed(FailedFile),
}

/// A file that is not found, or a document that cannot be read or judged.
#[derive(Serialize)]
pub(super) struct FailedFile {
    file: String,
    error: Vec<String>,
    /// Where each error is, if it is at a place in the document.
    places: Vec<Option<Position>>,
}

impl FailedFile {
    pub(super) fn new(input: &Input, errors: &[Diagnostic]) -> Self {
        Self {
            file: name_of(input),
            error: errors.iter().map(|error| error.message.clone()).collect(),
            places: errors.iter().map(|error| error.excerpt.as_ref().map(|excerpt| excerpt.place)).collect(),
        }
    }
}

/// What was found in several documents, and the errors.
pub(super) struct Results<T> {
    pub(super) entries: Vec<Entry<T>>,
    pub(super) errors: Vec<Diagnostic>,
}

impl<T> Results<T> {
    /// Begins with the files that are not found.
    pub(super) fn new(not_found: Vec<NotFound>) -> Self {
        let mut results = Self { entries: Vec::new(), errors: Vec::new() };
        not_found.into_iter().for_each(|(input, error)| results.add(&input, Err(vec![error])));
        results
    }

    /// Adds what was found in a document, or its errors.
    pub(super) fn add(&mut self, input: &Input, result: Result<Vec<T>, Vec<Diagnostic>>) {
        match result {
            Ok(found) => self.entries.extend(found.into_iter().map(Entry::Found)),
            Err(errors) => {
                self.entries.push(Entry::Failed(FailedFile::new(input, &errors)));
                self.errors.extend(errors);
            }
        }
    }

    /// Returns what was found, without the files that failed.
    pub(super) fn found(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Found(found) => Some(found),
            Entry::Failed(_) => None,
        })
    }
}

/// The parts of an identity by the names of their elements. A missing part is left out.
#[derive(Default, Serialize)]
pub(super) struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vendorid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) productid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mdevtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vgputype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subsystem: Option<String>,
}

impl Parts {
    /// Returns the ids and the type for people, with a dash for a part that is missing; `None` if all are.
    pub(super) fn text(&self) -> Option<String> {
        let kind = self.mdevtype.as_ref().or(self.vgputype.as_ref()).or(self.class.as_ref());
        let parts = [self.vendorid.as_ref(), self.productid.as_ref(), kind];
        let is_known = parts.iter().any(Option::is_some);
        is_known.then(|| parts.map(|part| part.map_or_else(|| "-".to_owned(), |part| escape::short(part))).join(" "))
    }
}

/// The names of a device in a domain.
#[derive(Serialize)]
pub(super) struct DeviceNames {
    /// The UUID of a mediated device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uuid: Option<String>,
    /// The source address of a PCI device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// The hostdev's own address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guest: Option<String>,
}

impl DeviceNames {
    /// Returns the UUID of a mediated device, or the source address of a PCI device.
    pub(super) fn device(&self) -> Option<&str> {
        self.uuid.as_deref().or(self.source.as_deref())
    }
}

/// What a domain says of one of its devices.
#[derive(Serialize)]
pub(super) struct Asked {
    #[serde(flatten)]
    pub(super) names: DeviceNames,
    /// The recorded identity, as far as it was recorded.
    pub(super) recorded: Parts,
    /// The UUID that it was recorded for, if that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded_uuid: Option<String>,
}

impl From<&Wanted<'_>> for Asked {
    fn from(wanted: &Wanted<'_>) -> Self {
        let (uuid, source) = match wanted.device {
            DeviceAddress::Mdev(uuid) => (Some(uuid.to_string()), None),
            DeviceAddress::Pci(address) => (None, Some(address.to_string())),
        };
        Self {
            names: DeviceNames {
                uuid,
                source,
                guest: wanted.hostdev.guest().address.as_ref().map(ToString::to_string),
            },
            recorded: wanted.recorded.map(Parts::from).unwrap_or_default(),
            recorded_uuid: wanted.recorded_uuid(),
        }
    }
}

impl FromIterator<(Part, String)> for Parts {
    fn from_iter<T: IntoIterator<Item = (Part, String)>>(all: T) -> Self {
        let mut parts = Self::default();
        for (part, value) in all {
            let field = match part {
                Part::Vendor => &mut parts.vendorid,
                Part::Product => &mut parts.productid,
                Part::MdevType => &mut parts.mdevtype,
                Part::VgpuType => &mut parts.vgputype,
                Part::Class => &mut parts.class,
                Part::Subsystem => &mut parts.subsystem,
            };
            *field = Some(value);
        }
        parts
    }
}

impl From<&RecordedIdentity> for Parts {
    fn from(recorded: &RecordedIdentity) -> Self {
        recorded.parts().map(|part| (part.part, part.text.clone())).collect()
    }
}

impl From<&Device> for Parts {
    fn from(device: &Device) -> Self {
        device.recorded_parts().collect()
    }
}

/// Returns a value as text for a terminal or a program.
pub(super) fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    shown(serde_json::to_string_pretty(value)).map(|text| text + "\n")
}

/// Returns a value as JSON on one line, for a terminal or a program.
pub(super) fn in_one_line(value: &impl Serialize) -> Result<String, Failure> {
    shown(serde_json::to_string(value))
}

fn shown(json: serde_json::Result<String>) -> Result<String, Failure> {
    json.map(|json| without_hidden(&json))
        .map_err(|error| Failure::from(Diagnostic::error(format!("cannot write JSON: {error}"))))
}

/// Escapes what JSON allows as it is, and a terminal obeys or does not show.
fn without_hidden(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            hidden if hidden == '\x7f' || escape::is_hidden(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    shown.push_str(&format!("\\u{unit:04x}"));
                }
            }
            plain => shown.push(plain),
        }
    }
    shown
}
