//! Trials that differ in their seed alone, as the figures and tables of a sweep show them.

use super::cells::count;
use super::frame::{number, range};
use maud::{Markup, html};

use super::plot::COLOURS;
use crate::eval::Evaluation;
use crate::sweep::{Cost, Row, Status};

/// The trials of one name: the same model with several seeds.
pub(super) struct Group<'a> {
    pub name: &'a str,
    pub family: &'a str,
    pub id: &'a str,
    /// Those that were measured on test.
    pub rows: Vec<&'a Row>,
}

/// Mean, sample standard deviation (of two or more) and ends of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub n: usize,
    pub mean: f64,
    pub(super) deviation: Option<f64>,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let values: Vec<f64> = values.collect();
        let (low, high) = range(values.iter().copied())?;
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let deviation = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Spread { n, mean, deviation, low, high })
    }

    pub(super) fn text(&self) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.1} ± {deviation:.1}", self.mean),
            None => format!("{:.1}", self.mean),
        }
    }
}

/// The name of a cost within the page.
pub(super) fn key(cost: Cost) -> String {
    format!("by-{}", cost.name())
}

impl<'a> Group<'a> {
    /// By name, in the order in which they first come; those without a finished trial are left out.
    pub(super) fn all(rows: &'a [Row]) -> Vec<Group<'a>> {
        let mut groups: Vec<Group> = Vec::new();
        for row in rows.iter().filter(|row| row.status == Status::Done && row.test.is_some()) {
            match groups.iter_mut().find(|group| group.name == row.name) {
                Some(group) => group.rows.push(row),
                None => {
                    groups.push(Group { name: &row.name, family: &row.family, id: &row.id, rows: vec![row] })
                }
            }
        }
        groups
    }

    pub(super) fn spread(&self, value: impl Fn(&Row) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rows.iter().filter_map(|row| value(row)))
    }

    pub(super) fn test(&self, value: impl Fn(&Evaluation) -> Option<f64>) -> Option<Spread> {
        self.spread(|row| row.test.as_ref().and_then(&value))
    }

    /// (cost, mean A on test)
    pub fn point(&self, cost: Cost) -> Option<(f64, Spread)> {
        let x = self.spread(|row| cost.of(row))?.mean;
        Some((x, self.test(|e| Some(e.a))?)).filter(|(x, y)| *x > 0.0 && y.mean.is_finite())
    }

    pub fn label(&self, cost: Cost) -> String {
        let Some((x, y)) = self.point(cost) else { return self.name.to_string() };
        let seeds = count(y.n as u64, "seed");
        format!("{}: A {} ({seeds}), {} {}", self.name, y.text(), number(x), cost.title())
    }
}

pub(super) const WIDTH: f64 = 760.0;

pub(super) const HEIGHT: f64 = 400.0;

pub(super) fn family_keys(families: &[&str]) -> Markup {
    html! {
        @for family in families {
            li {
                svg.key viewBox="0 0 22 8" aria-hidden="true" {
                    g class={ "line " (colour(family, families)) } { circle cx="11" cy="4" r="4" {} }
                }
                span { (family) }
            }
        }
    }
}

pub(super) fn colour(family: &str, families: &[&str]) -> String {
    let place = families.iter().position(|f| *f == family).unwrap_or(0);
    format!("c{}", place % COLOURS)
}
