//! Searches the bytes of a document that cannot be parsed for signs of a mediated device.
//!
//! A guest whose document is malformed or too large is refused only if it may have a device that must be compared. The search
//! reads a document in chunks, keeps none of them, and errs on the side of finding something: it finds whatever a parser could
//! read as such a device, however it is written.

use super::metadata::NAMESPACE;
use crate::text::is_xml_space;

/// A `<hostdev` start tag that is longer is assumed to hide something; libvirt writes fewer than 200 bytes.
const MAX_TAG: usize = 4096;

const HOSTDEV: &[u8] = b"hostdev";

/// What a document that cannot be parsed may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// A `hostdev` of type mdev.
    pub mdev: bool,
    /// A `hostdev` of type pci.
    pub pci: bool,
    /// A record of ours, and a `hostdev` of type pci that the recorded device may have become.
    pub record_and_pci: bool,
}

/// A search that is fed with a document, chunk by chunk.
///
/// ```
/// use virt_mdev::domain::Search;
///
/// let mut search = Search::default();
/// for chunk in [&b"<domain><title>mdev</title><devices><hostdev ty"[..], b"pe='mdev'"] {
///     search.feed(chunk);
/// }
/// assert!(search.finish().mdev);
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    state: State,
    mdev: Needle,
    pci: Needle,
    has_mdev: bool,
    has_pci: bool,
    namespace: Needle,
    has_namespace: bool,
    /// Whether the search is between an `xmlns` and the end of its tag.
    declares: bool,
    xmlns: Needle,
    /// Declarations of a DOCTYPE by which anything can be written as something else.
    declarations: [Needle; 2],
}

/// Where in the text the search is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Not in the start tag of a hostdev.
    Elsewhere,
    /// In the name of a start tag: how many bytes of "hostdev" have been read since its beginning or its last colon, or
    /// `None` if others have been read.
    Name(Option<usize>),
    /// Between the name and the end of the start tag of a hostdev.
    Tag { quote: Option<u8>, length: usize },
}

/// A string to find. Its first byte must not occur in it again.
#[derive(Clone, Debug)]
struct Needle {
    bytes: &'static [u8],
    matched: usize,
}

impl Needle {
    fn new(text: &'static str) -> Self {
        debug_assert!(!text[1..].contains(&text[..1]), "{text}: after a mismatch the search starts over");
        Self { bytes: text.as_bytes(), matched: 0 }
    }

    /// Reads a byte, and returns whether the string ends with it.
    fn ends_with(&mut self, byte: u8) -> bool {
        self.matched = if byte == self.bytes[self.matched] { self.matched + 1 } else { (byte == self.bytes[0]).into() };
        let is_found = self.matched == self.bytes.len();
        if is_found {
            self.matched = 0;
        }
        is_found
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            state: State::Elsewhere,
            mdev: Needle::new("mdev"),
            pci: Needle::new("pci"),
            has_mdev: false,
            has_pci: false,
            namespace: Needle::new(NAMESPACE),
            has_namespace: false,
            declares: false,
            xmlns: Needle::new("xmlns"),
            declarations: ["<!ENTITY", "<!ATTLIST"].map(Needle::new),
        }
    }
}

impl Search {
    /// Searches the next bytes of the document.
    pub fn feed(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            // A reference in a namespace URI may be one of its letters.
            self.declares = self.xmlns.ends_with(byte) || self.declares && !matches!(byte, b'<' | b'>');
            self.has_namespace |= self.namespace.ends_with(byte) || self.declares && byte == b'&';
            if self.declarations.iter_mut().any(|declaration| declaration.ends_with(byte)) {
                (self.has_mdev, self.has_pci, self.has_namespace) = (true, true, true);
            }
            self.state = self.next_state(byte);
        }
    }

    /// Returns what was found. A document that ends in the start tag of a hostdev may ask for any device.
    pub fn finish(self) -> Suspicion {
        let is_cut_off = matches!(self.state, State::Tag { .. } | State::Name(Some(7)));
        Suspicion {
            mdev: self.has_mdev || is_cut_off,
            pci: self.has_pci || is_cut_off,
            record_and_pci: self.has_namespace && (self.has_pci || is_cut_off),
        }
    }

    fn next_state(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            // No tag contains a `<`, not even in an attribute's value.
            (_, b'<') => State::Name(Some(0)),
            (State::Elsewhere, _) => State::Elsewhere,
            (State::Name(matched), _) => self.after_name(matched, byte),
            (State::Tag { quote, length }, _) => self.in_tag(quote, length, byte),
        }
    }

    fn after_name(&mut self, matched: Option<usize>, byte: u8) -> State {
        match matched {
            _ if byte == b':' => State::Name(Some(0)),
            Some(matched) if HOSTDEV.get(matched) == Some(&byte) => State::Name(Some(matched + 1)),
            _ if is_name_byte(byte) => State::Name(None),
            Some(7) if byte != b'>' => {
                (self.mdev, self.pci) = (Needle::new("mdev"), Needle::new("pci"));
                self.in_tag(None, 0, byte)
            }
            _ => State::Elsewhere,
        }
    }

    fn in_tag(&mut self, quote: Option<u8>, length: usize, byte: u8) -> State {
        // A reference may be a letter of the type.
        let hides_something = byte == b'&' || length > MAX_TAG;
        self.has_mdev |= self.mdev.ends_with(byte) || hides_something;
        self.has_pci |= self.pci.ends_with(byte) || hides_something;
        let quote = match quote {
            Some(open) if byte == open => None,
            Some(open) => Some(open),
            None if byte == b'>' || length > MAX_TAG => return State::Elsewhere,
            None => Some(byte).filter(|byte| matches!(byte, b'"' | b'\'')),
        };
        State::Tag { quote, length: length + 1 }
    }
}

fn is_name_byte(byte: u8) -> bool {
    !is_xml_space(byte.into()) && !matches!(byte, b'/' | b'>' | b'=' | b'"' | b'\'' | b'&' | b'\0'..=b'\x08')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a text in one piece, byte by byte, and cut in two at each state: all must find the same.
    #[track_caller]
    fn search(text: &str) -> Suspicion {
        let in_chunks = |chunks: &[&[u8]]| {
            let mut search = Search::default();
            chunks.iter().for_each(|chunk| search.feed(chunk));
            search.finish()
        };
        let bytes = text.as_bytes();
        let found = in_chunks(&[bytes]);
        assert_eq!(found, in_chunks(&bytes.chunks(1).collect::<Vec<_>>()), "{text}");
        if bytes.len() < 1000 {
            for at in 0..=bytes.len() {
                assert_eq!(found, in_chunks(&[&bytes[..at], &[], &bytes[at..]]), "{text} cut at {at}");
            }
        }
        found
    }

    #[test]
    fn a_hostdev_of_type_mdev_is_found_however_it_is_written() {
        for text in [
            "<hostdev type='mdev'>",
            "<hostdev\n\tmode=\"subsystem\"\n\ttype = \"mdev\"/>",
            "<x:hostdev type='mdev'>",
            "<:hostdev type='mdev'>",
            "<a:b:hostdev type='mdev'>",
            "<ho<hostdev type='mdev'>",
            "<<hostdev type='mdev'>",
            "<hostdev x:type='mmdev'>",
            "<hostdev a='>' type='mdev'>",
            "<hostdev a=\"'>\" type='mdev'>",
            "<hostdev type='m&#100;ev'>",
            "<hostdev a='&lt;'>",
            "<hostdev type='mdev",
            "<hostdev type='md",
            "<hostdev ",
            "<hostdev",
            "<!-- <hostdev type='mdev'> -->",
            "<!DOCTYPE d [<!ENTITY m 'x'>]><d/>",
            "<!DOCTYPE d [<!ATTLIST hostdev type CDATA 'x'>]><hostdev/>",
        ] {
            assert!(search(text).mdev, "{text}");
        }
    }

    #[test]
    fn other_hostdevs_and_other_places_are_ignored() {
        for text in [
            "",
            "<domain><title>an mdev</title></domain>",
            "<hostdev type='usb'>mdev</hostdev>",
            "<hostdev type='usb'/><x mdev=''/>",
            "<hostdev>mdev &amp;",
            "<hostdev type='pci'><source mdev='&#100;'/>",
            "<hostdevs type='mdev'>",
            "<xhostdev type='mdev'>",
            "<host type='mdev'>",
            "<hostdev:x type='mdev'>",
            "<!--hostdev mdev>",
            "</hostdev mdev>",
            "hostdev type='mdev'",
            "<hostdev type='md' ev=''>",
            "<hostdev type='usb><x mdev=''>",
            "<hostdev type='md'/><hostdev type='ev'/>",
        ] {
            assert!(!search(text).mdev, "{text}");
        }
        assert!(!search(&"<hostdev type='usb'/> &apos;".repeat(10_000)).mdev);
    }

    #[test]
    fn a_very_long_tag_is_found() {
        let tag = |length: usize| format!("<hostdev a='{}' type='usb'/>", "x".repeat(length));
        assert!(!search(&tag(MAX_TAG - 50)).mdev);
        assert!(search(&tag(MAX_TAG)).mdev);
        assert!(search(&format!("<hostdev {}", "x".repeat(MAX_TAG * 2))).mdev);
    }

    #[test]
    fn a_record_counts_only_with_a_hostdev_of_type_pci() {
        let record = "<r:identities xmlns:r='urn:virt-mdev:1'/>";
        let pci = "<hostdev type='pci'/>";
        assert!(search(&format!("{record}{pci}")).record_and_pci);
        assert!(search(&format!("{pci}{record}")).record_and_pci);
        assert!(search(&format!("{record}<hostdev type='p&#99;i'/>")).record_and_pci);
        assert!(search(&format!("{record}<hostdev ")).record_and_pci);
        assert!(search(&format!("{}{pci}", record.replace('-', "&#45;"))).record_and_pci);
        assert!(!search(&format!("{record}<hostdev type='usb'/>")).record_and_pci);
        assert!(!search(pci).record_and_pci);
        assert!(!search(record).record_and_pci);
        assert!(!search(&format!("<a xmlns='u'>&amp;</a>{pci}")).record_and_pci);
        assert!(!search(&format!("{record}<a type='pci'/>")).record_and_pci);
        assert!(!search(&format!("{pci}{record}")).mdev);
        assert!(search(pci).pci && search("<hostdev type='pc&#105;'>").pci && search("<hostdev ").pci);
        assert!(!search("<a type='pci'/><hostdev type='usb'/>").pci);
    }
}
