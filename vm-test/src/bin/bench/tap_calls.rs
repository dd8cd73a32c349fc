//! `--tap-calls`: what a frame costs at a TAP in the guest, by a system call of its own and in
//! batches that share one. No card and no driver has a part in it.

use std::time::Duration;

use serde_json::{Value, json};
use vm_test::report::{Circumstances, figure};
use vm_test::{Guest, Lab, Machine, Result};

use crate::measure::{facts, number};
use crate::options::Options;

/// Ethernet's shortest frame, a full one, and the largest that a TAP carries; and how many turns.
const SIZES: [(usize, u32); 3] = [(60, 70), (1514, 35), (65_535, 7)];
/// As the guest's program names them.
const WAYS: [&str; 7] = [
    "call",
    "vectored",
    "batch_1",
    "batch_16",
    "batch_32",
    "batch_64",
    "registered_32",
];
/// Of the guest's time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of an instruction, with `-icount`.
const INSTRUCTION_NS: f64 = 4.0;

/// Boots a guest, measures, and shows what came of it.
pub(crate) fn show(lab: &Lab, options: &Options, about: &Circumstances) -> Result<()> {
    let mut machine = Machine::new().kernel_args("quiet").cpus(options.processors);
    if options.icount {
        machine = machine.icount();
    }
    let vm = lab.boot(machine)?;
    let rows = SIZES.map(|(size, turns)| measured(&vm.guest, size, turns));
    let rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
    let report = json!({ "circumstances": about, "rows": rows });
    vm_test::report::write(&options.json(), &format!("{report:#}\n"))?;
    println!(
        "{}{}",
        table(&rows, about.icount)?,
        options.json().display()
    );
    Ok(())
}

fn measured(guest: &Guest, size: usize, turns: u32) -> Result<Value> {
    let line = format!("guest-runner traffic tap-calls --size {size} --turns {turns}");
    facts(&guest.run_for(&line, PATIENCE)?.into_stdout()?)
}

/// One line for each size and direction.
fn table(rows: &[Value], icount: bool) -> Result<String> {
    let (unit, ns) = match icount {
        true => ("instructions", INSTRUCTION_NS),
        false => ("ns", 1.0),
    };
    let columns = WAYS.map(|way| format!("{way:>14}")).concat();
    let mut table = format!("{:<24}{columns}\n", format!("{unit} a frame"));
    for row in rows {
        for (direction, key) in [("read", "read_ns"), ("written", "write_ns")] {
            let label = format!("{} bytes, {direction}", row["size"]);
            let cells = WAYS
                .iter()
                .map(|way| number(&row[key], way).map(|took| format!("{:>14}", figure(took / ns))));
            let cells = cells.collect::<Result<String>>()?;
            table.push_str(&format!("{label:<24}{cells}\n"));
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_instructions_where_time_counts_them() {
        let ways = WAYS.map(|way| (way.to_owned(), json!(8757.0)));
        let ways: Value = ways.into_iter().collect::<serde_json::Map<_, _>>().into();
        let rows = [json!({ "size": 60, "read_ns": ways, "write_ns": ways })];
        let counted = table(&rows, true).unwrap();
        assert!(counted.starts_with("instructions a frame"), "{counted}");
        assert!(counted.contains("60 bytes, written") && counted.contains(" 2,189"));
        assert!(table(&rows, false).unwrap().contains("8,757"));
        assert!(table(&[json!({ "size": 60 })], true).is_err());
    }
}
