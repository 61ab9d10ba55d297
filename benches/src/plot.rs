//! This file draws a line chart with logarithmic axes as SVG, legible on light and on dark ground.

use std::fmt::Write as _;

/// A line of a chart: its name and its points, from left to right.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Where it goes; both coordinates are above 0.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What lies along its width and along its height, with units.
    pub axes: (String, String),
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Width and height, and what the axes take at the left and below.
const SIZE: (f64, f64) = (640.0, 360.0);
const MARGIN: (f64, f64) = (64.0, 56.0);
const COLOURS: [&str; 4] = ["#2f81f7", "#d4690f", "#2da44e", "#a371f7"];
/// In between of black and white.
const INK: &str = "#7d8590";

impl Chart {
    /// The picture, as text of an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let xs = decades(self.lines.iter().flat_map(|line| &line.points).map(|point| point.0));
        let ys = decades(self.lines.iter().flat_map(|line| &line.points).map(|point| point.1));
        let (left, top) = (MARGIN.0, 32.0);
        let (right, bottom) = (SIZE.0 - 24.0, SIZE.1 - MARGIN.1);
        let x = |at: f64| left + (right - left) * part(at, xs);
        let y = |at: f64| bottom - (bottom - top) * part(at, ys);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n",
            SIZE.0, SIZE.1
        );
        let mut put = |part: String| {
            let _written = writeln!(svg, "{part}");
        };
        put(text((SIZE.0 / 2.0, 18.0), "middle", &self.title));
        put(text((SIZE.0 / 2.0, SIZE.1 - 20.0), "middle", &self.axes.0));
        put(text((left, top - 6.0), "middle", &self.axes.1));
        for decade in xs.0..=xs.1 {
            let at = x(10_f64.powi(decade));
            put(rule((at, top), (at, bottom)));
            put(text((at, bottom + 16.0), "middle", &short(decade)));
        }
        for decade in ys.0..=ys.1 {
            let at = y(10_f64.powi(decade));
            put(rule((left, at), (right, at)));
            put(text((left - 8.0, at + 4.0), "end", &short(decade)));
        }
        for (n, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let points: Vec<String> =
                line.points.iter().map(|at| format!("{:.1},{:.1}", x(at.0), y(at.1))).collect();
            put(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            ));
            let place = left + (right - left) * n as f64 / self.lines.len() as f64;
            put(format!(
                "<text x=\"{place:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                SIZE.1 - 4.0,
                line.name
            ));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (i32, i32) {
    let least = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
    let most = values.fold(0.0, f64::max).log10().ceil();
    (least as i32, (most as i32).max(least as i32 + 1))
}

/// How far a value is along an axis.
fn part(value: f64, (least, most): (i32, i32)) -> f64 {
    (value.log10() - f64::from(least)) / f64::from(most - least)
}

fn short(decade: i32) -> String {
    match decade {
        6.. => format!("{} M", 10_f64.powi(decade - 6)),
        3..6 => format!("{} k", 10_f64.powi(decade - 3)),
        _ => format!("{}", 10_f64.powi(decade)),
    }
}

fn text(at: (f64, f64), anchor: &str, text: &str) -> String {
    format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>", at.0, at.1)
}

fn rule(from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{INK}\" stroke-opacity=\"0.3\"/>",
        from.0, from.1, to.0, to.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_lies_where_its_logarithms_say() {
        let line = Line { name: "cost".into(), points: vec![(1e3, 10.0), (1e6, 1_000.0)] };
        let axes = ("tasks".into(), "ns".into());
        let svg = Chart { title: "growth".into(), axes, lines: vec![line] }.svg();
        assert!(svg.contains("points=\"64.0,304.0 616.0,32.0\""), "{svg}");
        assert!(svg.contains(">1 k<") && svg.contains(">1 M<"), "{svg}");
    }
}
