//! The gaps as a picture: one dot a kill, in the order of the kills, the time doubling upwards.

use std::fmt::Write;

use crate::campaign::Gap;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 50.0;
/// The shortest and the longest time there is room for, in milliseconds.
const LEAST: f64 = 1.0;
const MOST: f64 = 2048.0;
const INK: &str = "#1f2933";
const FAINT: &str = "#cbd2d9";
const DOT: &str = "#2f6db5";
const LIMIT: &str = "#b4472c";

pub(crate) fn draw(kills: &[Gap]) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"'DejaVu Sans', Verdana, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">How long nothing passed after each of {} kills \
         of the driver host (ms)</text>\n{}{}</svg>\n",
        kills.len(),
        grid(),
        dots(kills)
    )
}

fn y(milliseconds: f64) -> f64 {
    let part = (milliseconds.clamp(LEAST, MOST) / LEAST).log2() / (MOST / LEAST).log2();
    HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)
}

fn grid() -> String {
    let mut lines = String::new();
    let right = WIDTH - RIGHT;
    let mut line = |at: f64, colour: &str, label: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(
            lines,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    };
    for milliseconds in [1, 4, 16, 64, 256, 1024] {
        line(y(f64::from(milliseconds)), FAINT, &milliseconds.to_string());
    }
    line(y(20.0), LIMIT, "p50 ≤ 20");
    line(y(100.0), LIMIT, "p99 ≤ 100");
    lines
}

fn dots(kills: &[Gap]) -> String {
    let step = (WIDTH - LEFT - RIGHT) / kills.len().max(1) as f64;
    let mut dots = String::new();
    for (index, kill) in kills.iter().enumerate() {
        let x = LEFT + (index as f64 + 0.5) * step;
        let _ = writeln!(
            dots,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{DOT}\"/>",
            y(kill.gap_ms)
        );
    }
    let bottom = HEIGHT - 18.0;
    let _ = writeln!(dots, "<text x=\"{LEFT}\" y=\"{bottom}\">first kill</text>");
    let _ = writeln!(
        dots,
        "<text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">last kill</text>",
        WIDTH - RIGHT
    );
    dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_gaps_stand_higher_and_none_outside() {
        assert!(y(10.0) > y(20.0) && y(20.0) > y(100.0));
        for milliseconds in [0.0, 1.0, 1e9] {
            assert!((TOP..=HEIGHT - BOTTOM).contains(&y(milliseconds)));
        }
    }
}
