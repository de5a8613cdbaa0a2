//! One time step of one prefix, forward and backward, for the cells of the recurrent operation.

use crate::ops::simd::{fma, sigmoid, tanh};

/// What differs between GRU and LSTM. A state is the output and, for the LSTM, the cell's state behind it.
pub trait Cell: 'static {
    const GATES: usize;
    /// How many vectors a state has.
    const PARTS: usize;
    /// How many leading gates add both biases up; those after them keep the recurrent one apart.
    const SHARED: usize;

    /// `bias`: the recurrent bias of the gates after the shared ones.
    fn forward<const FMA: bool>(step: Forward, bias: &[f32]);
    /// With `ADD` to what the gradients of product and old state hold, otherwise in its place.
    fn backward<const FMA: bool, const ADD: bool>(step: Backward);
}

/// Rows of one step: gates have `GATES · hidden` floats, states `PARTS · hidden`.
pub struct Forward<'a> {
    /// The projected token, with the input's bias and the shared gates' recurrent one.
    pub input: &'a [f32],
    /// The recurrent product of the old state.
    pub product: &'a [f32],
    pub state: &'a [f32],
    pub gates: &'a mut [f32],
    pub new_state: &'a mut [f32],
}

/// As [`Forward`], back.
pub struct Backward<'a> {
    /// Come as forward left them, leave as the gradients of the projected token.
    pub gates: &'a mut [f32],
    /// The recurrent product of the gates after the shared ones, with its bias.
    pub product: &'a [f32],
    pub state: &'a [f32],
    /// The gradient of the new state.
    pub grad: &'a [f32],
    /// The gradient of the recurrent product.
    pub product_grad: &'a mut [f32],
    /// The gradient of the old state without what passes through the product.
    pub state_grad: &'a mut [f32],
}

fn parts<const N: usize>(row: &mut [f32], width: usize) -> [&mut [f32]; N] {
    let mut rest = row;
    std::array::from_fn(|_| {
        let (part, tail) = std::mem::take(&mut rest).split_at_mut(width);
        rest = tail;
        part
    })
}

/// r, z = σ(…), u = U h + c, n = tanh(W x + b + r ⊙ u), h' = n + z ⊙ (h − n). Gates: r, z, n.
pub struct GruCell;

impl Cell for GruCell {
    const GATES: usize = 3;
    const PARTS: usize = 1;
    const SHARED: usize = 2;

    #[inline(always)]
    fn forward<const FMA: bool>(step: Forward, bias: &[f32]) {
        let h = step.state.len();
        let [r, z, n] = parts::<3>(step.gates, h);
        let (ir, iz, inn) = (&step.input[..h], &step.input[h..2 * h], &step.input[2 * h..3 * h]);
        let (ur, uz, un) = (&step.product[..h], &step.product[h..2 * h], &step.product[2 * h..3 * h]);
        let (old, new, bias) = (&step.state[..h], &mut step.new_state[..h], &bias[..h]);
        for j in 0..h {
            r[j] = sigmoid::<FMA>(ir[j] + ur[j]);
            z[j] = sigmoid::<FMA>(iz[j] + uz[j]);
            n[j] = tanh::<FMA>(fma::<FMA>(r[j], un[j] + bias[j], inn[j]));
            new[j] = fma::<FMA>(z[j], old[j] - n[j], n[j]);
        }
    }

    #[inline(always)]
    fn backward<const FMA: bool, const ADD: bool>(step: Backward) {
        let h = step.state.len();
        let [r, z, n] = parts::<3>(step.gates, h);
        let [dr, dz, du] = parts::<3>(step.product_grad, h);
        let (u, old, g, d) =
            (&step.product[..h], &step.state[..h], &step.grad[..h], &mut step.state_grad[..h]);
        for j in 0..h {
            let dn = g[j] * (1.0 - z[j]) * (1.0 - n[j] * n[j]);
            d[j] = if ADD { fma::<FMA>(g[j], z[j], d[j]) } else { g[j] * z[j] };
            z[j] *= g[j] * (old[j] - n[j]) * (1.0 - z[j]);
            du[j] = if ADD { fma::<FMA>(dn, r[j], du[j]) } else { dn * r[j] };
            r[j] *= dn * u[j] * (1.0 - r[j]);
            n[j] = dn;
            dr[j] = if ADD { dr[j] + r[j] } else { r[j] };
            dz[j] = if ADD { dz[j] + z[j] } else { z[j] };
        }
    }
}

/// i, f, o = σ(…), g = tanh(…), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'). Gates: i, f, g, o.
pub struct LstmCell;

impl Cell for LstmCell {
    const GATES: usize = 4;
    const PARTS: usize = 2;
    const SHARED: usize = 4;

    #[inline(always)]
    fn forward<const FMA: bool>(step: Forward, _: &[f32]) {
        let h = step.state.len() / 2;
        let [i, f, g, o] = parts::<4>(step.gates, h);
        let [new, c] = parts::<2>(step.new_state, h);
        let (x, u, old) = (&step.input[..4 * h], &step.product[..4 * h], &step.state[h..2 * h]);
        for j in 0..h {
            i[j] = sigmoid::<FMA>(x[j] + u[j]);
            f[j] = sigmoid::<FMA>(x[h + j] + u[h + j]);
            g[j] = tanh::<FMA>(x[2 * h + j] + u[2 * h + j]);
            o[j] = sigmoid::<FMA>(x[3 * h + j] + u[3 * h + j]);
            c[j] = fma::<FMA>(f[j], old[j], i[j] * g[j]);
            new[j] = o[j] * tanh::<FMA>(c[j]);
        }
    }

    #[inline(always)]
    fn backward<const FMA: bool, const ADD: bool>(step: Backward) {
        let h = step.state.len() / 2;
        let [i, f, g, o] = parts::<4>(step.gates, h);
        let [di, df, dg, d_o] = parts::<4>(step.product_grad, h);
        let [through, d_old] = parts::<2>(step.state_grad, h);
        if !ADD {
            through.fill(0.0); // an old output counts through the product alone
        }
        let old = &step.state[h..2 * h];
        let (dh, dc) = (&step.grad[..h], &step.grad[h..2 * h]);
        for j in 0..h {
            let t = tanh::<FMA>(fma::<FMA>(f[j], old[j], i[j] * g[j]));
            let d = fma::<FMA>(dh[j] * o[j], 1.0 - t * t, dc[j]);
            d_old[j] = if ADD { fma::<FMA>(d, f[j], d_old[j]) } else { d * f[j] };
            let (gi, gg) = (d * g[j] * i[j] * (1.0 - i[j]), d * i[j] * (1.0 - g[j] * g[j]));
            o[j] *= dh[j] * t * (1.0 - o[j]);
            f[j] *= d * old[j] * (1.0 - f[j]);
            i[j] = gi;
            g[j] = gg;
            di[j] = if ADD { di[j] + i[j] } else { i[j] };
            df[j] = if ADD { df[j] + f[j] } else { f[j] };
            dg[j] = if ADD { dg[j] + g[j] } else { g[j] };
            d_o[j] = if ADD { d_o[j] + o[j] } else { o[j] };
        }
    }
}
