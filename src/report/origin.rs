//! Errors and remarks of the other modules, as diagnostics.

use std::cell::OnceCell;
use std::error::Error;

use rustix::fs::FileType;

use super::{Diagnostic, Excerpt, Kind, escape, help};
use crate::domain::{MAX_BYTES, ReadError, ReadErrorKind};
use crate::edit::ProofError;
use crate::file::{self, FileError};
use crate::host::{HostFileError, with_causes};
use crate::plan::{PlanError, Remark};
use crate::text::{Lines, Position, Span};

/// A document as messages refer to it: by its name, and lines and columns.
pub struct Origin<'a> {
    name: String,
    text: &'a str,
    /// Computed when a place is first needed: most documents need none.
    lines: OnceCell<Lines<'a>>,
}

impl<'a> Origin<'a> {
    /// Returns a document with this name.
    pub fn new(name: impl Into<String>, text: &'a str) -> Self {
        Self { name: name.into(), text, lines: OnceCell::new() }
    }

    /// Returns the document's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the document's name and the line and column at which `span` begins, as editors accept it.
    pub fn named_place(&self, span: Span) -> String {
        format!("{}:{}", self.name, self.place(span))
    }

    fn lines(&self) -> &Lines<'a> {
        self.lines.get_or_init(|| Lines::new(self.text))
    }

    /// Returns the line and column at which `span` begins.
    pub fn place(&self, span: Span) -> Position {
        self.lines().place(span.start)
    }

    /// Returns the line that contains `span`, with a mark.
    pub fn excerpt(&self, span: Span, label: impl Into<String>) -> Excerpt {
        Excerpt::new(&self.name, self.text, self.lines(), span, label)
    }

    /// Returns the diagnostic for an error of a plan.
    pub fn error(&self, error: &PlanError) -> Diagnostic {
        let PlanError { span, kind } = error;
        let error = Diagnostic::of(kind).at(self.excerpt(*span, kind.label()));
        let error = Diagnostic { kind: Some(Kind::from(kind)), ..error };
        help::plan_error(kind).into_iter().fold(error, Diagnostic::help)
    }

    /// Returns the diagnostics for the errors of a plan, in document order.
    pub fn errors(&self, mut errors: Vec<PlanError>) -> Vec<Diagnostic> {
        errors.sort_by_key(|error| error.span);
        errors.iter().map(|error| self.error(error)).collect()
    }

    /// Returns the diagnostic for a remark on a plan.
    pub fn remark(&self, remark: &Remark) -> Diagnostic {
        let message = remark.kind.to_string();
        let remarked = if remark.kind.is_warning() { Diagnostic::warning(message) } else { Diagnostic::note(message) };
        let remarked = Diagnostic { kind: Some(Kind::from(&remark.kind)), ..remarked };
        let remarked = remarked.at(self.excerpt(remark.span, remark.kind.label()));
        help::remark(&remark.kind).into_iter().fold(remarked, Diagnostic::help)
    }

    /// Returns the diagnostic for an edited text that could not be verified.
    pub fn unproven(&self, error: &ProofError) -> Diagnostic {
        let internal = || Diagnostic::error(format!("internal error, nothing was written: {error}"));
        let bug = match error {
            ProofError::Refused { span, reason } => {
                let malformed = Diagnostic::error(format!("the document is not well-formed XML: {reason}"));
                return malformed.at(self.excerpt(*span, "in this element"));
            }
            ProofError::NotUndone => internal(),
            ProofError::Unreadable { span, .. } | ProofError::Different { span } => {
                internal().at(self.excerpt(*span, ""))
            }
        };
        bug.help("please report it, with the document if you can")
    }
}

impl Diagnostic {
    /// Returns an error with all its causes, in one sentence.
    pub fn of(error: &dyn Error) -> Self {
        Self::error(with_causes(error))
    }

    /// Returns the diagnostic for an error about a file.
    pub fn of_file(error: &FileError) -> Self {
        file_help(error).into_iter().fold(Self::of(error), Self::help)
    }

    /// Returns the diagnostic for a warning about a file.
    pub fn of_file_warning(warning: &file::Warning) -> Self {
        match warning {
            file::Warning::WriteProtected { path } => {
                Self::warning(format!("{} is write-protected (mode 0444), but root may write it", escape::path(path)))
            }
            file::Warning::NotRemoved { path, source } => {
                Self::warning(format!("cannot remove {}: {source}", escape::path(path)))
                    .help("it is no longer needed; remove it by hand")
            }
        }
    }

    /// Returns the diagnostic for a document that cannot be read.
    pub fn of_document(name: &str, error: &ReadError) -> Self {
        let origin = Origin::new(name, &error.text);
        let diagnostic = match &error.kind {
            kind if kind.is_of_text() => Self::error(kind.to_string()).at(origin.excerpt(error.span, "")),
            ReadErrorKind::Compressed(_) => Self::error(format!("{name}: {}", error.kind)),
            _ => Self::error(format!("{}: {}", origin.named_place(error.span), error.kind)),
        };
        help::read_error(&error.kind).into_iter().fold(diagnostic, Self::help)
    }

    /// Returns the diagnostic for a file that does not describe a host. `text` is its content.
    pub fn of_host_file(name: &str, text: &str, error: &HostFileError) -> Self {
        let diagnostic = match error.span {
            Some(span) => Self::error(error.to_string()).at(Origin::new(name, text).excerpt(span, "")),
            None => Self::error(format!("{name}: {error}")),
        };
        diagnostic.help(help::HOST_FILE)
    }
}

/// Returns what to do about a file that cannot be read or replaced, if that is known.
fn file_help(error: &FileError) -> Option<String> {
    let help = match error {
        FileError::NotFound { .. } => "to read the domain of a guest, use a pipe: virsh dumpxml GUEST | virt-mdev …",
        FileError::NoMatch { .. } => "check its directory; names that begin with a dot are not matched",
        FileError::NotRegular { file_type: FileType::Directory, .. } => {
            "name the documents in it, or give a pattern for them: 'DIRECTORY/*.xml'"
        }
        FileError::NotRegular { .. } | FileError::Descriptor { .. } => {
            "only a regular file is rewritten in place; without -i the result goes to standard output"
        }
        FileError::TooLarge { limit: MAX_BYTES, .. } => "libvirt's RPC carries no larger document",
        FileError::HardLinks { .. } => {
            "write the result elsewhere with --output, or replace the link with a copy first"
        }
        FileError::NotWritable { .. } => "make it writable (chmod u+w), or write the result elsewhere with --output",
        FileError::BackupExists { .. } => "move the old backup away, or give another suffix",
        FileError::Changed { .. } | FileError::Appeared { .. } => "check it, and run the command again",
        FileError::KeptAside { .. } => "compare both files, and rename the one to keep",
        FileError::Protection { .. } => {
            "the file is unchanged, since its protection would be weaker; run as its owner, or as root"
        }
        _ => return None,
    };
    Some(help.to_owned())
}
