//! Writes prepared documents: first writes all of them to temporary files, then renames each.

use super::super::progress::Progress;
use super::super::settings::{RewriteSettings, Target};
use super::super::{Failure, Streams};
use super::Rewrite;
use super::prepare::{Prepared, Product};
use crate::file::{Batch, CommitError, FileError, Interrupt, Replaced, Signal, Staged};
use crate::parallel::{self, Threads};
use crate::report::{Diagnostic, escape};

/// The result of writing.
#[derive(Default)]
pub(super) struct WriteResult {
    /// How many files were replaced.
    pub replaced: usize,
    /// How many could not be replaced.
    pub failed: usize,
    /// The errors; those of one stage are in the order of the files.
    pub errors: Vec<Diagnostic>,
    /// The signal that arrived in the meantime.
    pub signal: Option<Signal>,
}

/// Writes the documents that change, and prints a line for each file that was replaced in place.
pub(super) fn write(
    target: &Target,
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
    prepared: &[Prepared],
    progress: &Progress,
    streams: &mut Streams<'_>,
) -> Result<WriteResult, Failure> {
    // Not earlier: without temporary files a signal needs no handling, and reading standard input may take long.
    let interrupt = Interrupt::listen().map_err(|error| Diagnostic::error(format!("cannot catch signals: {error}")))?;
    let batch = Batch::new(&interrupt, settings.jobs);
    let products: Vec<_> = prepared.iter().filter_map(|document| document.product.as_deref()).collect();

    progress.begin("writing", products.len());
    let results = parallel::map(&products, Threads::for_each(settings.jobs), |product| {
        let staged = stage(target, product, &batch);
        progress.step();
        staged
    });
    let (staged, mut errors) = parallel::partition_results(results);

    let mut replaced = Vec::new();
    if errors.is_empty() || settings.keep_going {
        let of_files = staged.iter().filter_map(|staged| staged.warning.as_ref()).map(Diagnostic::of_file_warning);
        let warnings = of_files.chain(products.iter().filter_map(|product| product.warning.clone()));
        progress.pause(|| warnings.for_each(|warning| streams.warn(settings.verbosity, &warning)));
        progress.set_label("replacing");
        let (done, more) = commit(&batch, staged, settings.keep_going);
        replaced = done;
        errors.extend(more);
    } else {
        drop(staged);
    }
    progress.pause(|| {
        for warning in &batch.take_leftovers() {
            streams.warn(settings.verbosity, &Diagnostic::of_file_warning(warning));
        }
        if matches!(target, Target::InPlace(_)) {
            replaced.iter().for_each(|file| streams.note(settings.verbosity, &line(file, rewrite)));
        }
    });
    // The exit status reports the signal; other errors are still printed.
    errors.retain(|error| !matches!(error, FileError::Interrupted));
    let failed = errors.iter().filter(|error| !matches!(error, FileError::NotDurable { .. })).count();
    let errors = errors.iter().map(Diagnostic::of_file).collect();
    Ok(WriteResult { replaced: replaced.len(), failed, errors, signal: interrupt.caught() })
}

/// Writes a document to a temporary file next to its target.
fn stage(target: &Target, product: &Product, batch: &Batch<'_>) -> Result<Staged, FileError> {
    let new = product.text.as_bytes();
    match target {
        Target::InPlace(suffix) => batch.stage(&product.original, new, suffix.as_ref()),
        Target::Other(path) => batch.stage_output(path, new),
    }
}

fn commit(batch: &Batch<'_>, staged: Vec<Staged>, keep_going: bool) -> (Vec<Replaced>, Vec<FileError>) {
    if keep_going {
        return batch.commit_each(staged);
    }
    match batch.commit(staged) {
        Ok(replaced) => (replaced, Vec::new()),
        Err(CommitError { errors, replaced }) => (replaced, errors),
    }
}

fn line(Replaced { path, backup }: &Replaced, rewrite: &Rewrite<'_>) -> String {
    let backup = backup.as_ref().map(|backup| format!(" (backup: {})", escape::path(backup))).unwrap_or_default();
    format!("{}: {}{backup}", escape::path(path), rewrite.done)
}
