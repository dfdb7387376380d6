//! Prepares one document: reads, plans and verifies it, but does not write it.

use std::fmt::Write as _;

use super::super::diff::unified;
use super::super::settings::{Format, Output, RewriteSettings, Target};
use super::super::{name_of, read_document};
use super::changes::{Change, changes};
use super::{Rewrite, check_size, shown};
use crate::domain::Document;
use crate::file::{self, Input, Original, Purpose};
use crate::plan::{Plan, RemarkKind};
use crate::report::{Diagnostic, Origin, escape};

/// A document without errors, ready to be written.
///
/// There may be ten thousand of them, so it keeps only what is still needed.
pub(super) struct Prepared {
    pub category: Category,
    /// The remarks to print, whether or not the document is written.
    pub remarks: Vec<Diagnostic>,
    /// `None` if there is nothing to write or print, for instance if a file to rewrite in place needs no change. Boxed, because
    /// most of ten thousand files need none.
    pub product: Option<Box<Product>>,
    /// What `--dry-run --json` prints.
    pub changes: Vec<Change>,
}

/// How a document is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// It is to be changed.
    Changes,
    /// It needs no change.
    Complete,
    /// It stays unchanged because the policy says so, although a device is missing or an identity differs.
    Skipped,
    /// It has no mdevs, and no PCI devices that are recorded.
    WithoutDevices,
}

impl Category {
    /// Returns how a document with this plan is counted.
    pub fn of(document: &Document, plan: &Plan) -> Self {
        let has = |wanted: fn(&RemarkKind) -> bool| plan.remarks.iter().any(|remark| wanted(&remark.kind));
        let is_skipped = has(|kind| matches!(kind, RemarkKind::Skipped(_) | RemarkKind::Kept { .. }));
        let has_mdevs = document.domains.iter().any(|domain| !domain.hostdevs.is_empty());
        if !plan.edits.is_empty() {
            Self::Changes
        } else if !has_mdevs && !is_skipped && !has(|kind| matches!(kind, RemarkKind::Complete(_))) {
            Self::WithoutDevices
        } else if is_skipped {
            Self::Skipped
        } else {
            Self::Complete
        }
    }
}

/// What is written or printed for a document.
pub(super) struct Product {
    pub original: Original,
    /// The text to write, or with `--diff` and `--dry-run` the text to print.
    pub text: String,
    /// A warning to print if it is rewritten in place.
    pub warning: Option<Diagnostic>,
}

/// Reads one document and decides what is to be done with it.
///
/// # Errors
/// All errors of the document.
pub(super) fn prepare(
    input: &Input,
    purpose: Purpose,
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
) -> Result<Prepared, Vec<Diagnostic>> {
    let (original, document) = read_document(input, purpose).map_err(|error| vec![error])?;
    let origin = Origin::new(name_of(input), document.text());
    let plan = (rewrite.planner)(&document).map_err(|errors| origin.errors(errors))?;
    let has_edits = !plan.edits.is_empty();
    check_size(&name_of(input), plan.edits.edited_len(document.text())).map_err(|error| vec![error])?;
    let edited = has_edits.then(|| plan.edits.apply_proven(document.text())).transpose();
    let edited = edited.map_err(|error| vec![origin.unproven(&error)])?;
    let category = Category::of(&document, &plan);
    let remarks = shown(&plan.remarks, settings.verbosity).map(|remark| origin.remark(remark)).collect();
    let mut warning = None;
    if let (Output::File(Target::InPlace(suffix)), true) = (&settings.output, has_edits) {
        if settings.dry_run.is_some() {
            file::preflight(&original, suffix.as_ref()).map_err(|error| vec![Diagnostic::of_file(&error)])?;
        } else if document.is_generated {
            warning = Some(overwritten_by_libvirt(input, &document, rewrite));
        }
    }
    let mut objects = Vec::new();
    let text = match (&settings.output, settings.dry_run, edited) {
        (Output::Diff, _, Some(edited)) => unified(input, document.text(), &edited),
        (Output::Diff, _, None) => String::new(),
        (_, Some(Format::Text), _) => steps(&plan, &origin),
        (_, Some(Format::Json), _) => {
            objects = changes(&document, &plan, &origin);
            String::new()
        }
        (_, None, Some(edited)) => edited,
        (Output::File(Target::InPlace(_)), None, None) => String::new(),
        (Output::Stdout | Output::File(Target::Other(_)), None, None) => document.into_text(),
    };
    let product = (!text.is_empty()).then(|| Box::new(Product { original, text, warning }));
    Ok(Prepared { category, remarks, product, changes: objects })
}

/// Returns the text of `--dry-run`: a line for each device or record that would change.
fn steps(plan: &Plan, origin: &Origin<'_>) -> String {
    let mut text = String::new();
    for decision in &plan.decisions {
        let steps: Vec<_> = decision.steps.iter().map(|step| escape::message(&step.to_string())).collect();
        let device = decision.device.as_ref().map(|device| format!("{}: ", escape(&device.to_string())));
        let device = device.unwrap_or_default();
        let _ = writeln!(text, "{}: {device}{}", origin.named_place(decision.span), steps.join(", "));
    }
    text
}

/// Returns the warning for a file of libvirt, which keeps the domain in memory and will overwrite the file.
fn overwritten_by_libvirt(input: &Input, document: &Document, rewrite: &Rewrite<'_>) -> Diagnostic {
    let guest = document.domains.first().and_then(|domain| domain.name.as_deref());
    let guest = guest.map_or_else(|| "DOMAIN".to_owned(), escape::virsh_domain);
    let warning = Diagnostic::warning(format!("{} belongs to libvirt, which will overwrite it", name_of(input)))
        .help(format!("change the domain itself: EDITOR='{}' virsh edit {guest}", rewrite.again));
    rewrite.advice.into_iter().fold(warning, Diagnostic::help)
}
