//! Tables of aligned columns.

/// Turns bold text on.
const BOLD: &str = "\x1b[1m";

/// Turns dim text on.
const DIM: &str = "\x1b[2m";

/// Turns every attribute off.
const RESET: &str = "\x1b[0m";

/// Returns text in bold, if the output shows color.
pub fn bold(text: &str, color: bool) -> String {
    styled(text, BOLD, color)
}

fn styled(text: &str, style: &str, color: bool) -> String {
    if color { format!("{style}{text}{RESET}") } else { text.to_owned() }
}

/// A table. Its cells must be escaped already.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
    /// Whether an empty cell of the last column stays empty.
    pub ends_with_remarks: bool,
}

impl<const N: usize> Table<N> {
    /// Returns a table without rows.
    pub fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: Vec::new(), ends_with_remarks: false }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Returns the lines of the table, each after `indent`; nothing without rows.
    ///
    /// A column is left out if all its cells are empty. Otherwise an empty cell shows a dash, except a remark.
    pub fn render(&self, indent: &str, color: bool) -> String {
        let columns: Vec<_> = (0..N).filter(|column| self.rows.iter().any(|row| !row[*column].is_empty())).collect();
        let headings = self.headings.map(str::to_owned);
        let width = |column: &usize| {
            let cells = std::iter::once(&headings).chain(&self.rows).map(|row| row[*column].chars().count());
            cells.max().unwrap_or_default().max(1)
        };
        let widths: Vec<_> = columns.iter().map(width).collect();
        let line = |row: &[String; N]| {
            let padded = columns.iter().zip(&widths).map(|(column, width)| {
                let is_remark = self.ends_with_remarks && *column == N - 1;
                let cell = if row[*column].is_empty() && !is_remark { "-" } else { &row[*column] };
                // Not by the width of a format, which has 16 bits: a path may be longer.
                cell.to_owned() + &" ".repeat(width - cell.chars().count())
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = (!columns.is_empty()).then(|| styled(&line(&headings), DIM, color));
        heading.into_iter().chain(self.rows.iter().map(line)).map(|line| format!("{indent}{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(["NAME", "NOTHING", "N"]);
        assert_eq!(table.render("", true), "");
        table.row(["ä".to_owned(), String::new(), "1".to_owned()]);
        table.row(["longer".to_owned(), String::new(), String::new()]);
        assert_eq!(table.render("  ", false), "  NAME    N\n  ä       1\n  longer  -\n");
        assert_eq!(table.render("", true), "\x1b[2mNAME    N\x1b[0m\nä       1\nlonger  -\n");
        assert_eq!(bold("a", true), "\x1b[1ma\x1b[0m");
    }
}
