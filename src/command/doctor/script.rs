//! The settings that the hook script assigns: `binary=` and `options=`.

use thiserror::Error;

/// The values that the script assigns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ScriptSettings {
    /// The last `binary=`, if there is one.
    pub(super) binary: Option<String>,
    /// The words of `options` after its last assignment.
    pub(super) options: Vec<String>,
}

/// An assignment that only a shell can evaluate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: cannot determine the value of '{text}' without running it")]
pub(super) struct NotPlain {
    line: usize,
    text: String,
}

impl NotPlain {
    /// Whether the shell does not assign what was meant either: without a variable or a command in it, a line that is not plain
    /// lacks quotes.
    pub(super) fn is_broken(&self) -> bool {
        !self.text.contains(['$', '`'])
    }
}

impl ScriptSettings {
    /// Parses the assignments without running anything.
    ///
    /// A value is one word, plain or in quotes. `$binary` and `$options` in it are replaced by their values so far.
    pub(super) fn read(script: &str) -> Result<Self, NotPlain> {
        let (mut binary, mut options) = (None, String::new());
        for (number, line) in (1..).zip(script.lines()) {
            let line = line.trim_start();
            let Some((name, text)) = line.split_once('=').filter(|(name, _)| matches!(*name, "binary" | "options"))
            else {
                continue;
            };
            let not_plain = || NotPlain { line: number, text: line.to_owned() };
            let value = value(text, binary.as_deref().unwrap_or_default(), &options).ok_or_else(not_plain)?;
            if name == "binary" { binary = Some(value) } else { options = value }
        }
        let options = options.split_ascii_whitespace().map(str::to_owned).collect();
        Ok(Self { binary: binary.filter(|binary| !binary.is_empty()), options })
    }
}

/// Returns the value that a shell would assign; `None` if it depends on more than quotes and the two variables.
fn value(text: &str, binary: &str, options: &str) -> Option<String> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    let (raw, rest) = match quote {
        Some(quote) => text[1..].split_once(quote)?,
        None => text.split_at(text.find(char::is_whitespace).unwrap_or(text.len())),
    };
    let is_one_word = rest.is_empty() || (rest.starts_with(char::is_whitespace) && is_comment(rest));
    if !is_one_word || (quote.is_none() && raw.contains(['"', '\'', ';', '&', '|', '<', '>', '(', '*', '?', '['])) {
        return None;
    }
    if quote == Some('\'') {
        return Some(raw.to_owned());
    }
    let mut value = raw.to_owned();
    for (name, assigned) in [("options", options), ("binary", binary)] {
        value = value.replace(&format!("${{{name}}}"), assigned);
        value = replace_variable(&value, name, assigned);
    }
    (!value.contains(['$', '`', '\\'])).then_some(value)
}

fn is_comment(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// Replaces `$name`, but not the beginning of a longer name.
fn replace_variable(text: &str, name: &str, assigned: &str) -> String {
    let variable = format!("${name}");
    let mut pieces = text.split(variable.as_str());
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_longer = piece.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        replaced.push_str(if is_longer { &variable } else { assigned });
        replaced.push_str(piece);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(script: &str) -> (Option<String>, String) {
        let settings = ScriptSettings::read(script).unwrap();
        (settings.binary, settings.options.join(" "))
    }

    #[test]
    fn comments_are_not_assignments_and_the_last_assignment_counts() {
        let script = "#!/bin/sh\nbinary=virt-mdev\noptions=\n#options=\"$options --require\"   # why\n\
                      options=\"$options --check-start\"   # at starts\n  options=\"${options} --require\"\n";
        assert_eq!(settings(script), (Some("virt-mdev".into()), "--check-start --require".into()));
        assert_eq!(
            settings("binary='/opt/a b'\nbinary=/usr/bin/virt-mdev # here"),
            (Some("/usr/bin/virt-mdev".into()), String::new())
        );
        assert_eq!(settings("binary=\nother=1\n"), (None, String::new()));
        assert_eq!(settings("options='--sysfs /x'\n"), (None, "--sysfs /x".into()));
    }

    #[test]
    fn a_value_that_only_a_shell_can_evaluate_is_an_error() {
        for line in [
            "options=\"$(cat /etc/x)\"",
            "options=$HOME",
            "options=\"$options_more\"",
            "options=\"--require",
            "options=a\"b\"",
            "options=--require --check-start",
            "binary=`which virt-mdev`",
            "binary=a;b",
        ] {
            let error = ScriptSettings::read(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(error, NotPlain { line: 2, text: line.to_owned() });
            assert_eq!(error.is_broken(), !line.contains(['$', '`']), "{line}");
        }
    }
}
