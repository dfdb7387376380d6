//! Rewrites documents: reads, plans and verifies all of them before it writes the first.

mod changes;
mod prepare;
mod summary;
mod write;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::json::{self, Results};
use super::progress::Progress;
use super::settings::{Format, Output, RewriteSettings, Target, Verbosity};
use super::{Failure, NotFound, Outcome, Streams, expand, expand_each, name_of, read_document};
use crate::domain::{Document, MAX_BYTES};
use crate::file::{FileError, Input, Purpose};
use crate::parallel::{self, Threads};
use crate::plan::{Plan, PlanError, Remark};
use crate::report::{Diagnostic, Origin, escape};
use prepare::{Category, prepare};
use write::{WriteResult, write};

/// What differs between the commands that rewrite documents.
pub(super) struct Rewrite<'a> {
    /// The word for what was done to a document.
    pub done: &'a str,
    /// The words for a document with such devices that needs no change.
    pub nothing_to_do: &'a str,
    /// The words for a document without devices that the command is about.
    pub no_devices: &'a str,
    /// The command that does the same as an editor for `virsh edit`.
    pub again: &'a str,
    /// Further advice for someone who does that, if there is any.
    pub advice: Option<&'a str>,
    /// Plans the edits of a document. Several threads call it at the same time.
    pub planner: &'a Planner<'a>,
}

/// A function that plans the edits of a document.
pub(super) type Planner<'a> = dyn Fn(&Document) -> Result<Plan, Vec<PlanError>> + Sync + 'a;

/// Rewrites documents as `rewrite` decides.
///
/// If one cannot be rewritten, none is written, unless `--keep-going` was given. The messages and their order do not depend on
/// which thread finishes first.
pub(super) fn rewrite(
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let (inputs, not_found) = inputs(settings)?;
    let count = inputs.len() + not_found.len();
    let is_one = count == 1;
    let progress = Progress::new(streams.has_bar && !is_one && settings.verbosity != Verbosity::Quiet);

    progress.begin("reading", inputs.len());
    let purpose = purpose(settings, inputs.len());
    let read = parallel::map(&inputs, Threads::for_each(settings.jobs), |input| {
        let result = prepare(input, purpose, settings, rewrite);
        progress.step();
        result
    });
    let mut prepared = Vec::with_capacity(inputs.len());
    let mut results = Results::new(not_found);
    for (input, result) in inputs.iter().zip(read) {
        let changes = result.map(|mut document| {
            let changes = std::mem::take(&mut document.changes);
            prepared.push(document);
            changes
        });
        results.add(input, changes);
    }
    let Results { entries, mut errors } = results;
    let remarks = prepared.iter_mut().flat_map(|document| std::mem::take(&mut document.remarks));
    progress.pause(|| streams.report_all(remarks));

    let mut written = WriteResult::default();
    if settings.dry_run == Some(Format::Json) {
        progress.pause(|| streams.print(&json::text(&entries)?))?;
    } else if errors.is_empty() || settings.keep_going {
        match &settings.output {
            Output::File(target) if settings.dry_run.is_none() => {
                written = write(target, settings, rewrite, &prepared, &progress, streams)?;
                errors.append(&mut written.errors);
            }
            _ => progress.pause(|| {
                let mut products = prepared.iter().filter_map(|document| document.product.as_ref());
                products.try_for_each(|product| streams.print(&product.text))
            })?,
        }
    }
    drop(progress);
    let has_errors = !errors.is_empty();
    let has_summary = settings.output.is_in_place() && settings.dry_run.is_none() && !is_one;
    if has_summary {
        // After all errors, so that it is the last line on the screen.
        streams.report_all(errors.drain(..));
        streams.note(settings.verbosity, &summary::line(rewrite, &prepared, count - prepared.len(), &written));
    }
    let changes = prepared.iter().any(|document| document.category == Category::Changes);
    match written.signal {
        Some(signal) => Err(Failure { errors, exit_status: signal.exit_status() }),
        None if has_errors => Err(errors.into()),
        None if settings.dry_run.is_some() && changes => Ok(Outcome::Differs),
        None => Ok(Outcome::Done),
    }
}

/// Reads one document, makes something other than a document from it, and prints warnings.
pub(super) fn read_one<T>(
    settings: &RewriteSettings,
    make: impl Fn(&Document) -> Result<(T, Vec<Remark>), Vec<PlanError>>,
    streams: &mut Streams<'_>,
) -> Result<T, Failure> {
    let inputs = expand(&settings.inputs)?;
    let [input] = inputs.as_slice() else { return Err(too_many(inputs.len())) };
    let (original, document) = read_document(input, purpose(settings, 1))?;
    let origin = Origin::new(name_of(&original.input), document.text());
    let (made, remarks) = make(&document).map_err(|errors| Failure::from(origin.errors(errors)))?;
    streams.report_all(shown(&remarks, settings.verbosity).map(|remark| origin.remark(remark)));
    Ok(made)
}

/// Returns an error if a result is larger than libvirt accepts; `what` names the result.
pub(super) fn check_size(what: &str, bytes: usize) -> Result<(), Diagnostic> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let error = Diagnostic::error(format!("{what} would have {bytes} bytes, but libvirt accepts at most {MAX_BYTES}"));
    Err(error.help("nothing was written; remove what the document does not need, such as comments or stale records"))
}

/// Returns the remarks to print.
fn shown(remarks: &[Remark], verbosity: Verbosity) -> impl Iterator<Item = &Remark> {
    remarks.iter().filter(move |remark| match verbosity {
        Verbosity::Quiet => false,
        Verbosity::Normal => remark.kind.is_warning(),
        Verbosity::Verbose => true,
    })
}

/// Expands patterns to the inputs. With `--keep-going` it also returns the errors of those that cannot be found.
fn inputs(settings: &RewriteSettings) -> Result<(Vec<Input>, Vec<NotFound>), Failure> {
    if let Some(error) = separate_suffix(settings) {
        return Err(Failure::from(error));
    }
    let (inputs, not_found) = expand_each(&settings.inputs, settings.keep_going)?;
    let takes_many =
        matches!(settings.output, Output::File(Target::InPlace(_)) | Output::Diff) || settings.dry_run.is_some();
    if inputs.len() > 1 && !takes_many { Err(too_many(inputs.len())) } else { Ok((inputs, not_found)) }
}

/// Returns an error if a suffix for backups was given as a separate word, as some versions of sed take it.
///
/// Then no file is rewritten, not even with `--keep-going`: it would have no backup.
fn separate_suffix(settings: &RewriteSettings) -> Option<Diagnostic> {
    if !matches!(settings.output, Output::File(Target::InPlace(None))) {
        return None;
    }
    let is_suffix = |argument: &&OsString| {
        let bytes = argument.as_bytes();
        let is_name = bytes.starts_with(b".") && !bytes.iter().any(|byte| b"/*?[".contains(byte));
        is_name && Path::new(argument).symlink_metadata().is_err()
    };
    let path = settings.inputs.iter().find(is_suffix).map(PathBuf::from)?;
    let help =
        format!("a suffix for backups follows an equals sign: -i={}", escape::shell_word(&path.to_string_lossy()));
    Some(Diagnostic::of(&FileError::NotFound { path }).help(help))
}

fn too_many(count: usize) -> Failure {
    let error = Diagnostic::error(format!(
        "{count} files cannot be written to standard output: documents cannot be concatenated"
    ));
    Failure::from(error.help("rewrite them with --in-place, or show the changes with --diff or --dry-run"))
}

/// Returns what the documents are read for.
///
/// If there are many, a pattern may have matched a FIFO, which must not block.
fn purpose(settings: &RewriteSettings, count: usize) -> Purpose {
    if settings.output.is_in_place() || count > 1 { Purpose::Replacing } else { Purpose::Reading }
}
