//! What varies in a sweep: values of a key from a list, a range, or at random.

use toml::{Table, Value};

use crate::config::{Document, Fault, Problem, Setting, Shape, join, short};
use crate::seed::derive;
use crate::{Error, Result};

/// More trials than this are a mistake in the file.
pub(super) const MOST: usize = 10_000;

/// One axis: its key and what it stands for.
#[derive(Debug)]
pub(super) struct Axis {
    pub key: String,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// Each of them is combined with all values of the other axes.
    Each(Vec<Setting>),
    /// One for each random sample, in which all random axes get a value at once.
    Drawn(Vec<Setting>),
}

/// Where in a range numbers lie.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
    log: bool,
    /// Whether the key takes whole numbers only.
    whole: bool,
}

impl Range {
    /// The number at `place`, from 0 to 1, rounded to four digits so that names are short; the ends are exact.
    fn at(&self, place: f64) -> Value {
        let Range { low, high, log, whole } = *self;
        let x = match place {
            0.0 => low,
            1.0 => high,
            _ if log => short_number(low * (high / low).powf(place)),
            _ => short_number(low + (high - low) * place),
        };
        if whole { Value::Integer(x.round() as i64) } else { Value::Float(x) }
    }
}

fn short_number(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// The axes in the table `axes` of a sweep file, in the order of their keys. `seed` is that of random samples; a sample
/// stays the same when others or further axes are added.
pub(super) fn read(
    table: &Table,
    file: &Document,
    seed: u64,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Axis>> {
    let mut flat = Vec::new();
    flatten("", table, &mut flat);
    let mut axes: Vec<Axis> = Vec::new();
    for (key, value) in flat {
        let place = join("axes", &key);
        if key == "seed" {
            problems.push(Problem::new(&place, Fault::SeedAxis));
            continue;
        }
        let shape = match Shape::of_key(&key) {
            Ok(shape) => shape,
            Err(nearest) => {
                problems.push(Problem::new(&place, Fault::UnknownKey { nearest }));
                continue;
            }
        };
        let one = Given { key: &key, place: &place, shape, file };
        if let Some(values) = one.values(value, seed, problems)? {
            let axis = Axis { key: key.clone(), values };
            one.same_samples(&axis, &axes, problems);
            axes.push(axis);
        }
    }
    Ok(axes)
}

/// Keys with a dot, and tables of keys: down to what can be an axis.
fn flatten<'t>(above: &str, table: &'t Table, into: &mut Vec<(String, &'t Value)>) {
    for (name, value) in table {
        let key = join(above, name);
        match (Shape::of_key(&key), value) {
            (Ok(Shape::Table(_)), Value::Table(below)) => flatten(&key, below, into),
            _ => into.push((key, value)),
        }
    }
}

/// How many points there are.
pub(super) fn count(axes: &[Axis]) -> usize {
    let drawn = axes.iter().find_map(|axis| match &axis.values {
        Values::Drawn(drawn) => Some(drawn.len()),
        Values::Each(_) => None,
    });
    let each = axes.iter().map(|axis| match &axis.values {
        Values::Drawn(_) => 1,
        Values::Each(values) => values.len(),
    });
    each.fold(drawn.unwrap_or(1), usize::saturating_mul)
}

/// Every combination, each a setting per axis.
pub(super) fn points(axes: &[Axis]) -> Vec<Vec<Setting>> {
    let samples = axes.iter().find_map(|axis| match &axis.values {
        Values::Drawn(drawn) => Some(drawn.len()),
        Values::Each(_) => None,
    });
    let mut all = Vec::new();
    for sample in 0..samples.unwrap_or(1) {
        let mut points: Vec<Vec<Setting>> = vec![Vec::new()];
        for axis in axes {
            let values = match &axis.values {
                Values::Each(values) => &values[..],
                Values::Drawn(values) => &values[sample..=sample],
            };
            let with = |point: &Vec<Setting>| {
                let point = point.clone();
                values.iter().map(move |value| [&point[..], std::slice::from_ref(value)].concat())
            };
            points = points.iter().flat_map(with).collect();
        }
        all.extend(points);
    }
    all
}

/// An axis as it is read.
struct Given<'a> {
    key: &'a str,
    place: &'a str,
    shape: &'static Shape,
    file: &'a Document,
}

impl Given<'_> {
    fn values(&self, value: &Value, seed: u64, problems: &mut Vec<Problem>) -> Result<Option<Values>> {
        let mut refuse = |fault| {
            problems.push(Problem::new(self.place, fault));
            Ok(None)
        };
        match value {
            Value::Array(list) if list.is_empty() => refuse(Fault::NoValues),
            Value::Array(list) => Ok(self.settings("", list, problems)?.map(Values::Each)),
            Value::Table(table) => self.table_values(table, seed, problems),
            other => refuse(Fault::NoAxis { value: short(other) }),
        }
    }

    /// `{ log | range = [low, high], count = n }`, or `{ log | range | of = […], random = n }`.
    fn table_values(&self, table: &Table, seed: u64, problems: &mut Vec<Problem>) -> Result<Option<Values>> {
        let before = problems.len();
        let shape = axis_shape();
        for (name, value) in table {
            let place = join(self.place, name);
            match shape.below(name) {
                Some(below) => below.check(&shape, &place, value, problems),
                None => {
                    let nearest = shape.nearest("", name);
                    problems.push(Problem::new(&place, Fault::UnknownKey { nearest }));
                }
            }
        }
        if problems.len() > before {
            return Ok(None);
        }
        let number = |name: &str| table.get(name).and_then(Value::as_integer).map(|n| n as usize);
        for name in ["count", "random"] {
            if let Some(value) = number(name).filter(|&value| value > MOST) {
                problems.push(Problem::new(&join(self.place, name), Fault::TooLarge { value, most: MOST }));
                return Ok(None);
            }
        }
        let ranges: Vec<&str> =
            ["log", "range", "of"].into_iter().filter(|name| table.contains_key(*name)).collect();
        let [kind] = ranges[..] else {
            problems.push(Problem::new(self.place, Fault::OneRange));
            return Ok(None);
        };
        match (kind, number("count"), number("random")) {
            ("of", None, Some(random @ 1..)) => self.draw_of(&table["of"], random, seed, problems),
            ("log" | "range", Some(count @ 2..), None) => {
                let Some(range) = self.range(kind, &table[kind], problems) else { return Ok(None) };
                let mut values: Vec<Value> =
                    (0..count).map(|n| range.at(n as f64 / (count - 1) as f64)).collect();
                values.dedup();
                Ok(self.settings(kind, &values, problems)?.map(Values::Each))
            }
            ("log" | "range", None, Some(random @ 1..)) => {
                let Some(range) = self.range(kind, &table[kind], problems) else { return Ok(None) };
                let values: Vec<Value> = (0..random).map(|n| range.at(self.draw(seed, n))).collect();
                Ok(self.settings(kind, &values, problems)?.map(Values::Drawn))
            }
            _ => {
                problems.push(Problem::new(self.place, Fault::CountOrRandom));
                Ok(None)
            }
        }
    }

    fn draw_of(
        &self,
        list: &Value,
        random: usize,
        seed: u64,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Values>> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            problems.push(Problem::new(&join(self.place, "of"), Fault::NoValues));
            return Ok(None);
        }
        let Some(settings) = self.settings("of", list, problems)? else { return Ok(None) };
        let place = |n| ((self.draw(seed, n) * list.len() as f64) as usize).min(list.len() - 1);
        Ok(Some(Values::Drawn((0..random).map(|n| settings[place(n)].clone()).collect())))
    }

    /// A number from 0 to 1 for sample `n` of this key.
    fn draw(&self, seed: u64, n: usize) -> f64 {
        derive(seed, self.key, n as u64) as f64 / u64::MAX as f64
    }

    fn range(&self, kind: &str, ends: &Value, problems: &mut Vec<Problem>) -> Option<Range> {
        let place = join(self.place, kind);
        let ends_of = ends.as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|n| n as f64));
        let ends_of: Option<Vec<f64>> = ends_of.iter().map(number).collect();
        let value = short(ends);
        let fault = match (self.shape, ends_of.as_deref()) {
            (shape, _) if !matches!(shape, Shape::Whole | Shape::Number) => {
                Fault::RangeOfOther { key: self.key.into(), expected: shape.to_string() }
            }
            (shape, Some(&[low, high])) if low.is_finite() && high.is_finite() && low < high => {
                if kind == "log" && low <= 0.0 {
                    Fault::LogOfZero { value }
                } else {
                    return Some(Range {
                        low,
                        high,
                        log: kind == "log",
                        whole: matches!(shape, Shape::Whole),
                    });
                }
            }
            _ => Fault::RangeEnds { value },
        };
        problems.push(Problem::new(&place, fault));
        None
    }

    /// A setting for each value, if all of them are of the right type.
    fn settings(
        &self,
        below: &str,
        values: &[Value],
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Vec<Setting>>> {
        let place = |n: usize| match below {
            "" => join(self.place, &n.to_string()),
            "of" => join(self.place, &format!("of.{n}")),
            range => join(self.place, range),
        };
        let settings: Vec<Option<Setting>> = values
            .iter()
            .enumerate()
            .map(|(n, value)| Setting::one(&place(n), self.key, value, self.file, problems))
            .collect::<Result<_, Error>>()?;
        Ok(settings.into_iter().collect())
    }

    /// Random axes are drawn together, so each needs as many samples as the others.
    fn same_samples(&self, axis: &Axis, others: &[Axis], problems: &mut Vec<Problem>) {
        let count = |axis: &Axis| match &axis.values {
            Values::Drawn(drawn) => Some(drawn.len()),
            Values::Each(_) => None,
        };
        let first = others.iter().find_map(|other| Some((count(other)?, &other.key)));
        if let (Some(value), Some((others, other))) = (count(axis), first)
            && value != others
        {
            let fault = Fault::RandomCounts { value, other: join("axes", other), others };
            problems.push(Problem::new(self.place, fault));
        }
    }
}

/// What an axis that is a table may hold.
fn axis_shape() -> Shape {
    let numbers = || Shape::List(Box::new(Shape::Number));
    Shape::table([
        ("log", numbers()),
        ("range", numbers()),
        ("of", Shape::List(Box::new(Shape::Any))),
        ("count", Shape::Whole),
        ("random", Shape::Whole),
    ])
}
