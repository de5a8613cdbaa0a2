//! One time step of one sentence, forward and backward, for the cells of the recurrent operation.

use crate::ops::simd::{fma, sigmoid, tanh};

/// What differs between GRU and LSTM. A row of saved values has `SLOTS` parts of `hidden` floats; its first `GATES` parts
/// receive the recurrent product before `forward` and hold the gradients of its result after `backward`.
pub trait Cell: 'static {
    const GATES: usize;
    const SLOTS: usize;
    /// Whether a second state runs along (the LSTM's cell state).
    const CARRY: bool;
    /// The parts whose gradients belong to the input projection's gates.
    const INPUT_SLOTS: &'static [usize];
    /// How many leading gates have the same gradient on both sides, and so the same bias gradient.
    const SHARED: usize;

    /// `input`: the projected token (GATES parts, input bias and the shared gates' recurrent bias included);
    /// `bias`: the recurrent bias of the gates after the shared ones.
    fn forward<const FMA: bool>(step: Forward, bias: &[f32]);
    fn backward<const FMA: bool>(step: Backward);
}

/// Slices of one row; all but `slots` and `input` have `hidden` floats.
pub struct Forward<'a> {
    pub input: &'a [f32],
    pub slots: &'a mut [f32],
    pub state: &'a [f32],
    pub carry: &'a [f32],
    pub new_state: &'a mut [f32],
    pub new_carry: &'a mut [f32],
}

/// `grad` comes as the gradient of the new state and leaves as the direct part of the old state's;
/// `grad_carry` likewise for the second state.
pub struct Backward<'a> {
    pub slots: &'a mut [f32],
    pub state: &'a [f32],
    pub carry: &'a [f32],
    pub grad: &'a mut [f32],
    pub grad_carry: &'a mut [f32],
}

fn parts<const N: usize>(row: &mut [f32]) -> [&mut [f32]; N] {
    let width = row.len() / N;
    let mut rest = row;
    std::array::from_fn(|_| {
        let (part, tail) = std::mem::take(&mut rest).split_at_mut(width);
        rest = tail;
        part
    })
}

/// r, z = σ(…), n = tanh(W x + b + r ⊙ (U h + c)), h' = n + z ⊙ (h − n). Slots: r, z, U h + c, n.
pub struct GruCell;

impl Cell for GruCell {
    const GATES: usize = 3;
    const SLOTS: usize = 4;
    const CARRY: bool = false;
    const INPUT_SLOTS: &'static [usize] = &[0, 1, 3];
    const SHARED: usize = 2;

    #[inline(always)]
    fn forward<const FMA: bool>(step: Forward, bias: &[f32]) {
        let h = step.state.len();
        let [r, z, u, n] = parts::<4>(step.slots);
        let (ir, iz, inn) = (&step.input[..h], &step.input[h..2 * h], &step.input[2 * h..3 * h]);
        let (r, z, u, n) = (&mut r[..h], &mut z[..h], &mut u[..h], &mut n[..h]);
        let (old, new, bias) = (&step.state[..h], &mut step.new_state[..h], &bias[..h]);
        for j in 0..h {
            r[j] = sigmoid::<FMA>(ir[j] + r[j]);
            z[j] = sigmoid::<FMA>(iz[j] + z[j]);
            u[j] += bias[j];
            n[j] = tanh::<FMA>(fma::<FMA>(r[j], u[j], inn[j]));
            new[j] = fma::<FMA>(z[j], old[j] - n[j], n[j]);
        }
    }

    #[inline(always)]
    fn backward<const FMA: bool>(step: Backward) {
        let h = step.state.len();
        let [r, z, u, n] = parts::<4>(step.slots);
        let (r, z, u, n) = (&mut r[..h], &mut z[..h], &mut u[..h], &mut n[..h]);
        let (old, g) = (&step.state[..h], &mut step.grad[..h]);
        for j in 0..h {
            let dn = g[j] * (1.0 - z[j]) * (1.0 - n[j] * n[j]);
            let dz = g[j] * (old[j] - n[j]) * z[j] * (1.0 - z[j]);
            let dr = dn * u[j] * r[j] * (1.0 - r[j]);
            g[j] *= z[j];
            u[j] = dn * r[j];
            n[j] = dn;
            r[j] = dr;
            z[j] = dz;
        }
    }
}

/// i, f, o = σ(…), g = tanh(…), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'). Slots: i, f, g, o.
pub struct LstmCell;

impl Cell for LstmCell {
    const GATES: usize = 4;
    const SLOTS: usize = 4;
    const CARRY: bool = true;
    const INPUT_SLOTS: &'static [usize] = &[0, 1, 2, 3];
    const SHARED: usize = 4;

    #[inline(always)]
    fn forward<const FMA: bool>(step: Forward, _: &[f32]) {
        let h = step.state.len();
        let [i, f, g, o] = parts::<4>(step.slots);
        let (i, f, g, o) = (&mut i[..h], &mut f[..h], &mut g[..h], &mut o[..h]);
        let x = &step.input[..4 * h];
        let (old, c, new) = (&step.carry[..h], &mut step.new_carry[..h], &mut step.new_state[..h]);
        for j in 0..h {
            i[j] = sigmoid::<FMA>(x[j] + i[j]);
            f[j] = sigmoid::<FMA>(x[h + j] + f[j]);
            g[j] = tanh::<FMA>(x[2 * h + j] + g[j]);
            o[j] = sigmoid::<FMA>(x[3 * h + j] + o[j]);
            c[j] = fma::<FMA>(f[j], old[j], i[j] * g[j]);
            new[j] = o[j] * tanh::<FMA>(c[j]);
        }
    }

    #[inline(always)]
    fn backward<const FMA: bool>(step: Backward) {
        let h = step.state.len();
        let [i, f, g, o] = parts::<4>(step.slots);
        let (i, f, g, o) = (&mut i[..h], &mut f[..h], &mut g[..h], &mut o[..h]);
        let (old, dh, dc) = (&step.carry[..h], &mut step.grad[..h], &mut step.grad_carry[..h]);
        for j in 0..h {
            let t = tanh::<FMA>(fma::<FMA>(f[j], old[j], i[j] * g[j]));
            let d = fma::<FMA>(dh[j] * o[j], 1.0 - t * t, dc[j]);
            dc[j] = d * f[j];
            let (di, dg) = (d * g[j] * i[j] * (1.0 - i[j]), d * i[j] * (1.0 - g[j] * g[j]));
            o[j] = dh[j] * t * o[j] * (1.0 - o[j]);
            f[j] = d * old[j] * f[j] * (1.0 - f[j]);
            i[j] = di;
            g[j] = dg;
            dh[j] = 0.0;
        }
    }
}
