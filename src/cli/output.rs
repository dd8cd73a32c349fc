//! Printing: text in columns, JSON with a schema number.

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::exit::{Exit, Explain};

/// Version of what the read verbs print as JSON.
const SCHEMA: u32 = 1;

/// What was to be printed could not be.
#[derive(Debug, Error)]
#[error("cannot print: {0}")]
pub(super) struct OutputError(#[from] io::Error);

impl Explain for OutputError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Prints text; a reader who has had enough (`| head`) is no error.
pub(super) fn text(text: &str) -> Result<(), OutputError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// Prints `{"schema": 1, ...value}`; `value` is a struct.
pub(super) fn json(value: &impl Serialize) -> Result<(), OutputError> {
    #[derive(Serialize)]
    struct WithSchema<'a, T> {
        schema: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    let schema = SCHEMA;
    let line =
        serde_json::to_string_pretty(&WithSchema { schema, value }).map_err(io::Error::from)?;
    text(&format!("{line}\n"))
}

/// Lays rows out in columns as wide as their widest cell; the last one as it comes.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut out = String::new();
    for row in rows {
        let cells = row
            .iter()
            .enumerate()
            .map(|(at, cell)| format!("{cell:<0$}", width(at)));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = columns(&[row(["a", "wide cell"]), row(["long", "x"])]);
        assert_eq!(text, "a     wide cell\nlong  x\n");
    }
}
