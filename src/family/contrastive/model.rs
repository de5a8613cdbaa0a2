//! A text encoder and picture features, each with what takes it to the joint space.

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::Result;
use crate::config::{Config, ContrastiveConfig, PictureHead, Precision, TrainedPart};
use crate::corpus::{PictureSource, same_width};
use crate::device::{Dev, Matrix, Vector};
use crate::eval::{DualEncoder, Parameters, Sentences};
use crate::image::{ImageBranch, embed_images};
use crate::init::Init;
use crate::loss::scale::log_scale;
use crate::ops::batch_norm::dropout;
use crate::ops::leaf::{Leaf, Rate};
use crate::ops::linear::{LinearWeights, linear, linear_of_data, unit_rows};
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, matrix};
use crate::ops::transformer::{Activation, Pass, activate};
use crate::optim::{Parameter, ParameterTree, freeze, set_rates, visit_linear};
use crate::tower::{Encoded, Tower, TowerTokenizer, by_length};

/// A text encoder and pictures in one space.
pub struct Contrastive {
    /// The encoder; its own projection, where its checkpoint has one, is part of it.
    pub tower: Tower,
    /// What makes token ids of texts.
    pub tokenizer: TowerTokenizer,
    /// From the pooled state to the joint space: where texts meet pictures; and where they meet texts, if that is another.
    heads: Vec<Head>,
    pictures: Pictures,
    /// log 1/τ of the contrast with pictures and of that between texts, where they are trained: (1) each
    pub scales: [Option<Leaf<Vector>>; 2],
    /// Width of the picture features.
    pub features: usize,
    unit: bool,
    dropout: f32,
    precision: Precision,
    recompute: bool,
}

/// Layers with ReLU between them.
struct Head(Vec<LinearWeights>);

impl Head {
    fn new(layers: usize, [inputs, outputs]: [usize; 2], init: &mut Init) -> Head {
        Head((1..=layers).map(|n| init.linear(inputs, if n == layers { outputs } else { inputs })).collect())
    }

    /// x (rows, inputs) → (rows, outputs)
    fn forward<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, precision: Precision) -> Matrix<T> {
        let (first, rest) = self.0.split_first().expect("a layer");
        rest.iter().fold(linear(x, first, precision), |x, layer| {
            linear(activate(x, Activation::Relu), layer, precision)
        })
    }
}

/// What takes features to the joint space.
enum Pictures {
    Linear(LinearWeights),
    Branch(Box<ImageBranch>),
}

/// Whose vectors of sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meets {
    /// To be compared with pictures.
    Pictures,
    /// To be compared with sentences.
    Texts,
}

/// Numbers of the layers beside the encoder, and those of them that queries need, counted without making them; `states` is the width of the
/// encoder's vectors.
pub fn layers(config: &Config, states: usize, features: usize) -> [u128; 2] {
    let contrastive = config.contrastive();
    let joint = config.text().joint as u128;
    let (states, features) = (states as u128, features as u128);
    let head = (contrastive.head_layers as u128 - 1) * states * (states + 1) + joint * (states + 1);
    let hidden = config.image().hidden as u128;
    let pictures = match contrastive.pictures {
        PictureHead::Linear => joint * (features + 1),
        PictureHead::Mlp => hidden * (features + 3) + joint * (hidden + 1),
    };
    let heads = if contrastive.shared_head { 1 } else { 2 };
    let scales: u128 = scales(contrastive).into_iter().sum();
    [heads * head + pictures + scales, head + pictures]
}

/// Temperatures that are trained, as numbers of parameters.
fn scales(contrastive: &ContrastiveConfig) -> [u128; 2] {
    [contrastive.image_text.learn_temperature, contrastive.text_text.learn_temperature].map(u128::from)
}

impl Contrastive {
    /// New layers around an encoder, thawed as the configuration says; `features` is the width of the picture features.
    pub fn new(config: &Config, tower: Tower, tokenizer: TowerTokenizer, features: usize, seed: u64) -> Self {
        let (contrastive, joint) = (config.contrastive(), config.text().joint);
        let (precision, mut init) = (config.train().precision, Init::new(seed));
        let sizes = [tower.outputs(), joint];
        let heads = if contrastive.shared_head { 1 } else { 2 };
        let heads = (0..heads).map(|_| Head::new(contrastive.head_layers, sizes, &mut init)).collect();
        let pictures = match contrastive.pictures {
            PictureHead::Linear => Pictures::Linear(init.linear(features, joint)),
            PictureHead::Mlp => {
                let branch = ImageBranch::new(config.image(), features, joint, precision, &mut init);
                Pictures::Branch(Box::new(branch))
            }
        };
        let scale = |learn: bool, temperature: f32| learn.then(|| Leaf::trained(log_scale(temperature)));
        let (image_text, text_text) = (&contrastive.image_text, &contrastive.text_text);
        let mut model = Contrastive {
            tower,
            tokenizer,
            heads,
            pictures,
            scales: [
                scale(image_text.learn_temperature, image_text.temperature),
                scale(text_text.learn_temperature, text_text.temperature),
            ],
            features,
            unit: image_text.unit,
            dropout: config.text().dropout,
            precision,
            recompute: contrastive.recompute,
        };
        model.thaw(contrastive, true);
        model
    }

    /// Learns what the image branch asks for of the features of the training pictures (`image.input = "standard"`).
    pub fn fit_input(&mut self, rows: usize, width: usize, row: impl FnMut(usize, &mut [f32])) {
        if let Pictures::Branch(branch) = &mut self.pictures {
            branch.fit_input(rows, width, row);
        }
    }

    /// Trains what the configuration names of the encoder from now on, or, where `thawed` is false, nothing of it; and a head of its own
    /// at its own rate.
    pub fn thaw(&mut self, config: &ContrastiveConfig, thawed: bool) {
        let rate = Rate::of(config.encoder_rate);
        let of_encoder = |name: &str| {
            let trained = match config.train {
                TrainedPart::All => true,
                TrainedPart::Blocks => name != "tokens",
                TrainedPart::Tokens => name == "tokens",
                TrainedPart::Nothing => false,
            };
            if trained && thawed { rate } else { Rate::FROZEN }
        };
        let own = Rate::of(config.text_text.rate);
        set_rates(self, |name| match name.strip_prefix("encoder.") {
            Some(name) => Some(of_encoder(name)),
            None => name.starts_with("head.text.").then_some(own),
        });
    }

    /// Keeps what takes features to the joint space as it is from now on, statistics of the image branch included: vectors of pictures do not move.
    pub fn fix_pictures(&mut self) {
        if let Pictures::Branch(branch) = &mut self.pictures {
            branch.fixed = true;
        }
        freeze(self, |name| name.starts_with("image."));
    }

    fn pass(&self) -> Pass {
        Pass { precision: self.precision, recompute: self.recompute }
    }

    /// Width of the joint space.
    pub fn joint(&self) -> usize {
        self.heads[0].0.last().expect("a layer").weight.shape().0
    }

    /// Token ids as pooled states (sentences, [`Tower::outputs`]), with gradients. `seed` is for dropout.
    pub fn states<T: Tape<f32, Dev> + 'static>(&self, sentences: &Arc<Sequences>, seed: u64) -> Matrix<T> {
        dropout(self.tower.forward(sentences, self.pass()), self.dropout, seed)
    }

    /// Pooled states (sentences, [`Tower::outputs`]) as vectors in the joint space (sentences, joint): of unit length, but those that meet
    /// pictures where the configuration compares them as they are.
    pub fn head<T: Tape<f32, Dev> + 'static>(&self, states: Matrix<T>, meets: Meets) -> Matrix<T> {
        let head = match meets {
            Meets::Pictures => &self.heads[0],
            Meets::Texts => &self.heads[self.heads.len() - 1],
        };
        let x = head.forward(states, self.precision);
        if self.unit || meets == Meets::Texts { unit_rows(x) } else { x }
    }

    /// Features (pictures, width) as vectors (pictures, joint): of unit length, unless the configuration compares them as they are. With a
    /// tape the image branch's running statistics move.
    pub fn pictures<T: Tape<f32, Dev> + 'static>(&mut self, features: Matrix, seed: u64) -> Matrix<T> {
        match &mut self.pictures {
            Pictures::Branch(branch) => branch.forward(features, seed),
            Pictures::Linear(layer) => {
                let x = linear_of_data(features, layer, self.precision);
                if self.unit { unit_rows(x) } else { x }
            }
        }
    }

    /// Sentences as unit vectors (sentences, joint), as they are compared with pictures.
    pub fn encode(&self, sentences: &Sequences) -> Vec<f32> {
        by_length(sentences, self.joint(), |some| {
            data(&unit_rows(self.head(self.tower.forward::<NoneTape>(some, self.pass()), Meets::Pictures)))
                .to_vec()
        })
    }

    /// Texts of a language as token ids; longer ones lose their end.
    pub fn tokens(&self, language: &str, texts: &[&str]) -> Encoded {
        self.tokenizer.encode(language, texts)
    }

    /// Trained numbers, and those that queries need once the tokens' vectors are looked up.
    pub fn parameters(&mut self) -> Parameters {
        let (mut train, mut test) = (0, 0);
        self.visit(&mut |name, parameter| {
            let n = parameter.count() as u64;
            train += if parameter.trained() { n } else { 0 };
            let needed = ["encoder.", "head.pictures."].iter().any(|part| name.starts_with(part));
            let pictures = name.starts_with("image.") && parameter.trained();
            test += if (needed || pictures) && name != "encoder.tokens" { n } else { 0 };
        });
        Parameters { train, test }
    }

    /// The head that takes states to where they meet pictures, if it is one linear layer.
    pub fn linear_head(&self) -> Option<&LinearWeights> {
        match &self.heads[0].0[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    fn embed_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
        match &self.pictures {
            Pictures::Branch(branch) => embed_images(branch, pictures, rows),
            Pictures::Linear(layer) => {
                let (count, width) = (rows.len(), pictures.width());
                let mut x = vec![0.0; count * width];
                pictures.copy_rows(rows.start, &mut x);
                let x = linear_of_data::<NoneTape>(matrix(x, count, width), layer, self.precision);
                data(&unit_rows(x)).to_vec()
            }
        }
    }
}

impl ParameterTree for Contrastive {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.tower.visit(&mut |name, parameter| f(&format!("encoder.{name}"), parameter));
        for (head, name) in self.heads.iter_mut().zip(["pictures", "text"]) {
            for (n, layer) in head.0.iter_mut().enumerate() {
                visit_linear(&format!("head.{name}.{n}"), layer, f);
            }
        }
        match &mut self.pictures {
            Pictures::Linear(layer) => visit_linear("image.linear", layer, f),
            Pictures::Branch(branch) => branch.visit(f),
        }
        for (scale, name) in self.scales.iter_mut().zip(["scale.pictures", "scale.text"]) {
            if let Some(scale) = scale {
                f(name, Parameter::vector(&mut scale.value, &mut scale.rate));
            }
        }
    }
}

/// A model, trained or in training, as evaluations use it.
pub(super) struct ContrastiveEncoder<'a> {
    pub model: &'a Contrastive,
    pub languages: &'a [String],
}

impl DualEncoder for ContrastiveEncoder<'_> {
    fn joint(&self) -> usize {
        self.model.joint()
    }

    fn languages(&self) -> Vec<String> {
        self.languages.to_vec()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        let encoded = self.model.tokens(&self.languages[language], texts);
        let vectors = self.model.encode(&encoded.ids);
        Sentences { vectors, unknown: Vec::new(), truncated: encoded.truncated }
    }

    fn check_width(&self, pictures: &dyn PictureSource) -> Result<()> {
        same_width(pictures, self.model.features)
    }

    fn some_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
        self.model.embed_pictures(pictures, rows)
    }
}
