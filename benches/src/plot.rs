//! This file draws a line chart with logarithmic axes as SVG, legible on light and on dark ground.

use std::fmt::Write as _;

use crate::report::round;

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

/// Width and height.
const SIZE: (f64, f64) = (720.0, 400.0);
/// The edges of the field that the lines lie in: left and right, top and bottom.
const FIELD: ((f64, f64), (f64, f64)) = ((76.0, 676.0), (64.0, 334.0));
const COLOURS: [&str; 4] = ["#2f81f7", "#d4690f", "#2da44e", "#a371f7"];
/// In between of black and white.
const INK: &str = "#7d8590";

impl Chart {
    /// The picture, as text of an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let field =
            Field { xs: decades(points().map(|at| at.0)), ys: decades(points().map(|at| at.1)) };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n",
            SIZE.0, SIZE.1
        );
        let title = format!(
            "<g font-size=\"15\">{}</g>",
            text((SIZE.0 / 2.0, 22.0), "middle", &self.title)
        );
        let parts = [title].into_iter().chain(self.frame(&field)).chain(
            self.lines.iter().zip(COLOURS).flat_map(|(line, colour)| line.drawn(&field, colour)),
        );
        for part in parts.chain(self.legend()) {
            let _written = writeln!(svg, "{part}");
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The axes, and a rule at each power of ten and at twice and five times that.
    fn frame(&self, field: &Field) -> Vec<String> {
        let ((left, right), (top, bottom)) = FIELD;
        let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let mut parts = vec![
            text((x, bottom + 38.0), "middle", &self.axes.0),
            format!(
                "<g transform=\"rotate(-90 20 {y:.1})\">{}</g>",
                text((20.0, y), "middle", &self.axes.1)
            ),
        ];
        for (value, weight) in ticks(field.xs) {
            let at = field.x(value);
            parts.push(rule((at, top), (at, bottom), weight));
            if weight == 1 {
                parts.push(text((at, bottom + 18.0), "middle", &grouped(value)));
            }
        }
        for (value, weight) in ticks(field.ys) {
            let at = field.y(value);
            parts.push(rule((left, at), (right, at), weight));
            parts.push(text((left - 8.0, at + 4.0), "end", &grouped(value)));
        }
        parts
    }

    /// The names of the lines, side by side above the field.
    fn legend(&self) -> Vec<String> {
        let ((left, right), (top, _)) = FIELD;
        let share = (right - left) / self.lines.len() as f64;
        let names = self.lines.iter().zip(COLOURS).enumerate();
        let named = names.map(|(n, (line, colour))| {
            let (x, y) = (left + share * n as f64, top - 16.0);
            let name = text((x + 14.0, y + 4.0), "start", &line.name);
            format!(
                "<g fill=\"{colour}\"><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>{name}</g>",
                x + 4.0
            )
        });
        named.collect()
    }
}

impl Line {
    /// The line, its points, and their heights in figures.
    fn drawn(&self, field: &Field, colour: &str) -> Vec<String> {
        let places: Vec<(f64, f64)> =
            self.points.iter().map(|at| (field.x(at.0), field.y(at.1))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let line = format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        let points = places.iter().zip(&self.points).map(|((x, y), (_, value))| {
            let figure = text(
                (x.clamp(FIELD.0.0 + 16.0, FIELD.0.1 - 16.0), y - 10.0),
                "middle",
                &figure(*value),
            );
            format!(
                "<g fill=\"{colour}\"><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>{figure}</g>"
            )
        });
        [line].into_iter().chain(points).collect()
    }
}

/// The powers of ten between which each axis reaches.
struct Field {
    xs: (i32, i32),
    ys: (i32, i32),
}

impl Field {
    fn x(&self, value: f64) -> f64 {
        let (left, right) = FIELD.0;
        left + (right - left) * part(value, self.xs)
    }

    fn y(&self, value: f64) -> f64 {
        let (top, bottom) = FIELD.1;
        bottom - (bottom - top) * part(value, self.ys)
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

/// Where there are rules along an axis; those at powers of ten are of weight 1.
fn ticks((least, most): (i32, i32)) -> impl Iterator<Item = (f64, u32)> {
    let within = (least..most).flat_map(|decade| [1, 2, 5].map(|times| (decade, times)));
    within.chain([(most, 1)]).map(|(decade, times)| (f64::from(times) * 10_f64.powi(decade), times))
}

/// A figure with three digits that count.
fn figure(value: f64) -> String {
    if value < 1_000.0 { round(value) } else { grouped(value) }
}

/// A whole number with its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn text(at: (f64, f64), anchor: &str, text: &str) -> String {
    format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>", at.0, at.1)
}

/// Bold at powers of ten, and faint between them.
fn rule(from: (f64, f64), to: (f64, f64), weight: u32) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{INK}\" \
         stroke-opacity=\"{}\"/>",
        from.0,
        from.1,
        to.0,
        to.1,
        if weight == 1 { 0.4 } else { 0.15 }
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
        assert!(svg.contains("points=\"76.0,334.0 676.0,64.0\""), "{svg}");
        assert!(svg.contains(">1,000<") && svg.contains(">1,000,000<"), "{svg}");
    }
}
