//! Options of one verb: `--name value` pairs, each taken once, leftovers refused.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::error::TrafficError;

/// The options that have not been taken yet.
#[derive(Debug)]
pub(super) struct Args {
    options: BTreeMap<String, String>,
}

impl Args {
    pub(super) fn parse(words: impl Iterator<Item = String>) -> Result<Self, TrafficError> {
        let mut words = words;
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                return Err(usage(format!("'{word}' is not an option")));
            };
            let value = words
                .next()
                .ok_or_else(|| usage(format!("--{name} wants a value")))?;
            if options.insert(name.to_owned(), value).is_some() {
                return Err(usage(format!("--{name} is given twice")));
            }
        }
        Ok(Self { options })
    }

    /// Takes an option that must be there.
    pub(super) fn required<T>(&mut self, name: &str) -> Result<T, TrafficError>
    where
        T: FromStr<Err: Display>,
    {
        self.optional(name)?
            .ok_or_else(|| usage(format!("--{name} is missing")))
    }

    /// Takes an option that may be there.
    pub(super) fn optional<T>(&mut self, name: &str) -> Result<Option<T>, TrafficError>
    where
        T: FromStr<Err: Display>,
    {
        let Some(value) = self.options.remove(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(error) => Err(usage(format!("--{name} {value}: {error}"))),
        }
    }

    /// Takes a length of time in seconds, with a fraction if wanted.
    pub(super) fn seconds(&mut self, name: &str) -> Result<Option<Duration>, TrafficError> {
        let Some(seconds) = self.optional::<f64>(name)? else {
            return Ok(None);
        };
        match Duration::try_from_secs_f64(seconds) {
            Ok(length) if length <= LONGEST => Ok(Some(length)),
            _ => Err(usage(format!(
                "--{name} {seconds}: want 0 to {} seconds",
                LONGEST.as_secs()
            ))),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(&self) -> Result<(), TrafficError> {
        match self.options.keys().next() {
            Some(name) => Err(usage(format!("--{name} is not an option of this verb"))),
            None => Ok(()),
        }
    }
}

/// Nothing here runs longer: a forgotten helper must not outlive its guest's day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn usage(message: String) -> TrafficError {
    TrafficError::Usage(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Args, TrafficError> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_once_by_name() {
        let mut args = args("--size 18 --seconds 1.5").unwrap();
        assert_eq!(args.required::<usize>("size").unwrap(), 18);
        assert_eq!(
            args.seconds("seconds").unwrap(),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(args.optional::<u64>("rate").unwrap(), None);
        args.finish().unwrap();
    }

    #[test]
    fn wrong_command_lines_are_refused_by_name() {
        assert!(
            args("send")
                .unwrap_err()
                .to_string()
                .contains("'send' is not an option")
        );
        assert!(
            args("--size")
                .unwrap_err()
                .to_string()
                .contains("--size wants a value")
        );
        assert!(
            args("--a 1 --a 2")
                .unwrap_err()
                .to_string()
                .contains("given twice")
        );
        let mut left = args("--size x --seconds -1 --typo 1").unwrap();
        assert!(
            left.required::<usize>("size")
                .unwrap_err()
                .to_string()
                .contains("--size x")
        );
        assert!(
            left.seconds("seconds")
                .unwrap_err()
                .to_string()
                .contains("--seconds -1")
        );
        assert!(left.finish().unwrap_err().to_string().contains("--typo"));
        assert!(
            left.required::<usize>("to")
                .unwrap_err()
                .to_string()
                .contains("--to is missing")
        );
    }
}
