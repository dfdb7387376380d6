//! Calls the library as another program would.

use std::fs;

use virt_mdev::FillError;
use virt_mdev::host::{HostSource, Sysfs};
use virt_mdev::plan::fill::Policy;
use virt_mdev::plan::{Place, Places};

use crate::support::testdata;

fn fill(xml: &str) -> Result<String, FillError> {
    let host = HostSource::Sysfs(Sysfs::open(&testdata("hosts/field/gvt-g/sys")).unwrap(), None);
    virt_mdev::fill(xml, &host, &Policy::strict(Places::Only(Place::Metadata)))
}

#[test]
fn fill_writes_what_the_command_writes() {
    let case = testdata("cases/metadata-first");
    let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
    assert_eq!(fill(&read("in.xml")).unwrap(), read("expect.xml"));
}

#[test]
fn fill_returns_the_place_of_each_error() {
    let absent = "<hostdev type='mdev' model='vfio-pci'><source>
<address uuid='c0ffee01-0000-4000-8000-000000000001'/></source></hostdev>";
    let xml = format!("<domain><devices>{absent}{}</devices></domain>", absent.replace("c0ffee01", "1"));
    assert_eq!(
        fill(&xml).unwrap_err().to_string(),
        "2:10: mdev c0ffee01-0000-4000-8000-000000000001 is not on this host\n\
         3:10: '1-0000-4000-8000-000000000001' is not a UUID: '-' is not a hexadecimal digit"
    );
    assert_eq!(
        fill("<domain>\n<b></a></domain>").unwrap_err().to_string(),
        "2:4: the document is not well-formed XML: expected 'b' tag, not 'a'"
    );
}
