//! The settings of the hook script, in `hook.conf`.

use thiserror::Error;

/// What `hook.conf` sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HookConf {
    /// The program that the script runs.
    pub(super) binary: String,
    /// The words of all options.
    pub(super) options: Vec<String>,
}

/// A line that the script refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {number} is '{line}'; expected binary=PROGRAM or option=--OPTION")]
pub(super) struct UnknownLine {
    number: usize,
    line: String,
}

impl HookConf {
    /// Parses the file as the script does.
    pub(super) fn parse(text: &str) -> Result<Self, UnknownLine> {
        let mut conf = Self { binary: "virt-mdev".to_owned(), options: Vec::new() };
        for (number, line) in (1..).zip(text.split('\n')) {
            let line = line.trim_matches([' ', '\t']);
            match line.split_once('=') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(("binary", program)) if !program.is_empty() => conf.binary = program.to_owned(),
                Some(("option", option)) if option.starts_with('-') => {
                    conf.options.extend(option.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned));
                }
                _ => return Err(UnknownLine { number, line: line.to_owned() }),
            }
        }
        Ok(conf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_add_up_and_the_last_program_counts() {
        let text = "# binary=/a\n\n \tbinary=/usr/bin/virt mdev \noption=--require\n#option=--defer-absent\n\
                    option=--check-start  --sysfs\t/x#y";
        let conf = HookConf::parse(text).unwrap();
        assert_eq!(conf.binary, "/usr/bin/virt mdev");
        assert_eq!(conf.options, ["--require", "--check-start", "--sysfs", "/x#y"]);
        let conf = HookConf::parse("").unwrap();
        assert_eq!((conf.binary.as_str(), conf.options.len()), ("virt-mdev", 0));
    }

    #[test]
    fn any_other_line_is_an_error() {
        for line in ["option=", "option=require", "option = --require", "options=--require", "binary=", "--require"] {
            let error = HookConf::parse(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(error, UnknownLine { number: 2, line: line.to_owned() });
        }
    }
}
