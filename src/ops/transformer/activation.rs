//! The activations of transformers, in place, and their slopes; and as an operation of their own.

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::ops::on_gpu;
use crate::ops::simd::{Loop, exp, fma, sigmoid, tanh, vectorise};
use crate::ops::tape::{data, matrix, on_host, record};

/// What stands between the two layers of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// x · σ(1.702 x) (Radford et al. 2021: CLIP)
    QuickGelu,
    /// x · Φ(x) with the normal distribution Φ (Hendrycks & Gimpel 2016)
    Gelu,
    /// Their approximation ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    /// tanh x
    Tanh,
}

impl Activation {
    /// Replaces every x by f(x).
    pub fn apply(self, x: &mut [f32]) {
        vectorise(Apply { activation: self, x });
    }

    /// Multiplies every gradient by f′(x): `x` and `g` are equally long.
    pub fn pull(self, x: &[f32], g: &mut [f32]) {
        assert_eq!(x.len(), g.len(), "a gradient for every value");
        vectorise(Pull { activation: self, x, g });
    }
}

/// f(x) of every element of x (rows, width).
pub fn activate<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, activation: Activation) -> Matrix<T> {
    on_gpu!(|gpu| gpu.activate(x, activation));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let mut out = data(&x).into_owned();
    activation.apply(&mut out);
    record!(tape, matrix(out, rows, width), |grads, g| {
        let mut slopes = g;
        activation.pull(&data(&x), &mut slopes);
        on_host(grads.get_or_alloc_mut(&x)?).iter_mut().zip(&slopes).for_each(|(t, d)| *t += d);
    })
}

struct Apply<'a> {
    activation: Activation,
    x: &'a mut [f32],
}

impl Loop for Apply<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match self.activation {
            Activation::Relu => self.x.iter_mut().for_each(|x| *x = x.max(0.0)),
            Activation::QuickGelu => self.x.iter_mut().for_each(|x| *x *= sigmoid::<FMA>(1.702 * *x)),
            Activation::Gelu => self.x.iter_mut().for_each(|x| *x *= normal::<FMA>(*x).0),
            Activation::GeluTanh => {
                self.x.iter_mut().for_each(|x| *x *= 0.5 + 0.5 * tanh::<FMA>(cubic(*x).0));
            }
            Activation::Tanh => self.x.iter_mut().for_each(|x| *x = tanh::<FMA>(*x)),
        }
    }
}

struct Pull<'a> {
    activation: Activation,
    x: &'a [f32],
    g: &'a mut [f32],
}

impl Loop for Pull<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let pairs = self.g.iter_mut().zip(self.x);
        match self.activation {
            Activation::Relu => pairs.for_each(|(g, &x)| *g = if x > 0.0 { *g } else { 0.0 }),
            Activation::QuickGelu => pairs.for_each(|(g, &x)| {
                let s = sigmoid::<FMA>(1.702 * x);
                *g *= s * fma::<FMA>(1.702 * x, 1.0 - s, 1.0);
            }),
            Activation::Gelu => pairs.for_each(|(g, &x)| {
                let (share, density) = normal::<FMA>(x);
                *g *= fma::<FMA>(x, density, share);
            }),
            Activation::GeluTanh => pairs.for_each(|(g, &x)| {
                let (inner, slope) = cubic(x);
                let t = tanh::<FMA>(inner);
                *g *= 0.5 * (1.0 + t + x * (1.0 - t * t) * slope);
            }),
            Activation::Tanh => pairs.for_each(|(g, &x)| {
                let t = tanh::<FMA>(x);
                *g *= 1.0 - t * t;
            }),
        }
    }
}

/// Φ(x) and φ(x): erf by Abramowitz & Stegun 1964, 7.1.26, to 1.5e-7.
#[inline(always)]
fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let bell = exp::<FMA>(-0.5 * x * x);
    let t = 1.0 / fma::<FMA>(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, x.abs(), 1.0);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = fma::<FMA>(p, t, c);
    }
    let half = 0.5 * (1.0 - p * t * bell);
    (0.5 + half.copysign(x), bell * 0.398_942_3)
}

/// √(2/π) (x + 0.044715 x³) and its slope.
#[inline(always)]
fn cubic(x: f32) -> (f32, f32) {
    const ROOT: f32 = 0.797_884_6;
    (ROOT * (x + 0.044_715 * x * x * x), ROOT * (1.0 + 0.134_145 * x * x))
}
