//! Rows of tables and of matrices: lookup with row-sparse gradients, stacking, and means over sentences.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::sync::{Arc, Mutex, OnceLock};

use dfdx::prelude::*;
use rayon::prelude::*;

use super::host_device::HostDeviceBuffer;
use super::leaf::Rate;
use super::on_gpu;
use super::sequences::{Occurrences, Sequences};
use super::simd::{Loop, vectorise};
use super::tape::{data, data1, matrix, on_host, record};
use crate::device::{Dev, Matrix, Vector};
use crate::numbers::Rows;

/// Row numbers and their gradients, row by row.
pub type RowGradients = (Vec<u32>, HostDeviceBuffer);

/// A large table of which a step reads few rows. Its gradients are kept by row, outside the tape's.
pub struct Table {
    /// Numbers of a row.
    pub width: usize,
    /// (rows, width)
    values: Values,
    rows: usize,
    /// What backward has left for the optimiser: row numbers (distinct within one entry) and their gradients.
    pub grads: Arc<Mutex<Vec<RowGradients>>>,
    /// Of all rows.
    pub rate: Rate,
}

/// The numbers of a table.
#[derive(Clone)]
enum Values {
    Floats(HostDeviceBuffer),
    /// As they lie in a file; all of them as floats, where somebody has asked for that.
    Kept(Rows, OnceLock<HostDeviceBuffer>),
}

/// A clone is another table: the gradients of either are its own.
impl Clone for Table {
    fn clone(&self) -> Self {
        Table { values: self.values.clone(), grads: Arc::default(), ..*self }
    }
}

impl Table {
    /// A table (rows, width) to be trained, whose values `data` holds row by row.
    pub fn new(width: usize, data: Vec<f32>) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "a table of whole rows");
        Table {
            width,
            rows: data.len() / width,
            values: Values::Floats(data.into()),
            grads: Arc::default(),
            rate: Rate::TRAINED,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes rows that stay in their file until they are read, in place of its own.
    ///
    /// # Panics
    /// With rows of another shape.
    pub fn set_kept(&mut self, rows: Rows) {
        assert_eq!([rows.rows(), rows.columns()], [self.rows, self.width], "the shape of the table");
        self.values = Values::Kept(rows, OnceLock::new());
    }

    /// (rows, width). Of a table whose rows are kept in a file all are read, and stay in memory.
    pub fn data(&self) -> &[f32] {
        self.values().host()
    }

    /// (rows, width), to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        self.floats().host_mut()
    }

    /// (rows, width), on a GPU if need be; as [`Self::data`].
    pub fn values(&self) -> &HostDeviceBuffer {
        match &self.values {
            Values::Floats(floats) => floats,
            Values::Kept(rows, floats) => floats.get_or_init(|| rows.all().into()),
        }
    }

    /// (rows, width), to be changed on the GPU.
    #[cfg(feature = "cuda")]
    pub fn values_mut(&mut self) -> &mut HostDeviceBuffer {
        self.floats()
    }

    /// Changes all values for others, as many.
    pub fn swap(&mut self, values: &mut HostDeviceBuffer) {
        std::mem::swap(self.floats(), values);
    }

    /// The values, to be changed: no longer those of a file.
    fn floats(&mut self) -> &mut HostDeviceBuffer {
        if let Values::Kept(..) = self.values {
            self.values = Values::Floats(self.values().clone());
        }
        match &mut self.values {
            Values::Floats(floats) => floats,
            Values::Kept(..) => unreachable!("they are floats now"),
        }
    }

    /// A row: `width` numbers; as [`Self::data`].
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data()[row * self.width..(row + 1) * self.width]
    }

    /// Writes the `width` numbers of a row to `out`. Of rows that are kept in a file no other is read.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        match &self.values {
            Values::Kept(rows, floats) if floats.get().is_none() => rows.read(row, out),
            _ => out.copy_from_slice(self.row(row)),
        }
    }

    /// Where backward leaves gradients; nothing, where the table is frozen.
    pub fn sink(&self) -> Option<Arc<Mutex<Vec<RowGradients>>>> {
        self.rate.trained().then(|| self.grads.clone())
    }

    /// The gradients since the last call, in the order of the backward steps.
    pub fn take_grads(&self) -> Vec<RowGradients> {
        std::mem::take(&mut self.grads.lock().expect("gradients are pushed without panicking"))
    }
}

/// The given distinct rows of a table → (rows, width). A frozen one gets no gradient.
pub fn lookup<T: Tape<f32, Dev> + 'static>(table: &Table, rows: &[u32]) -> Matrix<T> {
    if T::OWNS_TAPE && !table.rate.trained() {
        return lookup::<NoneTape>(table, rows).put_tape(T::default());
    }
    on_gpu!(|gpu| gpu.lookup(table, rows));
    let mut out = vec![0.0; rows.len() * table.width];
    let each = out.par_chunks_mut(table.width).with_min_len(16);
    each.zip(rows).for_each(|(out, &r)| table.copy_row(r as usize, out));
    let (sink, kept) = (table.grads.clone(), if T::OWNS_TAPE { rows.to_vec() } else { Vec::new() });
    record!(T::default(), matrix(out, rows.len(), table.width), |grads, g| {
        sink.lock().expect("gradients are taken without panicking").push((kept, g.into()));
    })
}

/// Matrices of one width below each other: each (rowsᵢ, width) → (Σ rowsᵢ, width).
pub fn stack<T: Tape<f32, Dev> + 'static>(parts: Vec<Matrix<T>>) -> Matrix<T> {
    let width = parts[0].shape().1;
    let mut tape = T::default();
    let mut inputs = Vec::new();
    for part in parts {
        let (part, t) = part.split_tape();
        assert_eq!(part.shape().1, width, "stack: widths differ");
        tape = tape.merge(t);
        inputs.push(part);
    }
    on_gpu!(|gpu| gpu.stack(inputs, tape));
    let rows = inputs.iter().map(|part| part.shape().0).sum();
    let mut out = Vec::with_capacity(rows * width);
    inputs.iter().for_each(|part| out.extend_from_slice(&data(part)));
    record!(tape, matrix(out, rows, width), |grads, g| {
        let mut rest = &g[..];
        for part in &inputs {
            let (mine, tail) = rest.split_at(part.shape().0 * width);
            on_host(grads.get_or_alloc_mut(part)?).iter_mut().zip(mine).for_each(|(t, g)| *t += g);
            rest = tail;
        }
    })
}

/// Two matrices of as many rows beside each other: a (rows, m), b (rows, n) → (rows, m + n).
pub fn hconcat<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, b: Matrix<T>) -> Matrix<T> {
    assert_eq!(a.shape().0, b.shape().0, "beside: numbers of rows differ");
    on_gpu!(|gpu| gpu.hconcat(a, b));
    let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
    let ((rows, m), n) = (*a.shape(), b.shape().1);
    let mut out = Vec::with_capacity(rows * (m + n));
    let (left, right) = (data(&a), data(&b));
    for i in 0..rows {
        out.extend_from_slice(&left[i * m..(i + 1) * m]);
        out.extend_from_slice(&right[i * n..(i + 1) * n]);
    }
    record!(ta.merge(tb), matrix(out, rows, m + n), |grads, g| {
        for (part, first, width) in [(&a, 0, m), (&b, m, n)] {
            let mut to = on_host(grads.get_or_alloc_mut(part)?);
            for i in 0..rows {
                let from = &g[i * (m + n) + first..][..width];
                to[i * width..][..width].iter_mut().zip(from).for_each(|(t, g)| *t += g);
            }
        }
    })
}

/// `count` columns of x (rows, width) from the `first` one on → (rows, count).
pub fn columns<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, first: usize, count: usize) -> Matrix<T> {
    on_gpu!(|gpu| gpu.columns(x, first, count));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let out = data(&x).chunks(width).flat_map(|r| &r[first..first + count]).copied().collect();
    record!(tape, matrix(out, rows, count), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        for (to, g) in to.chunks_mut(width).zip(g.chunks(count)) {
            to[first..first + count].iter_mut().zip(g).for_each(|(t, g)| *t += g);
        }
    })
}

/// The given rows of x (any, width), which may repeat → (rows, width).
pub fn select<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, rows: &[u32]) -> Matrix<T> {
    gather_concat(x, rows, 1)
}

/// The given rows of x (any, width), which may repeat, `length` of them beside each other → (rows / length, length · width).
pub fn gather_concat<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, rows: &[u32], length: usize) -> Matrix<T> {
    on_gpu!(|gpu| gpu.gather_concat(x, rows, length));
    let (x, tape) = x.split_tape();
    let width = x.shape().1;
    let mut out = Vec::with_capacity(rows.len() * width);
    let from = data(&x);
    rows.iter().for_each(|&r| out.extend_from_slice(&from[r as usize * width..][..width]));
    let kept = if T::OWNS_TAPE { rows.to_vec() } else { Vec::new() };
    record!(tape, matrix(out, rows.len() / length, length * width), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        for (row, g) in kept.iter().zip(g.chunks(width)) {
            to[*row as usize * width..][..width].iter_mut().zip(g).for_each(|(t, g)| *t += g);
        }
    })
}

/// The mean of each sentence's token rows: tokens (distinct, width) → (sentences, width). An empty sentence is zero.
pub fn mean<T: Tape<f32, Dev> + 'static>(tokens: Matrix<T>, sentences: &Arc<Sequences>) -> Matrix<T> {
    on_gpu!(|gpu| gpu.mean(tokens, sentences));
    let (x, tape) = tokens.split_tape();
    let (distinct, width) = *x.shape();
    let mut out = vec![0.0; sentences.len() * width];
    let from = data(&x);
    out.par_chunks_mut(width).enumerate().for_each(|(s, out)| {
        let rows = sentences.get(s);
        let scale = 1.0 / rows.len().max(1) as f32;
        vectorise(Accumulate { rows: rows.iter().map(|&r| (r, scale)), from: &from, out });
    });
    let sentences = sentences.clone();
    record!(tape, matrix(out, sentences.len(), width), |grads, g| {
        let sentence_of: Vec<u32> =
            (0..sentences.len()).flat_map(|s| std::iter::repeat_n(s as u32, sentences.length(s))).collect();
        let occurrences = Occurrences::of(sentences.rows.iter().copied(), distinct);
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        to.par_chunks_mut(width).enumerate().for_each(|(token, out)| {
            let rows = occurrences.get(token).iter().map(|&place| {
                let s = sentence_of[place as usize];
                (s, 1.0 / sentences.length(s as usize) as f32)
            });
            vectorise(Accumulate { rows, from: &g, out });
        });
    })
}

/// sign(x) · √|x| of every element of x (rows, width).
pub fn signed_root(x: Matrix) -> Matrix {
    on_gpu!(|gpu| gpu.signed_root(&x));
    let (rows, width) = *x.shape();
    matrix(data(&x).iter().map(|x| x.abs().sqrt().copysign(*x)).collect(), rows, width)
}

/// (x − centre) · inverse, by column: x (rows, width), `centre` and `inverse` (width).
pub fn standardise(x: Matrix, centre: &Vector, inverse: &Vector) -> Matrix {
    on_gpu!(|gpu| gpu.standardise(&x, centre, inverse));
    let (rows, width) = *x.shape();
    let (centre, inverse) = (data1(centre), data1(inverse));
    let scaled = |(i, x): (usize, &f32)| (x - centre[i % width]) * inverse[i % width];
    matrix(data(&x).iter().enumerate().map(scaled).collect(), rows, width)
}

/// Adds to each element of `out` (width) its column of `rows`, each (width), from the first row to the last.
pub fn add_columns(out: &mut [f32], rows: &[&[f32]]) {
    const COLUMNS: usize = 128;
    out.par_chunks_mut(COLUMNS).enumerate().for_each(|(c, out)| {
        vectorise(AddColumns { rows, from: c * COLUMNS, out });
    });
}

struct AddColumns<'a> {
    rows: &'a [&'a [f32]],
    from: usize,
    out: &'a mut [f32],
}

impl Loop for AddColumns<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let mut sum = [0f32; 128];
        let n = self.out.len();
        for row in self.rows {
            sum[..n].iter_mut().zip(&row[self.from..][..n]).for_each(|(s, x)| *s += x);
        }
        self.out.iter_mut().zip(&sum).for_each(|(o, s)| *o += s);
    }
}

/// Adds rows of `from`, each times its factor, to `out`.
struct Accumulate<'a, I> {
    rows: I,
    from: &'a [f32],
    out: &'a mut [f32],
}

impl<I: Iterator<Item = (u32, f32)>> Loop for Accumulate<'_, I> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let width = self.out.len();
        for (row, factor) in self.rows {
            let from = &self.from[row as usize * width..][..width];
            self.out.iter_mut().zip(from).for_each(|(o, x)| *o += factor * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{differences, get, matrix_gradient, noise, probe};

    fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
        matrix(noise(rows * cols, seed), rows, cols)
    }

    #[test]
    fn lookup_leaves_its_gradient_by_row() {
        let table = Table::new(3, noise(15, 1));
        let rows = [4, 1];
        probe(lookup::<OwnedTape<f32, Dev>>(&table, &rows)).backward();
        let [(got, values)] = &table.take_grads()[..] else { panic!("one entry") };
        assert_eq!(got, &rows);
        let at = [table.row(4), table.row(1)].concat();
        differences("rows", &at, values.host(), 1e-2, 1e-3, |x| {
            probe(lookup::<NoneTape>(&Table::new(3, x.to_vec()), &[0, 1])).array()
        });
        assert!(table.take_grads().is_empty());
    }

    #[test]
    fn a_clone_has_gradients_of_its_own_and_a_frozen_table_has_none() {
        let table = Table::new(3, noise(15, 1));
        let mut other = table.clone();
        probe(lookup::<OwnedTape<f32, Dev>>(&other, &[4])).backward();
        assert!(table.take_grads().is_empty());
        assert_eq!(other.take_grads().len(), 1);
        other.rate = Rate::FROZEN;
        probe(lookup::<OwnedTape<f32, Dev>>(&other, &[4])).backward();
        assert!(other.take_grads().is_empty() && !other.clone().rate.trained());
    }

    #[test]
    fn gradients_of_stack_beside_and_select() {
        let (a, b) = (random(3, 2, 1), random(3, 2, 2));
        let traced = || (a.leaky_trace(), b.clone().put_tape(OwnedTape::default()));
        let (x, y) = traced();
        let grads = probe(stack(vec![x, y])).backward();
        matrix_gradient("stack", &b, &grads, 1e-2, 1e-3, |b| {
            probe(stack(vec![a.clone(), b.clone()])).array()
        });
        let (x, y) = traced();
        let grads = probe(hconcat(x, y)).backward();
        matrix_gradient("beside", &a, &grads, 1e-2, 1e-3, |a| probe(hconcat(a.clone(), b.clone())).array());
        let rows = [2, 0, 2];
        let grads = probe(select(a.leaky_trace(), &rows)).backward();
        matrix_gradient("select", &a, &grads, 1e-2, 1e-3, |a| probe(select(a.clone(), &rows)).array());
        let rows = [2, 0, 2, 1];
        let spelled = gather_concat(a.clone(), &rows, 2);
        assert_eq!((*spelled.shape(), get(&spelled, 1, 3)), ((2, 4), get(&a, 1, 1)));
        let grads = probe(gather_concat(a.leaky_trace(), &rows, 2)).backward();
        matrix_gradient("spell", &a, &grads, 1e-2, 1e-3, |a| {
            probe(gather_concat(a.clone(), &rows, 2)).array()
        });
    }

    #[test]
    fn mean_over_sentences_with_repeated_tokens() {
        let x = random(4, 3, 1);
        let mut sentences = Sequences::new();
        sentences.push([0, 1, 0]);
        sentences.push([]);
        sentences.push([3]);
        let sentences = Arc::new(sentences);
        let y = mean(x.clone(), &sentences);
        assert!((get(&y, 0, 1) - (2.0 * get(&x, 0, 1) + get(&x, 1, 1)) / 3.0).abs() < 1e-6);
        assert_eq!(get(&y, 1, 0), 0.0);
        let grads = probe(mean(x.leaky_trace(), &sentences)).backward();
        matrix_gradient("tokens", &x, &grads, 1e-2, 1e-3, |x| probe(mean(x.clone(), &sentences)).array());
    }
}
