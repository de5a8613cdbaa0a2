//! Language acquirers: small layers behind every block of a frozen tower, one set per language, in files of their own.

use std::path::Path;

use dfdx::prelude::*;

use crate::checkpoint::{Stored, TensorFile, write_tensors_with};
use crate::config::AcquirerShape;
use crate::device::{Dev, Matrix};
use crate::error::Kind;
use crate::init::Init;
use crate::ops::linear::{LinearWeights, blend, linear};
use crate::ops::tape::{data, data1, matrix, vector};
use crate::ops::transformer::{Activation, FeedForwardWeights, Pass, Projection, feed_forward};
use crate::optim::Parameter;
use crate::optim::visit_linear;
use crate::{Error, Result, names};

/// What stands behind one block.
#[derive(Clone)]
pub enum Adapter {
    /// x + W2 · ReLU(W1 · x + b1) + b2
    Mlp(Box<FeedForwardWeights>),
    /// x + W · x + b
    Linear(LinearWeights),
}

/// The adapters of a language, block by block.
#[derive(Clone)]
pub struct Acquirer {
    pub language: String,
    pub adapters: Vec<Adapter>,
}

/// What names the file as ours, and its tensors' meaning.
const KIND: &str = "acquirer";

impl Adapter {
    /// One that gives x itself: what is added starts at 0.
    fn new(shape: AcquirerShape, width: usize, hidden: usize, init: &mut Init) -> Self {
        let zeros = |inputs: usize| LinearWeights {
            weight: matrix(vec![0.0; width * inputs], width, inputs),
            bias: vector(vec![0.0; width]),
        };
        match shape {
            AcquirerShape::Mlp => Self::mlp(init.linear(width, hidden), zeros(hidden)),
            AcquirerShape::Linear => Adapter::Linear(zeros(width)),
        }
    }

    /// `inner` (hidden, width), `outer` (width, hidden).
    pub fn mlp(inner: LinearWeights, outer: LinearWeights) -> Self {
        Adapter::Mlp(Box::new(FeedForwardWeights {
            norm: None,
            inner: Projection::trained(inner),
            activation: Activation::Relu,
            outer: Projection::trained(outer),
        }))
    }

    fn forward<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, pass: Pass) -> Matrix<T> {
        match self {
            Adapter::Mlp(weights) => feed_forward(x, weights, pass),
            Adapter::Linear(weights) => {
                let y = linear(x.with_empty_tape(), weights, pass.precision);
                blend(x, 1.0, y, 1.0)
            }
        }
    }

    fn layers(&self) -> Vec<(&'static str, &LinearWeights)> {
        match self {
            Adapter::Mlp(w) => vec![(".inner", &w.inner.weights), (".outer", &w.outer.weights)],
            Adapter::Linear(w) => vec![("", w)],
        }
    }
}

impl Acquirer {
    /// `width` and `blocks` are the tower's; `hidden` is for the MLP.
    pub fn new(
        language: &str,
        shape: AcquirerShape,
        (width, blocks): (usize, usize),
        hidden: usize,
        init: &mut Init,
    ) -> Self {
        let adapters = (0..blocks).map(|_| Adapter::new(shape, width, hidden, init)).collect();
        Acquirer { language: language.to_string(), adapters }
    }

    /// x (tokens, width) as it comes out of a block → what goes on.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, block: usize, x: Matrix<T>, pass: Pass) -> Matrix<T> {
        self.adapters[block].forward(x, pass)
    }

    pub fn parameters(&self) -> usize {
        let layers = self.adapters.iter().flat_map(Adapter::layers);
        layers.map(|(_, w)| data(&w.weight).len() + data1(&w.bias).len()).sum()
    }

    /// Those without biases.
    pub fn weights(&self) -> usize {
        self.adapters.iter().flat_map(Adapter::layers).map(|(_, w)| data(&w.weight).len()).sum()
    }

    pub fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        for (n, adapter) in self.adapters.iter_mut().enumerate() {
            let name = format!("acquirer.{}.{n}", self.language);
            match adapter {
                Adapter::Mlp(w) => {
                    visit_linear(&format!("{name}.inner"), &mut w.inner.weights, f);
                    visit_linear(&format!("{name}.outer"), &mut w.outer.weights, f);
                }
                Adapter::Linear(w) => visit_linear(&name, w, f),
            }
        }
    }

    /// Writes a file of its own; `base` is the hash of what it was trained on.
    pub fn write(&self, path: &Path, base: &str) -> Result<()> {
        let mut tensors = Vec::new();
        for (n, adapter) in self.adapters.iter().enumerate() {
            for (part, w) in adapter.layers() {
                let (outputs, inputs) = *w.weight.shape();
                let name = |of: &str| format!("blocks.{n}{part}.{of}");
                tensors.push(Stored::floats(&name("weight"), &[outputs, inputs], data(&w.weight)));
                tensors.push(Stored::floats(&name("bias"), &[outputs], data1(&w.bias)));
            }
        }
        let about = [("kind", KIND), ("language", &self.language), ("base", base)];
        write_tensors_with(path, tensors, &about)
    }

    /// Reads a file for the tower with `width` and `blocks` that has the hash `base`.
    ///
    /// # Errors
    /// Data: no acquirer, one that is not whole, or one of another base.
    pub fn read(path: &Path, (width, blocks): (usize, usize), base: &str) -> Result<Acquirer> {
        let file = TensorFile::open(path)?;
        let about = |key: &str| file.about(key).filter(|_| file.about("kind").as_deref() == Some(KIND));
        let (Some(language), Some(theirs)) = (about("language"), about("base")) else {
            return Err(Error::data("is no acquirer")
                .at(path)
                .hint("give a file that `tinyglot acquirer export` wrote"));
        };
        names::code(&language, Kind::Data).map_err(|e| e.at(path))?;
        if theirs != base {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let what = format!(
                "is an acquirer for another base: its hash is {}, that of this one {}",
                short(&theirs),
                short(base)
            );
            return Err(Error::data(what)
                .at(path)
                .hint("add it to the run, or a copy of it, that it was trained in"));
        }
        let layer = |name: &str, expected: [Option<usize>; 2]| -> Result<LinearWeights> {
            let (weight, shape) = file.floats(&format!("{name}.weight"))?;
            let (bias, length) = file.floats(&format!("{name}.bias"))?;
            let fits = shape.len() == 2
                && length == shape[..1]
                && expected.iter().zip(&shape).all(|(want, n)| want.is_none_or(|w| w == *n));
            if !fits {
                let what = format!("`{name}` has the shape {shape:?}, which fits no tower of width {width}");
                return Err(Error::data(what).at(path));
            }
            Ok(LinearWeights { weight: matrix(weight, shape[0], shape[1]), bias: vector(bias) })
        };
        let names = file.names();
        let linear = names.iter().any(|n| n == "blocks.0.weight");
        let adapter = |n: usize| -> Result<Adapter> {
            let name = format!("blocks.{n}");
            if linear {
                return Ok(Adapter::Linear(layer(&name, [Some(width), Some(width)])?));
            }
            let inner = layer(&format!("{name}.inner"), [None, Some(width)])?;
            let hidden = inner.weight.shape().0;
            Ok(Adapter::mlp(inner, layer(&format!("{name}.outer"), [Some(width), Some(hidden)])?))
        };
        let adapters = (0..blocks).map(adapter).collect::<Result<_>>()?;
        Ok(Acquirer { language, adapters })
    }
}
