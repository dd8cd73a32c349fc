//! The pieces of a picture: a sheet of paper, words, bars and the whiskers on them.
//!
//! Everything is appended to a string; coordinates are pixels from the upper left corner.

use std::fmt::Write;

/// The colour of words.
pub const INK: &str = "#1f2933";
/// The colour of what matters less.
pub const FAINT: &str = "#616e7c";
/// The colour of what is being measured.
pub const OURS: &str = "#0b7285";
/// The colours of what it is measured against, darkest first.
pub const OTHERS: [&str; 3] = ["#9aa5b1", "#c3ccd5", "#e0a458"];

const FONT: &str = "font-family=\"'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif\"";

/// A document of its own around `content`, whose heading has the id `title`.
pub fn document(width: f64, height: f64, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title\" {FONT} fill=\"{INK}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{content}</svg>\n"
    )
}

/// Words whose baseline begins at `x`, `y`; `attributes` are SVG's own.
pub fn text(out: &mut String, x: f64, y: f64, attributes: &str, words: &str) {
    let words = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{words}</text>"
    );
}

/// A bar.
pub fn rect(out: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"1.5\" fill=\"{fill}\"/>"
    );
}

/// A level line from `from` to `to` with a stroke at either end; `title` is shown on pointing.
pub fn whisker(out: &mut String, from: f64, to: f64, y: f64, title: &str) {
    let (top, low) = (y - 4.0, y + 4.0);
    let _ = writeln!(
        out,
        "<path d=\"M{from:.1} {top:.1}V{low:.1}M{from:.1} {y:.1}H{to:.1}M{to:.1} {top:.1}V{low:.1}\" \
         stroke=\"{INK}\" fill=\"none\"><title>{title}</title></path>"
    );
}

/// An upright line, dashed unless it is `strong`.
pub fn gridline(out: &mut String, x: f64, top: f64, bottom: f64, strong: bool) {
    let (stroke, dash) = match strong {
        true => (FAINT, ""),
        false => ("#e4e7eb", "2 3"),
    };
    let _ = writeln!(
        out,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\" stroke=\"{stroke}\" \
         stroke-dasharray=\"{dash}\"/>"
    );
}
