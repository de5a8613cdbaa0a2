//! Line plots as SVG: pure functions of numbers. Colours are classes, so that the page chooses them for light and dark.

use maud::{Markup, html};

use super::frame::{Axis, Frame, number, range};

/// Lines over a common x axis.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    /// Shown above the plot.
    pub title: String,
    /// Label of the x axis.
    pub x: String,
    /// Label of the y axis.
    pub y: String,
    /// Powers of ten on the y axis; points that are not positive are left out.
    pub log_y: bool,
    /// The lines, over the same axes.
    pub series: Vec<Series>,
}

/// One line; an `important` one is drawn thicker and on top. Points in the order of x. Points that are not finite are left out.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// As the legend names it.
    pub name: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
    /// Drawn thicker and on top.
    pub important: bool,
}

/// Classes of lines that the page has colours for.
pub const COLOURS: usize = 8;

// The drawing in its own units; the page scales it.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 230.0;
/// Longer lines are drawn as means of so many buckets.
const BUCKETS: usize = 240;
/// Lines up to this long show their points, with values on hovering.
const MARKED: usize = 40;

impl Plot {
    /// A figure: title, drawing, legend with last values. Without any point it says so.
    pub fn figure(&self) -> Markup {
        let series: Vec<Vec<(f64, f64)>> = self.series.iter().map(|s| self.drawable(&s.points)).collect();
        let points = || series.iter().flatten().copied();
        html! {
            figure.plot {
                figcaption { (self.title) }
                @match (range(points().map(|p| p.0)), range(points().map(|p| p.1))) {
                    (Some(x), Some(y)) => {
                        (self.drawing(&series, x, y))
                        (self.legend())
                    }
                    _ => p.nothing { "No values." }
                }
            }
        }
    }

    fn drawable(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let shown = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite() && (!self.log_y || p.1 > 0.0);
        let points: Vec<(f64, f64)> = points.iter().filter(shown).copied().collect();
        let size = points.len().div_ceil(BUCKETS).max(1);
        let mean =
            |b: &[(f64, f64)], f: fn(&(f64, f64)) -> f64| b.iter().map(f).sum::<f64>() / b.len() as f64;
        points.chunks(size).map(|b| (mean(b, |p| p.0), mean(b, |p| p.1))).collect()
    }

    fn drawing(&self, series: &[Vec<(f64, f64)>], x: (f64, f64), y: (f64, f64)) -> Markup {
        let y_axis = if self.log_y { Axis::log(y) } else { Axis::linear(y, 5) };
        let frame = Frame::new(WIDTH, HEIGHT, Axis::linear(x, 6), y_axis);
        let names: Vec<&str> = self.series.iter().map(|s| s.name.as_str()).collect();
        let label = format!(
            "{}: {} from {} to {} over {} from {} to {}",
            self.title,
            names.join(", "),
            number(y.0),
            number(y.1),
            self.x,
            number(x.0),
            number(x.1)
        );
        html! {
            svg viewBox=(frame.view_box()) role="img" aria-label=(label) {
                (frame.axes(&self.x, &self.y))
                @for index in self.painting_order() {
                    @let (points, series) = (&series[index], &self.series[index]);
                    g class=(class(index, series.important)) {
                        polyline points=(frame.path(points.iter().copied())) {}
                        @if points.len() <= MARKED {
                            @for (px, py) in points {
                                @let (x, y) = frame.at((*px, *py));
                                circle cx=(x) cy=(y) r="2.5" {
                                    title { (series.name) ": " (number(*py)) " at " (number(*px)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Places of the series, the important ones last.
    fn painting_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        order.sort_by_key(|&index| self.series[index].important);
        order
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for (index, series) in self.series.iter().enumerate() {
                    li {
                        svg.key viewBox="0 0 22 8" aria-hidden="true" {
                            g class=(class(index, series.important)) { polyline points="0,4 22,4" {} }
                        }
                        span { (series.name) }
                        @if let Some((_, last)) = series.points.iter().rev().find(|p| p.1.is_finite()) {
                            " " b { (number(*last)) }
                        }
                    }
                }
            }
        }
    }
}

/// Colour by place; from the ninth line on dashed, so that more lines stay apart.
fn class(index: usize, important: bool) -> String {
    let dashed = if index / COLOURS % 2 == 1 { " dashed" } else { "" };
    let thick = if important { " important" } else { "" };
    format!("line c{}{dashed}{thick}", index % COLOURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)], log_y: bool) -> String {
        let series = vec![Series { name: "a<b".into(), points: points.to_vec(), important: false }];
        Plot { title: "T & T".into(), x: "step".into(), y: "loss".into(), log_y, series }
            .figure()
            .into_string()
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (2.5, "2.5"),
            (41.26, "41.3"),
            (123.456, "123"),
            (1000.0, "1000"),
            (52_340.0, "52.3k"),
            (18_000_000.0, "18M"),
            (0.001, "0.001"),
            (0.012_34, "0.0123"),
            (-0.5, "−0.5"),
            (0.000_01, "1e−5"),
            (2.5e-7, "2.5e−7"),
            (100.0, "100"),
            (f64::NAN, "–"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn points_lie_where_they_should() {
        let svg = plot(&[(0.0, 0.0), (10.0, 10.0)], false);
        assert!(svg.contains(r#"points="54.0,192.0 408.0,10.0""#), "{svg}");
        let svg = plot(&[(0.0, 1.0), (10.0, 1000.0)], true);
        assert!(svg.contains(r#"points="54.0,192.0 408.0,10.0""#), "{svg}");
    }

    #[test]
    fn values_that_cannot_be_drawn_are_left_out() {
        let svg = plot(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, -1.0), (3.0, 2.0)], true);
        assert!(svg.contains(r#"points="54.0,192.0 408.0,10.0""#) && !svg.contains("NaN"), "{svg}");
        assert!(plot(&[], false).contains("No values."));
        assert!(plot(&[(f64::NAN, 1.0)], false).contains("No values."));
        assert!(!plot(&[(3.0, 3.0)], false).contains("NaN"));
    }

    #[test]
    fn names_are_escaped() {
        let svg = plot(&[(0.0, 1.0)], false);
        assert!(svg.contains("T &amp; T") && svg.contains("a&lt;b") && !svg.contains("a<b"), "{svg}");
    }

    #[test]
    fn long_lines_become_means() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let svg = plot(&points, false);
        assert!(svg.len() < 8_000 && !svg.contains("<circle"), "{}", svg.len());
    }
}
