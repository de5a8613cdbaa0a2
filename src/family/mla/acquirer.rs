//! Language acquirers: small layers behind every block of a frozen tower, one set per language, in files of their own.

use std::path::Path;

use dfdx::prelude::*;

use crate::checkpoint::{Stored, TensorFile, write_tensors_with};
use crate::config::{AcquireConfig, AcquirerShape, AcquirerStart};
use crate::device::{Dev, Matrix};
use crate::error::Kind;
use crate::init::Init;
use crate::numbers::Format;
use crate::ops::linear::{LinearWeights, blend, linear};
use crate::ops::tape::{data, data1, matrix, vector};
use crate::ops::transformer::{Activation, FeedForwardWeights, Pass, Projection, feed_forward};
use crate::optim::{Parameter, ParameterTree, visit_linear, visit_projection};
use crate::{Error, Result, names};

/// What stands behind one block.
#[derive(Clone)]
pub enum Adapter {
    /// x + W2 · ReLU(W1 · x + b1) + b2
    Mlp(Box<FeedForwardWeights>),
    /// x + W · x + b
    Linear(LinearWeights),
    /// x + W2 · (W1 · x + b1) + b2
    Product(Box<[LinearWeights; 2]>),
}

/// What acquirers are made of, and how they start.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The layers of an adapter.
    pub shape: AcquirerShape,
    /// Width between two layers.
    pub hidden: usize,
    /// The values of their weights at first.
    pub start: AcquirerStart,
}

impl Form {
    /// That of a configuration.
    pub fn of(config: &AcquireConfig) -> Form {
        Form { shape: config.shape, hidden: config.hidden, start: config.start }
    }
}

/// The adapters of a language, block by block.
#[derive(Clone)]
pub struct Acquirer {
    /// Its code.
    pub language: String,
    /// One behind each block, the first block first.
    pub adapters: Vec<Adapter>,
}

/// What names the file as ours, and its tensors' meaning.
const KIND: &str = "acquirer";
const PRODUCT: &str = "product";

impl Adapter {
    fn new(form: &Form, width: usize, init: &mut Init) -> Self {
        // The last layer of what is added to x.
        let last = |inputs: usize, init: &mut Init| match form.start {
            AcquirerStart::Random => init.linear(inputs, width),
            AcquirerStart::Identity => {
                LinearWeights::new(matrix(vec![0.0; width * inputs], width, inputs), vector(vec![0.0; width]))
            }
        };
        let hidden = form.hidden;
        match form.shape {
            AcquirerShape::Mlp => Self::mlp(init.linear(width, hidden), last(hidden, init)),
            AcquirerShape::Linear => Adapter::Linear(last(width, init)),
            AcquirerShape::Product => Self::product(init.linear(width, hidden), last(hidden, init)),
        }
    }

    /// `inner` (hidden, width), `outer` (width, hidden).
    pub fn mlp(inner: LinearWeights, outer: LinearWeights) -> Self {
        Adapter::Mlp(Box::new(FeedForwardWeights {
            norm: None,
            inner: Projection::new(inner),
            activation: Activation::Relu,
            outer: Projection::new(outer),
        }))
    }

    /// `inner` (hidden, width), `outer` (width, hidden).
    pub fn product(inner: LinearWeights, outer: LinearWeights) -> Self {
        Adapter::Product(Box::new([inner, outer]))
    }

    /// x (tokens, width) → (tokens, width).
    fn forward<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, pass: Pass) -> Matrix<T> {
        match self {
            Adapter::Mlp(weights) => feed_forward(x, weights, pass),
            Adapter::Product(weights) => {
                let inner = linear(x.with_empty_tape(), &weights[0], pass.precision);
                blend(x, 1.0, linear(inner, &weights[1], pass.precision), 1.0)
            }
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
            Adapter::Product(w) => vec![(".inner", &w[0]), (".outer", &w[1])],
        }
    }
}

/// Every parameter by name: `acquirer.LANGUAGE.BLOCK`, and the name of the layer.
impl ParameterTree for Acquirer {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        for (n, adapter) in self.adapters.iter_mut().enumerate() {
            let name = format!("acquirer.{}.{n}", self.language);
            match adapter {
                Adapter::Mlp(w) => {
                    visit_projection(&format!("{name}.inner"), &mut w.inner, f);
                    visit_projection(&format!("{name}.outer"), &mut w.outer, f);
                }
                Adapter::Linear(w) => visit_linear(&name, w, f),
                Adapter::Product(w) => {
                    let [inner, outer] = &mut **w;
                    visit_linear(&format!("{name}.inner"), inner, f);
                    visit_linear(&format!("{name}.outer"), outer, f);
                }
            }
        }
    }
}

impl Acquirer {
    /// `width` and `blocks` are the tower's.
    pub fn new(language: &str, form: &Form, (width, blocks): (usize, usize), init: &mut Init) -> Self {
        let adapters = (0..blocks).map(|_| Adapter::new(form, width, init)).collect();
        Acquirer { language: language.to_string(), adapters }
    }

    /// x (tokens, width) as it comes out of a block → what goes on.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, block: usize, x: Matrix<T>, pass: Pass) -> Matrix<T> {
        self.adapters[block].forward(x, pass)
    }

    /// How many numbers the adapters of all blocks have.
    pub fn parameters(&self) -> usize {
        let layers = self.adapters.iter().flat_map(Adapter::layers);
        layers.map(|(_, w)| data(&w.weight).len() + data1(&w.bias).len()).sum()
    }

    /// Those without biases.
    pub fn weights(&self) -> usize {
        self.adapters.iter().flat_map(Adapter::layers).map(|(_, w)| data(&w.weight).len()).sum()
    }

    /// Writes a file of its own; `base` is the hash of what it was trained on.
    ///
    /// # Errors
    /// Run, where the file cannot be written.
    pub fn write(&self, path: &Path, base: &str) -> Result<()> {
        self.write_as(Format::F32, path, base)
    }

    /// As [`Self::write`], in a format.
    ///
    /// # Errors
    /// Run, where the file cannot be written.
    pub fn write_as(&self, format: Format, path: &Path, base: &str) -> Result<()> {
        let mut tensors = Vec::new();
        for (n, adapter) in self.adapters.iter().enumerate() {
            for (part, w) in adapter.layers() {
                let (outputs, inputs) = *w.weight.shape();
                let name = |of: &str| format!("blocks.{n}{part}.{of}");
                tensors.extend(Stored::of(format, &name("weight"), &[outputs, inputs], data(&w.weight)));
                tensors.extend(Stored::of(format, &name("bias"), &[outputs], data1(&w.bias)));
            }
        }
        let mut about = vec![("kind", KIND), ("language", &self.language), ("base", base)];
        // The names of the tensors tell the other shapes apart.
        if self.adapters.iter().any(|adapter| matches!(adapter, Adapter::Product(_))) {
            about.push(("shape", PRODUCT));
        }
        write_tensors_with(path, tensors, &about)
    }

    /// Reads a file for the tower with `width` and `blocks` that has the hash `base`.
    ///
    /// # Errors
    /// Data: no acquirer, one that is not whole, or one of another base.
    pub fn read(path: &Path, (width, blocks): (usize, usize), base: &str) -> Result<Acquirer> {
        let file = TensorFile::open(path)?;
        let ours = file.about("kind").as_deref() == Some(KIND) && file.about("tinyglot").is_some();
        let about = |key: &str| file.about(key).filter(|_| ours);
        let (Some(language), Some(theirs)) = (about("language"), about("base")) else {
            return Err(Error::data("is no acquirer")
                .at(path)
                .hint("give a file that `tinyglot acquirer export` wrote"));
        };
        // It becomes the name of a file, and part of the names of parameters.
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
            Ok(LinearWeights::new(matrix(weight, shape[0], shape[1]), vector(bias)))
        };
        let product = match about("shape").as_deref() {
            None => false,
            Some(PRODUCT) => true,
            Some(other) => {
                return Err(Error::data(format!("has acquirers of the shape `{other}`"))
                    .at(path)
                    .hint("a later tinyglot wrote it; use that one"));
            }
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
            let outer = layer(&format!("{name}.outer"), [Some(width), Some(hidden)])?;
            Ok(if product { Adapter::product(inner, outer) } else { Adapter::mlp(inner, outer) })
        };
        let adapters = (0..blocks).map(adapter).collect::<Result<_>>()?;
        Ok(Acquirer { language, adapters })
    }
}
