//! One plot as SVG: lines over a plain grid. Colours come from the page, so that it can be light or dark.

use std::fmt::Write as _;

/// The drawing's size and the room around the plot, in SVG units.
const SIZE: (f64, f64) = (720.0, 300.0);
const ROOM: (f64, f64, f64, f64) = (64.0, 16.0, 16.0, 44.0);
/// About how many lines a grid has.
const TICKS: f64 = 5.0;

/// One line of a plot; where a value is not finite the line has a gap.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: &'static str,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A plot of some lines.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows, as a sentence.
    pub title: &'static str,
    /// What runs to the right, with its unit.
    pub across: &'static str,
    /// What runs up, with its unit.
    pub up: &'static str,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Chart {
    /// The plot as SVG, with its title and legend as text.
    pub fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points).filter(|point| point.1.is_finite());
        let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
        let (x, y) = (Axis::to(most(|point| point.0)), Axis::to(most(|point| point.1)));
        let (left, top, right, bottom) = ROOM;
        let (width, height) = (SIZE.0 - left - right, SIZE.1 - top - bottom);
        let at_x = |value: f64| left + width * value / x.end;
        let at_y = |value: f64| top + height * (1.0 - value / y.end);
        let mut svg = format!("<figure><figcaption>{}</figcaption>\n", self.title);
        put(
            &mut svg,
            format_args!("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", SIZE.0, SIZE.1, self.title),
        );
        for value in y.ticks() {
            let (to, at) = (left + width, at_y(value));
            put(&mut svg, format_args!("<path class=\"grid\" d=\"M{left:.1} {at:.1}H{to:.1}\"/>"));
            put(
                &mut svg,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                    left - 6.0,
                    at + 4.0,
                    number(value)
                ),
            );
        }
        for value in x.ticks() {
            let at = at_x(value);
            put(
                &mut svg,
                format_args!(
                    "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                    SIZE.1 - bottom + 16.0,
                    number(value)
                ),
            );
        }
        put(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                left + width / 2.0,
                SIZE.1 - 8.0,
                self.across
            ),
        );
        put(&mut svg, format_args!("<text x=\"{left:.1}\" y=\"11\">{}</text>\n", self.up));
        for (number, line) in self.lines.iter().enumerate() {
            let path = path(&line.points, at_x, at_y);
            put(&mut svg, format_args!("<path class=\"line c{number}\" d=\"{path}\"/>\n"));
            for (x, y) in line.points.iter().filter(|point| point.1.is_finite()) {
                let (cx, cy) = (at_x(*x), at_y(*y));
                put(
                    &mut svg,
                    format_args!(
                        "<circle class=\"c{number}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.5\"><title>{}: {x:.0}, {y:.1}</title></circle>",
                        line.name
                    ),
                );
            }
        }
        svg.push_str("</svg>\n<p class=\"legend\">");
        for (number, line) in self.lines.iter().enumerate() {
            put(&mut svg, format_args!("<span class=\"k{number}\">{}</span> ", line.name));
        }
        svg.push_str("</p></figure>\n");
        svg
    }
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("memory takes it");
}

/// A path through the points, broken where one is missing.
fn path(points: &[(f64, f64)], at_x: impl Fn(f64) -> f64, at_y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for (x, y) in points {
        if y.is_finite() {
            let letter = if is_open { 'L' } else { 'M' };
            put(&mut path, format_args!("{letter}{:.1} {:.1}", at_x(*x), at_y(*y)));
        }
        is_open = y.is_finite();
    }
    path
}

/// An axis from zero to a round number.
struct Axis {
    end: f64,
    step: f64,
}

impl Axis {
    fn to(most: f64) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / TICKS;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * magnitude).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * magnitude);
        Axis { end: (most / step).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (end, step) = (self.end, self.step);
        (0..).map(move |number| f64::from(number) * step).take_while(move |value| *value <= end + step / 2.0)
    }
}

/// A number on an axis: `20k`, `1.5`, `300`.
fn number(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{}k", value / 1_000.0),
        _ if value.fract().abs() < 1e-9 => format!("{value:.0}"),
        _ => format!("{value:.2}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_all_values() {
        for (most, end, ticks) in [(0.0, 1.0, 6), (97.0, 100.0, 6), (14_300.0, 15_000.0, 4), (0.3, 0.3, 4)] {
            let axis = Axis::to(most);
            assert!((axis.end - end).abs() < 1e-9, "{most}: {}", axis.end);
            assert_eq!(axis.ticks().count(), ticks, "{most}");
        }
    }

    #[test]
    fn a_line_has_a_gap_where_a_value_is_missing() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0)];
        assert_eq!(path(&points, |x| x, |y| y), "M0.0 1.0L1.0 2.0M3.0 4.0");
    }

    #[test]
    fn a_chart_of_nothing_is_a_chart() {
        let line = Line { name: "p50", points: vec![(0.0, f64::NAN)] };
        let svg = Chart { title: "Latency", across: "seconds", up: "ms", lines: vec![line] }.svg();
        assert!(svg.contains("<svg") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!(
            [0.0, 0.05, 2.5, 300.0, 20_000.0, 12_500.0].map(number),
            ["0", "0.05", "2.5", "300", "20k", "12.5k"]
        );
    }
}
