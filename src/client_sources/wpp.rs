//! The tracing preprocessor's configuration, as sources carry it in comments, and the macros
//! that are made of it.

use std::fmt::Write as _;

/// One trace function: `FUNC NAME{CONSTANT=value,...}(ARGUMENT, MSG, ...)`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Function {
    name: String,
    /// Names and values said in the braces.
    constants: Vec<(String, String)>,
    /// Arguments before the message.
    arguments: Vec<String>,
    /// It takes a message and what the message formats.
    message: bool,
    /// Text that goes before the message, and its arguments.
    prefix: Option<(String, String)>,
    /// Text that goes after it.
    suffix: Option<(String, String)>,
}

/// The functions that a source's configuration comments declare.
pub(super) fn functions(text: &str) -> Vec<Function> {
    let mut list: Vec<Function> = Vec::new();
    let mut affixes = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line
            .trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '*')
            .trim_end();
        if line.contains("begin_wpp") {
            inside = line.contains("config");
        } else if line.contains("end_wpp") {
            inside = false;
        } else if inside {
            affixes.extend(affix(line));
            list.extend(function(line));
        }
    }
    for (is_prefix, name, text) in affixes {
        for function in list.iter_mut().filter(|function| function.name == name) {
            let place = if is_prefix {
                &mut function.prefix
            } else {
                &mut function.suffix
            };
            *place = Some(text.clone());
        }
    }
    list
}

/// `USEPREFIX (NAME, "text", arguments);`
fn affix(line: &str) -> Option<(bool, String, (String, String))> {
    let (is_prefix, rest) = match (
        line.strip_prefix("USEPREFIX"),
        line.strip_prefix("USESUFFIX"),
    ) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return None,
    };
    let inner = rest.trim_start().strip_prefix('(')?;
    let inner = &inner[..inner.rfind(')')?];
    let (name, rest) = inner.split_once(',')?;
    let start = rest.find('"')?;
    let end = start + 1 + rest[start + 1..].find('"')?;
    let arguments = rest[end + 1..].trim().trim_start_matches(',').trim();
    Some((
        is_prefix,
        name.trim().to_owned(),
        (rest[start + 1..end].to_owned(), arguments.to_owned()),
    ))
}

fn function(line: &str) -> Option<Function> {
    let line = line.strip_prefix("FUNC ").unwrap_or(line).trim();
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (name, mut rest) = line.split_at(name_end);
    rest = rest.trim_start();
    if name.is_empty() || name.starts_with("USE") || !rest.starts_with(['{', '(']) {
        return None;
    }
    let mut made = Function {
        name: name.to_owned(),
        ..Function::default()
    };
    if let Some(braces) = rest.strip_prefix('{') {
        let (inner, after) = braces.split_once('}')?;
        made.constants = constants(inner);
        rest = after.trim_start();
    }
    let inner = rest.strip_prefix('(')?.split_once(')')?.0;
    for argument in inner
        .split(',')
        .map(str::trim)
        .filter(|argument| !argument.is_empty())
    {
        match argument {
            "MSG" => made.message = true,
            "..." => {}
            _ => made.arguments.push(argument.to_owned()),
        }
    }
    Some(made)
}

fn constants(inner: &str) -> Vec<(String, String)> {
    let pairs = inner.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// A header with a macro for each function; the first of a name counts.
pub(super) fn macros(functions: &[Function]) -> String {
    let mut text = String::from("#include <umnet/trace.h>\n");
    text.push_str("#ifndef DoTraceMessage\n#define DoTraceMessage(FLAGS, ...) UMNET_TRACE(TRACE_LEVEL_INFORMATION, __VA_ARGS__)\n#endif\n");
    for function in functions {
        // Writing to a string cannot fail.
        let _ = one(&mut text, function);
    }
    text
}

fn one(text: &mut String, function: &Function) -> std::fmt::Result {
    let constants = function.constants.iter();
    let names: Vec<&str> = constants
        .clone()
        .map(|(name, _)| name.as_str())
        .chain(function.arguments.iter().map(String::as_str))
        .collect();
    let values: Vec<&str> = constants
        .map(|(_, value)| value.as_str())
        .chain(function.arguments.iter().map(String::as_str))
        .collect();
    let condition = format!("WPP_{}", names.join("_"));
    let values = values.join(", ");
    let level = level(function);
    for part in ["PRE", "POST"] {
        writeln!(
            text,
            "#ifndef {condition}_{part}\n#define {condition}_{part}(...)\n#endif"
        )?;
    }
    let mut parameters = function.arguments.clone();
    if function.message {
        parameters.extend(["MSG".to_owned(), "...".to_owned()]);
    }
    writeln!(text, "#ifndef {}", function.name)?;
    writeln!(
        text,
        "#define {}({}) {condition}_PRE({values}) UMNET_TRACE({level}, {}) {condition}_POST({values})\n#endif",
        function.name,
        parameters.join(", "),
        traced(function),
    )
}

/// The argument or constant that says the level.
fn level(function: &Function) -> String {
    let is_level = |name: &str| name.ends_with("LEVEL") || name.ends_with("LVL");
    let constant = function
        .constants
        .iter()
        .find(|(name, _)| is_level(name))
        .map(|(_, value)| value.clone());
    let argument = || {
        function
            .arguments
            .iter()
            .find(|name| is_level(name))
            .cloned()
    };
    constant
        .or_else(argument)
        .unwrap_or_else(|| "TRACE_LEVEL_INFORMATION".to_owned())
}

/// Format and arguments of the trace call.
fn traced(function: &Function) -> String {
    let (mut format, mut arguments) = (String::new(), String::new());
    if let Some((text, more)) = &function.prefix {
        let _ = write!(format, "\"{text} \" ");
        push_argument(&mut arguments, more);
    }
    if function.message {
        format.push_str("MSG ");
        arguments.push_str(" __VA_OPT__(,) __VA_ARGS__");
    }
    if let Some((text, more)) = &function.suffix {
        let _ = write!(format, "\"{text}\"");
        push_argument(&mut arguments, more);
    }
    if format.is_empty() {
        format.push_str("\"\"");
    }
    format + &arguments
}

fn push_argument(arguments: &mut String, more: &str) {
    if !more.is_empty() {
        arguments.push_str(", ");
        arguments.push_str(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "
        // begin_wpp config
        // USEPREFIX (CHECKED, \"%!STATUS! %!FUNC! ->%!s!\", failure, #STATUS);
        // FUNC CHECKED{FLAG=MINE,LEVEL=TRACE_LEVEL_ERROR}(STATUS);
        // FUNC TraceEvents(LEVEL, FLAGS, MSG, ...);
        // Shout{LEVEL=TRACE_LEVEL_ERROR}(FLAGS, MSG, ...);
        // end_wpp
        // FUNC Outside(LEVEL, MSG, ...);
    ";

    #[test]
    fn functions_are_read_with_constants_arguments_and_prefixes() {
        let list = functions(CONFIGURATION);
        let names: Vec<_> = list.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["CHECKED", "TraceEvents", "Shout"]);
        assert_eq!(
            list[0].constants[1],
            ("LEVEL".to_owned(), "TRACE_LEVEL_ERROR".to_owned())
        );
        assert_eq!(list[0].prefix.as_ref().unwrap().1, "failure, #STATUS");
        assert!(!list[0].message && list[1].message);
        assert_eq!(list[1].arguments, ["LEVEL", "FLAGS"]);
    }

    #[test]
    fn a_macro_calls_the_sources_own_pre_and_post_parts() {
        let text = macros(&functions(CONFIGURATION));
        assert!(text.contains(
            "#define CHECKED(STATUS) WPP_FLAG_LEVEL_STATUS_PRE(MINE, TRACE_LEVEL_ERROR, STATUS) \
             UMNET_TRACE(TRACE_LEVEL_ERROR, \"%!STATUS! %!FUNC! ->%!s! \" , failure, #STATUS) \
             WPP_FLAG_LEVEL_STATUS_POST(MINE, TRACE_LEVEL_ERROR, STATUS)"
        ));
        assert!(text.contains("#define TraceEvents(LEVEL, FLAGS, MSG, ...)"));
        assert!(text.contains("UMNET_TRACE(LEVEL, MSG  __VA_OPT__(,) __VA_ARGS__)"));
    }
}
