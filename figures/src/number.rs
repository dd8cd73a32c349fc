//! Numbers as people read them.

/// A figure as tables show it: with about three significant digits, thousands apart.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => grouped(value.round() as i64),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.to_string();
    let from_right = |at: usize| digits.len() - at;
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && from_right(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
