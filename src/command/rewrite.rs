//! Rewriting documents: all are read, planned and proven before the first is written.

use std::fmt::Write as _;

use super::diff::unified;
use super::settings::{Output, RewriteSettings, Verbosity};
use super::{Failure, Outcome, Streams, expand, name_of, read_document};
use crate::domain::Document;
use crate::edit::prove;
use crate::file::{Batch, FileError, Input, Interrupt, Original, Purpose, Replaced, Staged};
use crate::plan::{Fault, Plan, Remark};
use crate::report::{Diagnostic, Origin, escape};

/// What distinguishes one command that rewrites from another.
pub(super) struct Rewrite<'a> {
    /// What was done to a document, in one word.
    pub done: &'a str,
    /// The command that does the same as an editor for `virsh edit`.
    pub again: &'a str,
    /// Decides.
    pub planner: &'a Planner<'a>,
}

/// Decides what is to be done with a document.
pub(super) type Planner<'a> = dyn Fn(&Document) -> Result<Plan, Vec<Fault>> + 'a;

/// A document that may be written: what came, what is planned, and what comes of it.
struct Prepared {
    original: Original,
    document: Document,
    plan: Plan,
    edited: String,
    remarks: Vec<Diagnostic>,
}

impl Prepared {
    fn changes(&self) -> bool {
        !self.plan.edits.is_empty()
    }

    fn name(&self) -> String {
        name_of(&self.original.input)
    }
}

/// Rewrites documents as `rewrite` decides.
pub(super) fn rewrite(
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let inputs = inputs(settings)?;
    let mut prepared = Vec::new();
    let mut faults = Vec::new();
    for input in &inputs {
        match prepare(input, settings, rewrite.planner) {
            Ok(document) => prepared.push(document),
            Err(found) => faults.extend(found),
        }
    }
    for remark in prepared.iter().flat_map(|document| &document.remarks) {
        streams.tell(remark);
    }
    if !faults.is_empty() {
        return Err(Failure::Told(faults));
    }
    let is_changed = prepared.iter().any(Prepared::changes);
    match &settings.output {
        Output::Diff => streams.print(&prepared.iter().map(diff).collect::<String>())?,
        _ if settings.dry_run => streams.print(&prepared.iter().map(steps).collect::<String>())?,
        Output::Stdout => prepared.iter().try_for_each(|document| streams.print(&document.edited))?,
        Output::File(_) | Output::InPlace(_) => write(settings, rewrite, &prepared, streams)?,
    }
    Ok(if settings.dry_run && is_changed { Outcome::Differs } else { Outcome::Done })
}

/// Reads one document and makes something of it that is not a document; what is worth saying beside it is said.
pub(super) fn read_one<T>(
    settings: &RewriteSettings,
    make: impl Fn(&Document) -> Result<(T, Vec<Remark>), Vec<Fault>>,
    streams: &mut Streams<'_>,
) -> Result<T, Failure> {
    let inputs = inputs(settings)?;
    let [input] = inputs.as_slice() else { return Err(too_many(inputs.len())) };
    let (original, document) = read_document(input, purpose(settings)).map_err(Failure::of)?;
    let origin = Origin::new(name_of(&original.input), &document.text);
    let (made, remarks) =
        make(&document).map_err(|faults| Failure::Told(faults.iter().map(|fault| origin.fault(fault)).collect()))?;
    wanted(&remarks, settings.verbosity).for_each(|remark| streams.tell(&origin.remark(remark)));
    Ok(made)
}

/// The remarks that are to be said.
fn wanted(remarks: &[Remark], verbosity: Verbosity) -> impl Iterator<Item = &Remark> {
    remarks.iter().filter(move |remark| match verbosity {
        Verbosity::Quiet => false,
        Verbosity::Normal => remark.kind.is_warning(),
        Verbosity::Verbose => true,
    })
}

fn inputs(settings: &RewriteSettings) -> Result<Vec<Input>, Failure> {
    let inputs = expand(&settings.inputs)?;
    let takes_many = matches!(settings.output, Output::InPlace(_) | Output::Diff) || settings.dry_run;
    if inputs.len() > 1 && !takes_many { Err(too_many(inputs.len())) } else { Ok(inputs) }
}

fn too_many(count: usize) -> Failure {
    let error = Diagnostic::error(format!("{count} documents one after the other are no XML document"));
    Failure::of(error.help("rewrite them with --in-place, or look at them with --diff or --dry-run"))
}

/// What the documents are read for.
fn purpose(settings: &RewriteSettings) -> Purpose {
    match settings.output {
        Output::InPlace(_) => Purpose::Replacing,
        Output::Stdout | Output::File(_) | Output::Diff => Purpose::Reading,
    }
}

fn prepare(input: &Input, settings: &RewriteSettings, planner: &Planner<'_>) -> Result<Prepared, Vec<Diagnostic>> {
    let (original, document) = read_document(input, purpose(settings)).map_err(|error| vec![error])?;
    let origin = Origin::new(name_of(input), &document.text);
    let plan =
        planner(&document).map_err(|faults| faults.iter().map(|fault| origin.fault(fault)).collect::<Vec<_>>())?;
    let edited = plan.edits.apply(&document.text);
    if !plan.edits.is_empty() {
        prove(&document.text, &plan.edits, &edited).map_err(|error| vec![origin.unproven(&error)])?;
    }
    let remarks = wanted(&plan.remarks, settings.verbosity).map(|remark| origin.remark(remark)).collect();
    Ok(Prepared { remarks, original, plan, edited, document })
}

/// What would be done, a line for each device.
fn steps(prepared: &Prepared) -> String {
    let name = prepared.name();
    let origin = Origin::new(&name, &prepared.document.text);
    let mut text = String::new();
    for decision in prepared.plan.decisions.iter().filter(|decision| !decision.steps.is_empty()) {
        let steps: Vec<_> = decision.steps.iter().map(|step| escape(&step.to_string())).collect();
        let device = decision.uuid.as_ref().map(|uuid| format!("mdev {}: ", escape(uuid))).unwrap_or_default();
        let _ = writeln!(text, "{name}:{}: {device}{}", origin.place(decision.span), steps.join(", "));
    }
    text
}

/// The unified diff of what would be done; nothing where nothing would be.
fn diff(prepared: &Prepared) -> String {
    if prepared.changes() {
        unified(&prepared.name(), &prepared.document.text, &prepared.edited)
    } else {
        String::new()
    }
}

fn write(
    settings: &RewriteSettings,
    rewrite: &Rewrite<'_>,
    prepared: &[Prepared],
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    // Not before: until now a signal leaves nothing behind, and standard input may be waited for.
    let interrupt = Interrupt::listen().map_err(|error| Failure::of(Diagnostic::of_file(&error)))?;
    let batch = Batch::new(&interrupt);
    let fail = |faults: &[FileError]| {
        let diagnostics = faults.iter().map(Diagnostic::of_file).collect();
        match interrupt.caught() {
            Some(signal) => Failure::Interrupted(signal, Vec::new()),
            None => Failure::Told(diagnostics),
        }
    };
    let (staged, faults) = stage(settings, prepared, &batch);
    if !faults.is_empty() {
        return Err(fail(&faults));
    }
    for warning in staged.iter().flat_map(Staged::warnings) {
        streams.warn(settings.verbosity, &Diagnostic::of_file_warning(warning));
    }
    let is_in_place = matches!(settings.output, Output::InPlace(_));
    for document in
        prepared.iter().filter(|document| is_in_place && document.changes() && document.document.is_generated)
    {
        streams.warn(settings.verbosity, &overwritten_by_libvirt(document, rewrite.again));
    }
    let committed = batch.commit(staged);
    let replaced = committed.as_ref().unwrap_or_else(|error| &error.replaced);
    for Replaced { path, backup } in replaced.iter().filter(|_| is_in_place) {
        let backup = backup.as_ref().map(|backup| format!(" (backup: {})", escape::path(backup))).unwrap_or_default();
        streams.note(settings.verbosity, &format!("{}: {}{backup}", escape::path(path), rewrite.done));
    }
    match (&committed, interrupt.caught()) {
        (Err(error), _) => Err(fail(&error.faults)),
        (Ok(_), Some(signal)) => Err(Failure::Interrupted(signal, Vec::new())),
        (Ok(_), None) => Ok(()),
    }
}

/// Writes what changes beside the files that it is for.
fn stage(settings: &RewriteSettings, prepared: &[Prepared], batch: &Batch<'_>) -> (Vec<Staged>, Vec<FileError>) {
    let mut staged = Vec::new();
    let mut faults = Vec::new();
    for Prepared { original, edited, plan, .. } in prepared {
        let result = match &settings.output {
            Output::File(path) => batch.stage_output(path, edited.as_bytes()),
            Output::InPlace(suffix) if !plan.edits.is_empty() => {
                batch.stage(original, edited.as_bytes(), suffix.as_ref())
            }
            Output::InPlace(_) | Output::Stdout | Output::Diff => continue,
        };
        match result {
            Ok(new) => staged.push(new),
            Err(fault) => faults.push(fault),
        }
    }
    (staged, faults)
}

/// libvirt holds the domain in memory and writes the file anew when it likes.
fn overwritten_by_libvirt(document: &Prepared, again: &str) -> Diagnostic {
    let guest = document.document.domains.first().and_then(|domain| domain.name.as_deref()).unwrap_or("DOMAIN");
    Diagnostic::warning(format!("{} is libvirt's own file: libvirt will overwrite it", document.name()))
        .help(format!("change the domain itself: EDITOR='{again}' virsh edit {guest}"))
        .help("libvirt drops elements in a source when it defines a domain; it keeps --into metadata")
}
