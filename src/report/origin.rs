//! Errors and remarks of the other modules, as diagnostics.

use std::error::Error;
use std::sync::OnceLock;

use super::{Diagnostic, Excerpt, Kind, escape, help};
use crate::domain::{ReadError, ReadErrorKind};
use crate::edit::ProofError;
use crate::file::{self, FileError, FileKind};
use crate::plan::{PlanError, Remark};
use crate::text::{Lines, Position, Span};

/// A document as messages speak of it: by its name, its lines and places.
pub struct Origin<'a> {
    name: String,
    text: &'a str,
    /// Computed when a place is first needed: most documents need none.
    lines: OnceLock<Lines<'a>>,
}

impl<'a> Origin<'a> {
    /// A document of this name.
    pub fn new(name: impl Into<String>, text: &'a str) -> Self {
        Self { name: name.into(), text, lines: OnceLock::new() }
    }

    /// The document's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document's name and where in it `span` begins, as editors take it.
    pub fn named_place(&self, span: Span) -> String {
        format!("{}:{}", self.name, self.place(span))
    }

    fn lines(&self) -> &Lines<'a> {
        self.lines.get_or_init(|| Lines::new(self.text))
    }

    /// Where `span` begins.
    pub fn place(&self, span: Span) -> Position {
        self.lines().place(span.start)
    }

    /// The line around `span`, marked.
    pub fn excerpt(&self, span: Span, label: impl Into<String>) -> Excerpt {
        Excerpt::new(&self.name, self.text, self.lines(), span, label)
    }

    /// What keeps a plan from being made.
    pub fn error(&self, error: &PlanError) -> Diagnostic {
        let PlanError { span, kind } = error;
        let told = Diagnostic::of(kind).at(self.excerpt(*span, kind.label()));
        let told = Diagnostic { kind: Some(Kind::from(kind)), ..told };
        help::plan_error(kind).into_iter().fold(told, Diagnostic::help)
    }

    /// What is worth saying beside a plan.
    pub fn remark(&self, remark: &Remark) -> Diagnostic {
        let message = remark.kind.to_string();
        let told = if remark.kind.is_warning() { Diagnostic::warning(message) } else { Diagnostic::note(message) };
        let told = Diagnostic { kind: Some(Kind::from(&remark.kind)), ..told };
        let told = told.at(self.excerpt(remark.span, remark.kind.label()));
        help::remark(&remark.kind).into_iter().fold(told, Diagnostic::help)
    }

    /// A result that was not proven, which is a bug of this program.
    pub fn unproven(&self, error: &ProofError) -> Diagnostic {
        let internal = || Diagnostic::error(format!("internal error, nothing was written: {error}"));
        let told = match error {
            ProofError::Refused { span, reason } => {
                let told = Diagnostic::error(format!("the document is not well-formed XML: {reason}"));
                return told.at(self.excerpt(*span, "in this element"));
            }
            ProofError::NotUndone => internal(),
            ProofError::Unreadable { span, .. } | ProofError::Different { span } => {
                internal().at(self.excerpt(*span, ""))
            }
        };
        told.help("please report it, with the document if you can")
    }
}

impl Diagnostic {
    /// An error with all its causes, in one sentence.
    pub fn of(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::error(message)
    }

    /// What is wrong with a file, and what to do about it.
    pub fn of_file(error: &FileError) -> Self {
        file_help(error).into_iter().fold(Self::of(error), |told, help| told.help(help))
    }

    /// What should be said about a file that was replaced all the same.
    pub fn of_file_warning(warning: &file::Warning) -> Self {
        match warning {
            file::Warning::WriteProtected { path } => {
                let told =
                    format!("{} is write-protected (mode 0444); root may write it all the same", escape::path(path));
                Self::warning(told)
            }
            file::Warning::NotRemoved { path, source } => {
                Self::warning(format!("cannot remove {}: {source}", escape::path(path)))
                    .help("it is of no use any more; remove it by hand")
            }
        }
    }

    /// Why the document of this name cannot be read.
    pub fn of_document(name: &str, error: &ReadError) -> Self {
        let origin = Origin::new(name, &error.text);
        let told = match &error.kind {
            kind if kind.is_of_text() => Self::error(kind.to_string()).at(origin.excerpt(error.span, "")),
            ReadErrorKind::Compressed(_) => Self::error(format!("{name}: {}", error.kind)),
            _ => Self::error(format!("{}: {}", origin.named_place(error.span), error.kind)),
        };
        error.kind.help().into_iter().fold(told, Self::help)
    }
}

/// What to do about a file that cannot be read or replaced, where that is known.
fn file_help(error: &FileError) -> Option<String> {
    let help = match error {
        FileError::NotFound { .. } => "a guest's own domain comes through a pipe: virsh dumpxml GUEST | virt-mdev …",
        FileError::NoMatch { .. } => "check its directory; names that begin with a dot are not matched",
        FileError::NotRegular { kind: FileKind::Directory, .. } => {
            "name the documents in it, or give a pattern for them: 'DIRECTORY/*.xml'"
        }
        FileError::NotRegular { .. } | FileError::Descriptor { .. } => {
            "only a regular file is rewritten in place; without -i the result goes to standard output"
        }
        FileError::TooLarge { .. } => "libvirt's RPC carries no larger document",
        FileError::HardLinks { .. } => "write the result elsewhere with --output, or make it a file of its own first",
        FileError::NotWritable { .. } => "make it writable (chmod u+w), or write the result elsewhere with --output",
        FileError::BackupExists { .. } => "move the old backup away, or give another suffix",
        FileError::Changed { .. } | FileError::Appeared { .. } => "look at it, and run the command again",
        FileError::KeptAside { .. } => "look at both files, and rename the one that is to stay",
        FileError::Protection { .. } => {
            "the file is unchanged, since its protection would be weaker; run as its owner, or as root"
        }
        _ => return None,
    };
    Some(help.to_owned())
}
