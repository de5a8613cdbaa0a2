//! The frame of a drawing as SVG: where numbers lie, and its axes with round ticks.

use maud::{Markup, html};

/// Two axes with their place in a drawing that has its own units; the page scales it.
pub struct Frame {
    pub x: Axis,
    pub y: Axis,
    width: f64,
    height: f64,
}

// Room for ticks and labels beside the axes.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BELOW: f64 = 38.0;

impl Frame {
    pub fn new(width: f64, height: f64, x: Axis, y: Axis) -> Frame {
        Frame { x, y, width, height }
    }

    pub fn view_box(&self) -> String {
        format!("0 0 {} {}", self.width, self.height)
    }

    /// Where a point lies.
    pub fn at(&self, (x, y): (f64, f64)) -> (String, String) {
        (digits(self.across(x)), digits(self.up(y)))
    }

    /// The points of a line, as SVG has them.
    pub fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let place = |point| {
            let (x, y) = self.at(point);
            format!("{x},{y}")
        };
        points.map(place).collect::<Vec<_>>().join(" ")
    }

    fn right(&self) -> f64 {
        self.width - RIGHT
    }

    fn bottom(&self) -> f64 {
        self.height - BELOW
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + (self.right() - LEFT) * self.x.place(x)
    }

    fn up(&self, y: f64) -> f64 {
        self.bottom() - (self.bottom() - TOP) * self.y.place(y)
    }

    /// Axes, ticks and what they count.
    pub fn axes(&self, x: &str, y: &str) -> Markup {
        let (right, bottom) = (self.right(), self.bottom());
        html! {
            g.grid {
                @for (at, tick) in self.y.ticks.iter().map(|&tick| (self.up(tick), tick)) {
                    line x1=(LEFT) x2=(right) y1=(digits(at)) y2=(digits(at)) {}
                    text x=(LEFT - 6.0) y=(digits(at + 4.0)) text-anchor="end" { (number(tick)) }
                }
                @for (at, tick) in self.x.ticks.iter().map(|&tick| (digits(self.across(tick)), tick)) {
                    line x1=(at) x2=(at) y1=(bottom) y2=(bottom + 4.0) {}
                    text x=(at) y=(bottom + 17.0) text-anchor="middle" { (number(tick)) }
                }
            }
            line.axis x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
            text.label x=((LEFT + right) / 2.0) y=(self.height - 4.0) text-anchor="middle" { (x) }
            text.label x=(-(TOP + bottom) / 2.0) y="11" text-anchor="middle" transform="rotate(-90)" { (y) }
        }
    }
}

fn digits(place: f64) -> String {
    format!("{place:.1}")
}

pub fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// Ticks, and where a value lies between the first end (0) and the last (1).
pub struct Axis {
    low: f64,
    high: f64,
    log: bool,
    pub ticks: Vec<f64>,
}

impl Axis {
    /// About `count` ticks at 1, 2 or 5 times a power of ten; the ends are ticks.
    pub fn linear((low, high): (f64, f64), count: usize) -> Axis {
        let span = if high > low { high - low } else { low.abs().max(1.0) };
        let rough = span / count as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|s| s * power >= rough).unwrap_or(10.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let last = last.max(first + 1.0);
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        Axis { low: first * step, high: last * step, log: false, ticks }
    }

    /// Powers of ten; over less than two of them also 2 and 5 times.
    pub fn log((low, high): (f64, f64)) -> Axis {
        let (first, last) = ((low.log10() + 1e-9).floor() as i32, (high.log10() - 1e-9).ceil() as i32);
        let last = last.max(first + 1);
        let every = (last - first + 5) / 6;
        let powers = (first..=last).filter(|p| (p - first) % every == 0).map(|p| 10f64.powi(p));
        if last - first > 2 {
            return Axis {
                low: 10f64.powi(first),
                high: 10f64.powi(last),
                log: true,
                ticks: powers.collect(),
            };
        }
        let ticks: Vec<f64> = powers.flat_map(|p| [p, 2.0 * p, 5.0 * p]).collect();
        // The ends are the ticks next outside the values.
        let start = ticks.iter().rposition(|&t| t <= low * (1.0 + 1e-9)).unwrap_or(0);
        let end =
            ticks.iter().position(|&t| t >= high * (1.0 - 1e-9)).unwrap_or(ticks.len() - 1).max(start + 1);
        let ticks = ticks[start..=end].to_vec();
        Axis { low: ticks[0], high: ticks[ticks.len() - 1], log: true, ticks }
    }

    pub fn place(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

/// A number for people: four digits at most, thousands as k, M, G, very small ones with an exponent.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let short = |value: f64, unit: &str| {
        let decimals = match value.abs() {
            x if x >= 99.95 => 0,
            x if x >= 9.995 => 1,
            _ => 2,
        };
        let text = format!("{value:.decimals$}");
        let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{unit}")
    };
    match size {
        0.0 => "0".into(),
        s if s >= 999.5e6 => short(value / 1e9, "G"),
        s if s >= 999.5e3 => short(value / 1e6, "M"),
        s if s >= 9999.5 => short(value / 1e3, "k"),
        s if s >= 1.0 => short(value, ""),
        s if s >= 9.995e-4 => {
            let decimals = (2 - s.log10().floor() as i32) as usize;
            format!("{value:.decimals$}").trim_end_matches('0').trim_end_matches('.').into()
        }
        s if s.is_finite() => format!("{value:.1e}").replace(".0e", "e"),
        _ => "–".into(),
    }
    .replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::linear((0.0, 10.0), 5).ticks, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Axis::linear((37.2, 41.9), 5).ticks, [37.0, 38.0, 39.0, 40.0, 41.0, 42.0]);
        assert_eq!(Axis::linear((-0.3, 0.4), 3).ticks, [-0.5, 0.0, 0.5]);
        assert_eq!(Axis::linear((7.0, 7.0), 5).ticks, [6.0, 8.0]);
        assert_eq!(Axis::linear((0.0, 0.0), 5).ticks.first(), Some(&0.0));
        assert_eq!(Axis::log((0.5, 2000.0)).ticks, [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(Axis::log((0.12, 0.9)).ticks, [0.1, 0.2, 0.5, 1.0]);
        let one = Axis::log((1.0, 1.0));
        assert_eq!((one.low, one.high), (1.0, 2.0));
        let wide = Axis::log((1e-12, 1e3));
        assert!(wide.ticks.len() <= 7 && wide.place(1e-12) == 0.0 && wide.place(1e3) <= 1.0);
    }
}
