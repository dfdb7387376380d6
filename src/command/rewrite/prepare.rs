//! One document, up to the moment before it is written: read, planned and proven.

use std::cell::LazyCell;
use std::fmt::Write as _;

use super::super::diff::unified;
use super::super::settings::{DryRun, Output, RewriteSettings, Target};
use super::super::{name_of, read_document};
use super::changes::{Change, changes};
use super::summary::Standing;
use super::{Rewrite, check_size, wanted};
use crate::domain::Document;
use crate::edit::prove;
use crate::file::{self, Input, Original, Purpose};
use crate::plan::Plan;
use crate::report::{Diagnostic, Origin, escape};

/// A document with which nothing is wrong.
///
/// Of ten thousand, nothing is kept that is not needed any more.
pub(super) struct Prepared {
    pub standing: Standing,
    /// What is to be told whatever becomes of it.
    pub remarks: Vec<Diagnostic>,
    /// Nothing where there is nothing to write or to print, as of a file that is rewritten in place and stays as it is. In a
    /// box, since that is what most of ten thousand come to.
    pub product: Option<Box<Product>>,
    /// What `--dry-run --json` prints.
    pub changes: Vec<Change>,
}

/// What comes of a document.
pub(super) struct Product {
    pub original: Original,
    /// What is to be written, or of `--diff` and `--dry-run` what is to be printed.
    pub text: String,
    /// What is to be told where it is rewritten in place.
    pub warning: Option<Diagnostic>,
}

/// Reads one document, and finds what is to be done with it.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn prepare(
    input: &Input,
    purpose: Purpose,
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
) -> Result<Prepared, Vec<Diagnostic>> {
    let (original, document) = read_document(input, purpose).map_err(|error| vec![error])?;
    // Of nearly every document there is nothing to say.
    let origin = LazyCell::new(|| Origin::new(name_of(input), &document.text));
    let plan = (rewrite.planner)(&document)
        .map_err(|faults| faults.iter().map(|fault| origin.fault(fault)).collect::<Vec<_>>())?;
    let has_edits = !plan.edits.is_empty();
    check_size(&name_of(input), plan.edits.edited_len(&document.text)).map_err(|error| vec![error])?;
    let edited = has_edits.then(|| plan.edits.apply(&document.text));
    if let Some(edited) = &edited {
        prove(&document.text, &plan.edits, edited).map_err(|error| vec![origin.unproven(&error)])?;
    }
    let standing = Standing::of(&document, &plan);
    let remarks = wanted(&plan.remarks, settings.verbosity).map(|remark| origin.remark(remark)).collect();
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
        (Output::Diff, _, Some(edited)) => unified(input, &document.text, &edited),
        (Output::Diff, _, None) => String::new(),
        (_, Some(DryRun::Lines), _) => steps(&name_of(input), &document, &plan),
        (_, Some(DryRun::Json), _) => {
            objects = changes(&document, &plan, &origin);
            String::new()
        }
        (_, None, Some(edited)) => edited,
        (Output::File(Target::InPlace(_)), None, None) => String::new(),
        (Output::Stdout | Output::File(Target::Other(_)), None, None) => document.text,
    };
    let product = (!text.is_empty()).then(|| Box::new(Product { original, text, warning }));
    Ok(Prepared { standing, remarks, product, changes: objects })
}

/// What would be done, a line for each device.
fn steps(name: &str, document: &Document, plan: &Plan) -> String {
    let mut text = String::new();
    if plan.decisions.is_empty() {
        return text;
    }
    let origin = Origin::new(name, &document.text);
    for decision in &plan.decisions {
        let steps: Vec<_> = decision.steps.iter().map(|step| escape::message(&step.to_string())).collect();
        let device = decision.uuid.as_ref().map(|uuid| format!("mdev {}: ", escape(uuid))).unwrap_or_default();
        let _ = writeln!(text, "{name}:{}: {device}{}", origin.place(decision.span), steps.join(", "));
    }
    text
}

/// libvirt holds the domain in memory and writes the file anew when it likes.
fn overwritten_by_libvirt(input: &Input, document: &Document, rewrite: &Rewrite<'_>) -> Diagnostic {
    let guest = document.domains.first().and_then(|domain| domain.name.as_deref());
    let guest = guest.map_or_else(|| "DOMAIN".to_owned(), escape::virsh_domain);
    let told = Diagnostic::warning(format!("{} is libvirt's own file: libvirt will overwrite it", name_of(input)))
        .help(format!("change the domain itself: EDITOR='{}' virsh edit {guest}", rewrite.again));
    rewrite.advice.into_iter().fold(told, |told, advice| told.help(advice))
}
