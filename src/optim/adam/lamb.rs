//! A step of LAMB (You et al. 2020, algorithm 2).

use rayon::prelude::*;

use super::{AdamState, BLOCK, Rule, squares};
use crate::ops::rows::Table;
use crate::ops::simd::{Loop, vectorise};

/// The moments of a stretch of parameters after a step, and the step before the trust ratio: r = m̂ / (√v̂ + ε) + λ p.
struct Direction<'a> {
    rule: &'a Rule,
    p: &'a [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    r: &'a mut [f32],
}

impl Loop for Direction<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Direction { rule, p, g, m, v, r } = self;
        for ((((p, g), m), v), r) in p.iter().zip(g).zip(m).zip(v).zip(r) {
            let g = g * rule.scale;
            *m = rule.b1 * *m + (1.0 - rule.b1) * g;
            *v = rule.b2 * *v + (1.0 - rule.b2) * g * g;
            *r = *m / rule.one / (v.sqrt() * rule.root + rule.epsilon) + rule.weight_decay * p;
        }
    }
}

impl Rule {
    /// One step of LAMB for a whole tensor.
    pub(super) fn lamb(&self, p: &mut [f32], g: &[f32], state: &mut AdamState) {
        let (m, v) = (state.m.host_mut(), state.v.host_mut());
        m.resize(p.len(), 0.0);
        v.resize(p.len(), 0.0);
        let mut r = vec![0.0; p.len()];
        let blocks = p.par_chunks(BLOCK).zip(g.par_chunks(BLOCK)).zip(r.par_chunks_mut(BLOCK));
        let blocks = blocks.zip(m.par_chunks_mut(BLOCK)).zip(v.par_chunks_mut(BLOCK));
        blocks.for_each(|((((p, g), r), m), v)| vectorise(Direction { rule: self, p, g, m, v, r }));
        let (own, step) = (squares(p).sqrt(), squares(&r).sqrt());
        let trust = if own > 0.0 && step > 0.0 { (own / step) as f32 } else { 1.0 };
        let rate = self.rate * self.one * trust;
        p.par_chunks_mut(BLOCK).zip(r.par_chunks(BLOCK)).for_each(|(p, r)| {
            p.iter_mut().zip(r).for_each(|(p, r)| *p -= rate * r);
        });
    }

    /// As [`Self::lamb`], of a table of whose rows some have a gradient.
    pub(super) fn lamb_table(
        &self,
        table: &mut Table,
        rows: &[u32],
        values: &[f32],
        state: &mut AdamState,
        step: usize,
    ) {
        let width = table.width;
        let mut g = vec![0.0; table.data().len()];
        for (&row, values) in rows.iter().zip(values.chunks(width)) {
            g[row as usize * width..][..width].copy_from_slice(values);
        }
        self.lamb(table.data_mut(), &g, state);
        state.last = vec![step as u32; table.rows()];
    }
}
