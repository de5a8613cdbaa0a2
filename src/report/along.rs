//! The plot that a sweep's file asks for: mean recall along a key, or along the number of languages.

use maud::{Markup, html};

use super::frame::number;
use super::frame::{Axis, Frame, range};
use super::groups::{Group, HEIGHT, Spread, WIDTH, colour, family_keys};
use crate::sweep::Cost;

/// The x axis, as the trials have it.
pub struct Along<'a> {
    x: &'a str,
    log: bool,
}

/// A group in the plot.
struct Point<'a, 'r> {
    group: &'a Group<'r>,
    x: f64,
    y: Spread,
    radius: f64,
}

/// Radius of the point with most parameters; smaller ones are kept visible.
const LARGEST: f64 = 13.0;
const SMALLEST: f64 = 3.5;

impl<'a> Along<'a> {
    /// Nothing where the sweep names no axis.
    pub fn of(groups: &[Group<'a>]) -> Option<Along<'a>> {
        let placed = groups.iter().flat_map(|g| &g.rows).find_map(|row| row.plot.as_ref())?;
        Some(Along { x: &placed.x, log: placed.log })
    }

    pub fn section(&self, groups: &[Group], families: &[&str]) -> Markup {
        let points = self.points(groups);
        let left_out = groups.len() - points.len();
        html! {
            h2 { "Mean recall along " (self.label()) }
            (self.figure(&points, families))
            p.note {
                "The area of a point grows with the parameters trained; a line joins the points of a family, a vertical one the lowest "
                "and the highest seed. A is the mean over the languages of the model."
                @if left_out > 0 {
                    " Left out: " (left_out) " whose value " @if self.log { "is not greater than 0." } @else { "is not known." }
                }
            }
        }
    }

    fn label(&self) -> String {
        match self.x {
            "languages" => "the number of languages".into(),
            key => format!("`{key}`"),
        }
    }

    /// Those with a place, in the order of x.
    fn points<'g, 'r>(&self, groups: &'g [Group<'r>]) -> Vec<Point<'g, 'r>> {
        let size = |group: &Group| group.point(Cost::Train).map_or(0.0, |(parameters, _)| parameters);
        let most = groups.iter().map(size).fold(0.0, f64::max);
        let point = |group: &'g Group<'r>| {
            let x = group.rows.iter().find_map(|row| row.plot.as_ref())?.value;
            let (parameters, y) = group.point(Cost::Train)?;
            let radius = (LARGEST * (parameters / most).sqrt()).max(SMALLEST);
            (x.is_finite() && (!self.log || x > 0.0)).then_some(Point { group, x, y, radius })
        };
        let mut points: Vec<Point> = groups.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points
    }

    fn axis(&self, (low, high): (f64, f64)) -> Axis {
        match (self.log, self.x) {
            (true, _) => Axis::log((low, high)),
            // There are no halves of languages.
            (false, "languages") => Axis::linear((low, high), ((high - low) as usize).clamp(1, 10)),
            (false, _) => Axis::linear((low, high), 6),
        }
    }

    fn figure(&self, points: &[Point], families: &[&str]) -> Markup {
        let ends = points.iter().flat_map(|p| [p.y.low, p.y.high]);
        let (Some(x), Some(y)) = (range(points.iter().map(|p| p.x)), range(ends)) else {
            return html! { p.nothing { "No values." } };
        };
        let frame = Frame::new(WIDTH, HEIGHT, self.axis(x), Axis::linear(y, 6));
        let title = format!("Mean recall on test along {}", self.label());
        let line = |family: &str| {
            let own = points.iter().filter(|p| p.group.family == family);
            frame.path(own.map(|p| (p.x, p.y.mean)))
        };
        html! {
            figure.plot {
                figcaption { (title) }
                svg viewBox=(frame.view_box()) role="img" aria-label=(title) {
                    (frame.axes(&self.label(), "mean recall A, %"))
                    @for family in families {
                        g class={ "line " (colour(family, families)) } { polyline points=(line(family)) {} }
                    }
                    @for p in points {
                        @let (at, mean) = frame.at((p.x, p.y.mean));
                        a href={ "#" (p.group.id) } class={ "line " (colour(p.group.family, families)) } {
                            title { (number(p.x)) ": " (p.group.label(Cost::Train)) }
                            @if p.y.n > 1 {
                                line.spread x1=(at) x2=(at) y1=(frame.at((p.x, p.y.low)).1) y2=(frame.at((p.x, p.y.high)).1) {}
                            }
                            circle cx=(at) cy=(mean) r=(format!("{:.1}", p.radius)) {}
                        }
                    }
                }
                ul.legend { (family_keys(families)) }
            }
        }
    }
}
