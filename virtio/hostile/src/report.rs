//! A program that examines one driver with all lies and prints what came of it.
//!
//! A driver may panic, loop or write over the examiner's memory, so each lie is told in a
//! process of its own, which is given a limited time.

use std::io::{self, Read};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{CATALOGUE, DriverUnderTest, Format, Lie, examine};

/// The argument for packed rings instead of split ones.
const PACKED: &str = "--packed";
/// The argument by which this program calls itself.
const CHILD: &str = "--in-this-process";
/// What stands before the result among whatever a driver prints.
const MARK: &str = "examined: ";

/// How a driver came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It did what a sound driver owes.
    AsOwed,
    /// It did something else, and frames pass.
    Otherwise,
    /// Frames pass no longer, or the process ended.
    Lost,
    /// It does nothing that this lie is about.
    NotAsked,
}

/// What there is to print of one lie.
struct Row {
    lie: &'static Lie,
    verdict: Verdict,
    seen: String,
}

/// The main function of such a program. Names of lies as arguments choose some, otherwise all
/// are told, in split rings or with `--packed` in packed ones; the exit code is 0 if each ended
/// as owed or gave no occasion.
pub fn main<D: DriverUnderTest>(patience: Duration) -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.len();
    arguments.retain(|argument| argument != PACKED);
    let format = match arguments.len() == all {
        true => Format::Split,
        false => Format::Packed,
    };
    if let [first, name] = arguments.as_slice()
        && first == CHILD
    {
        return in_this_process::<D>(name, format, patience);
    }
    let chosen = |lie: &&Lie| {
        let named = arguments.is_empty() || arguments.iter().any(|a| a == lie.name);
        named && lie.can_be_told_in(format)
    };
    let mut rows = Vec::new();
    println!("| lie | owed | | what was seen |\n|---|---|---|---|");
    for lie in CATALOGUE.iter().filter(chosen) {
        let row = examined(lie, format, 12 * patience);
        println!("{row}");
        rows.push(row);
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (owed, other) = (count(Verdict::AsOwed), count(Verdict::Otherwise));
    let lost = count(Verdict::Lost);
    let not_asked = count(Verdict::NotAsked);
    println!(
        "\n{} lies: {owed} ended as owed, {other} otherwise and the driver goes on, \
         {lost} with no frames passing, {not_asked} gave no occasion",
        rows.len()
    );
    ExitCode::from(u8::from(other + lost > 0))
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match self.verdict {
            Verdict::AsOwed => "as owed",
            Verdict::Otherwise => "otherwise",
            Verdict::Lost => "no frames",
            Verdict::NotAsked => "no occasion",
        };
        let (name, outcome) = (self.lie.name, self.lie.outcome);
        write!(f, "| `{name}` | {outcome:?} | {verdict} | {} |", self.seen)
    }
}

fn in_this_process<D: DriverUnderTest>(name: &str, format: Format, patience: Duration) -> ExitCode {
    let Some(lie) = CATALOGUE.iter().find(|lie| lie.name == name) else {
        eprintln!("there is no lie called {name}");
        return ExitCode::from(2);
    };
    let seen = examine::<D>(lie, format, patience);
    let verdict = match seen.is_owed_for(lie) {
        _ if seen.unconcerned => Verdict::NotAsked,
        true => Verdict::AsOwed,
        false if seen.passes || seen.refused.is_some() => Verdict::Otherwise,
        false => Verdict::Lost,
    };
    println!("{MARK}{verdict:?} {seen}");
    ExitCode::SUCCESS
}

fn examined(lie: &'static Lie, format: Format, limit: Duration) -> Row {
    let (verdict, seen) = match run_child(lie.name, format, limit) {
        Ok(ended) => ended,
        Err(error) => (Verdict::Lost, format!("could not be examined: {error}")),
    };
    Row { lie, verdict, seen }
}

fn run_child(name: &str, format: Format, limit: Duration) -> io::Result<(Verdict, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args((format == Format::Packed).then_some(PACKED))
        .args([CHILD, name])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(status) = wait(&mut child, limit)? else {
        child.kill()?;
        child.wait()?;
        return Ok((Verdict::Lost, format!("does not end within {limit:?}")));
    };
    let (mut out, mut err) = (String::new(), String::new());
    // A process that has ended has no more than a pipe's buffer to say.
    child.stdout.take().map(|mut s| s.read_to_string(&mut out));
    child.stderr.take().map(|mut s| s.read_to_string(&mut err));
    let result = out.lines().find_map(|line| line.strip_prefix(MARK));
    Ok(match result {
        Some(result) => parsed(result),
        None => (Verdict::Lost, how_it_ended(status, &err)),
    })
}

fn parsed(result: &str) -> (Verdict, String) {
    let (word, seen) = result.split_once(' ').unwrap_or((result, ""));
    let verdict = [Verdict::AsOwed, Verdict::Otherwise, Verdict::NotAsked]
        .into_iter()
        .find(|verdict| format!("{verdict:?}") == word);
    (verdict.unwrap_or(Verdict::Lost), seen.to_owned())
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(None)
}

fn how_it_ended(status: ExitStatus, err: &str) -> String {
    let panicked = err.lines().position(|line| line.contains("panicked at"));
    match panicked.and_then(|at| err.lines().nth(at + 1)) {
        Some(message) => format!("panics: {message}"),
        None => format!("the process ends: {status}"),
    }
}
