//! Trains the new language's own words, their layer, and its adapter of the encoder. Nothing frozen is differentiated:
//! gradients pass through the encoder to its inputs alone, and pictures and known captions are vectors that were computed
//! before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dfdx::prelude::*;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::config::{Config, LossConfig, Mining, Schedule, TrainConfig};
use crate::device::{Matrix, Scalar};
use crate::family::smalr::batch::{Assembler, Batch, Captions};
use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::embedding::{Slot, TokenRows};
use crate::family::smalr::grow::state::LanguageState;
use crate::family::smalr::grow::{Cost, Lessons};
use crate::family::smalr::model::Model;
use crate::family::smalr::objective::BatchOutputs;
use crate::family::smalr::text::Adapter;
use crate::loss::terms::Taped;
use crate::ops::leaf::Rate;
use crate::ops::rows::{select, stack};
use crate::ops::sequences::Sequences;
use crate::ops::tape::matrix;
use crate::optim::{Adam, Parameter, freeze, rates, set_rates, thaw, visit_linear};
use crate::sampler::gathered;
use crate::seed::derive;
use crate::train::Progress;
use crate::{Error, Result};

/// A training of one language of a model.
pub struct LanguageTrainer<'a> {
    pub config: &'a Config,
    /// The new language's settings.
    pub given: &'a Config,
    pub model: &'a mut Model,
    /// The base languages, and the new one.
    pub base: &'a [usize],
    /// The place of the new language.
    pub language: usize,
    pub lessons: &'a Lessons,
    /// By lesson: the new sentences.
    pub slots: Vec<Vec<Vec<Slot>>>,
    pub seed: u64,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

/// A lesson as a step draws from it: the known languages, then the new one.
struct Prepared {
    captions: Vec<Captions>,
}

impl LanguageTrainer<'_> {
    /// Trains; after each epoch `score` says what the language is worth, if it can, and the best epoch is kept. Returns
    /// that epoch, counted from 1 (0 is the start), and its score.
    ///
    /// # Errors
    /// Run, where the loss is not finite; stopped, where [`Self::stop`] was raised; those of `score`.
    pub fn train(
        &mut self,
        score: &mut dyn FnMut(&Model) -> Result<Option<f64>>,
        work: &mut Cost,
        progress: Progress,
    ) -> Result<(usize, Option<f64>)> {
        let grow = self.given.grow();
        let schedule = self.lessons.schedule(derive(self.seed, "train", 0));
        let steps = schedule.epochs(grow.epochs, grow.least_steps) * schedule.steps_per_epoch();
        let rate = TrainConfig {
            learning_rate: grow.learning_rate,
            warmup: 0,
            schedule: Schedule::Cosine,
            weight_decay: 0.0,
            ..self.config.train().clone()
        };
        let mut adam = Adam::new(&rate, steps);
        let mut assembler = self.assembler();
        let prepared = self.prepared();
        let before = self.freeze_all_but_the_new();
        let mut best = (0, score(self.model)?, self.learnt());
        let mut average = self.learnt();
        for step in 0..steps {
            if self.stop.load(Ordering::Relaxed) {
                return Err(crate::grow::addition::stopped());
            }
            let (lesson, draw) = schedule.draw(step);
            let known = &self.lessons.all[lesson].known;
            let joint = self.config.text().joint;
            let views = known.views.len();
            let images = match views {
                0 => known.images.as_ref(),
                n => known.views.get(step / schedule.steps_per_epoch() % n),
            };
            let picture = |group: usize, out: &mut [f32]| match images {
                Some(images) => out.copy_from_slice(&images[group * joint..][..joint]),
                None => out.fill(0.0),
            };
            let seed = derive(self.seed, "batch", step as u64);
            let shown = match images {
                Some(_) => with_others(&draw.images, known.groups, grow.negatives, seed),
                None => draw.images.clone(),
            };
            let images = gathered(&shown, joint, picture);
            let batch = assembler.assemble(&draw, &prepared[lesson].captions, images, seed);
            let (language, rows) = (self.language, &batch.tokens.own[self.base.len()]);
            adam.catch_up("words", &mut self.model.embedding.own[language].words, rows);
            let learning = batch.groups.last().expect("the new language").clone();
            let versions = batch.sentences.len() / batch.image_of.len().max(1);
            let tokens = learning.clone().map(|s| batch.sentences.length(s)).sum::<usize>();
            work.step(learning.len() * versions, tokens * versions);
            work.adapter(learning.len() * versions, self.adapter().map_or(0, Adapter::products));
            work.negatives(learning.len() * (shown.len() - draw.images.len()), joint);
            let Some(sum) = self.compare(lesson, &draw.captions, &batch, seed) else { continue };
            let loss = sum.array();
            if !loss.is_finite() {
                let what = format!("the loss is {loss} in step {}", step + 1);
                return Err(Error::run(what).hint("lower `grow.learning_rate`"));
            }
            progress("grow", step + 1, steps, loss);
            let mut grads = sum.backward();
            let own = &mut self.model.embedding.own[language];
            let adapter = &mut self.model.text.adapters[language];
            adam.update(&mut grads, &mut |f| {
                f("words", Parameter::table(&mut own.words));
                visit_linear("layer", &mut own.layer, f);
                adapter.iter_mut().for_each(|adapter| adapter.visit("adapter", f));
            });
            average.follow(self.own(), self.adapter(), self.config.train().average, step);
            if (step + 1).is_multiple_of(schedule.steps_per_epoch()) {
                let every: Vec<u32> = (0..self.own().words.rows() as u32).collect();
                adam.catch_up("words", &mut self.model.embedding.own[language].words, &every);
                let learning = self.learnt();
                self.take(average.clone());
                let now = score(self.model)?;
                if now.is_none() || now > best.1 {
                    best = ((step + 1) / schedule.steps_per_epoch(), now, average.clone());
                }
                self.take(learning);
            }
        }
        self.take(best.2);
        set_rates(self.model, |name| before.get(name).copied());
        Ok((best.0, best.1))
    }

    /// The new language's words, their layer and its adapter are trained. Gives the rates that all had before.
    fn freeze_all_but_the_new(&mut self) -> BTreeMap<String, Rate> {
        let before = rates(self.model);
        let code = self.model.languages[self.language].clone();
        let own = [format!("embedding.{code}."), format!("text.adapter.{code}.")];
        freeze(self.model, |_| true);
        thaw(self.model, |name| own.iter().any(|own| name.starts_with(own)));
        before
    }

    fn own(&self) -> &OwnWords {
        &self.model.embedding.own[self.language]
    }

    fn adapter(&self) -> Option<&Adapter> {
        self.model.text.adapters[self.language].as_ref()
    }

    fn learnt(&self) -> LanguageState {
        LanguageState { own: self.own().clone(), adapter: self.adapter().cloned() }
    }

    fn take(&mut self, learnt: LanguageState) {
        self.model.embedding.own[self.language] = learnt.own;
        self.model.text.adapters[self.language] = learnt.adapter;
    }

    /// Languages are counted as the lessons count them: those of the base, then the new one.
    fn assembler(&self) -> Assembler {
        let own = |&l: &usize| self.model.embedding.own.get(l).map_or(0, |own| own.words.rows());
        let sizes: Vec<usize> = self.base.iter().chain([&self.language]).map(own).collect();
        Assembler {
            collector: Collector::with_sizes(self.model.embedding.latents.rows(), &sizes),
            word_dropout: self.config.text().word_dropout,
            mclm: self.config.loss().mclm.clone(),
        }
    }

    /// Whether a loss looks at the words of known captions, not at their vectors alone.
    fn needs_known_words(&self) -> bool {
        let loss = self.config.loss();
        loss.neighbourhood.words > 0.0 || loss.mclm.average > 0.0 || loss.mclm.lstm > 0.0
    }

    fn prepared(&self) -> Vec<Prepared> {
        let words = self.needs_known_words();
        let one = |(lesson, slots): (&crate::family::smalr::grow::Lesson, &Vec<Vec<Slot>>)| {
            let known = lesson.known.captions.iter().map(|(captions, _)| match words {
                true => captions.clone(),
                false => Captions { slots: vec![Vec::new(); captions.slots.len()], ..captions.clone() },
            });
            let new =
                Captions { index: lesson.index(), image_of: lesson.group_of.clone(), slots: slots.clone() };
            Prepared { captions: known.chain([new]).collect() }
        };
        self.lessons.all.iter().zip(&self.slots).map(one).collect()
    }

    /// The losses of a batch; `draws` are its captions by language.
    fn compare(
        &self,
        lesson: usize,
        draws: &[Vec<(u32, u32)>],
        batch: &Batch,
        seed: u64,
    ) -> Option<Scalar<Taped>> {
        let (tokens, token_tape) = self.tokens(&batch.tokens).split_tape();
        let (text, text_tape) = self.text(lesson, draws, batch, &tokens, seed).split_tape();
        let views =
            BatchOutputs { batch, text, image: batch.images.clone(), tokens, frozen: self.base.len() };
        let loss = self.loss(self.lessons.all[lesson].known.images.is_some());
        let mut total = views.compare(&self.model.mclm, &loss, self.config.train().precision, 0);
        total.keep_tape(text_tape);
        total.keep_tape(token_tape);
        total.finish().0
    }

    /// As the base was trained, with the neighbourhood of this run; without pictures nothing is compared with them. Nothing of it depends on
    /// the step.
    fn loss(&self, pictures: bool) -> LossConfig {
        let mut loss = self.config.loss().clone();
        loss.triplet.mining = Mining::TopN;
        loss.neighbourhood.sentences = self.given.grow().neighbourhood;
        if !pictures {
            (loss.triplet.weight, loss.info_nce.weight, loss.mclm.masked_triplet) = (0.0, 0.0, 0.0);
        }
        loss
    }

    /// The vectors of the batch's distinct tokens (distinct, width).
    fn tokens(&self, rows: &TokenRows) -> Matrix<Taped> {
        let embedding = &self.model.embedding;
        let none = OwnWords::none();
        let own = self.base.iter().chain([&self.language]).map(|&l| embedding.own.get(l).unwrap_or(&none));
        embedding.forward_with(own, rows, self.config.train().precision)
    }

    /// All sentences of the batch, masked versions included (sentences, joint). The known ones were computed before, but
    /// for their masked versions.
    fn text(
        &self,
        lesson: usize,
        draws: &[Vec<(u32, u32)>],
        batch: &Batch,
        tokens: &Matrix,
        seed: u64,
    ) -> Matrix<Taped> {
        let (count, joint) = (batch.image_of.len(), self.config.text().joint);
        let versions = batch.sentences.len() / count.max(1);
        let learning = batch.groups.last().expect("the new language").clone();
        let known = learning.start;
        let mut whole = Vec::with_capacity(known * joint);
        for ((_, vectors), draws) in self.lessons.all[lesson].known.captions.iter().zip(draws) {
            for &(caption, _) in draws {
                whole.extend_from_slice(&vectors[caption as usize * joint..][..joint]);
            }
        }
        let some = |versions: std::ops::Range<usize>, sentences: std::ops::Range<usize>| {
            let mut some = Sequences::new();
            for s in versions.flat_map(|v| sentences.clone().map(move |s| v * count + s)) {
                some.push(batch.sentences.get(s).iter().copied());
            }
            Arc::new(some)
        };
        let sentences = some(0..versions, learning.clone());
        let spoken = [(self.language, 0..sentences.len())];
        let new = self.model.text.forward(tokens.leaky_trace(), &sentences, &spoken, seed);
        let taped = |m: Matrix| m.put_tape(OwnedTape::default());
        let mut parts = vec![taped(matrix(whole, known, joint)), new];
        if versions > 1 && known > 0 {
            // None of them has an adapter.
            parts.push(taped(self.model.text.forward(tokens.clone(), &some(1..versions, 0..known), &[], 0)));
        }
        // Known whole, new whole and masked, known masked → version by version, known before new.
        let mut order = Vec::with_capacity(versions * count);
        for v in 0..versions {
            let from = if v == 0 { 0 } else { known + versions * learning.len() + (v - 1) * known };
            order.extend((0..known).map(|s| (from + s) as u32));
            order.extend((0..learning.len()).map(|s| (known + v * learning.len() + s) as u32));
        }
        select(stack(parts), &order)
    }
}

/// The groups of a batch, and `count` of the others, or all, drawn by the seed.
fn with_others(batch: &[u32], groups: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut in_batch = vec![false; groups];
    batch.iter().for_each(|&group| in_batch[group as usize] = true);
    let others: Vec<u32> = (0..groups as u32).filter(|&group| !in_batch[group as usize]).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(derive(seed, "negatives", 0));
    let drawn = index::sample(&mut rng, others.len(), count.min(others.len()));
    batch.iter().copied().chain(drawn.iter().map(|n| others[n])).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::RawConfig;
    use crate::family::smalr::embedding::HybridEmbedding;
    use crate::family::smalr::grow::Lesson;
    use crate::family::smalr::grow::lesson::Known;
    use crate::gradcheck::{differences, matrix_gradient, noise, vector_gradient};
    use crate::ops::leaf::Leaf;
    use crate::ops::linear::{LinearWeights, unit_rows};
    use crate::ops::rows::Table;
    use crate::ops::tape::on_host;
    use crate::ops::tape::{data, vector};
    use crate::sampler::CaptionIndex;

    const GROUPS: u32 = 4;
    const LANGUAGES: [&str; 3] = ["en", "de", "xx"];

    fn config() -> Config {
        let mut raw = RawConfig::default();
        raw.data.languages = LANGUAGES.map(String::from).to_vec();
        raw.data.captions.push(crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        });
        raw.added.insert("xx".into(), Default::default());
        (raw.embedding.top_k, raw.embedding.word_width, raw.embedding.width) = (4, 3, 6);
        (raw.text.hidden, raw.text.joint, raw.image.hidden) = (5, 4, 7);
        (raw.loss.mclm.average, raw.loss.mclm.lstm) = (0.5, 0.5);
        // A softmax has slopes everywhere; a triplet's corners would spoil differences.
        (raw.loss.triplet.weight, raw.loss.info_nce.weight, raw.loss.info_nce.text_weight) = (0.0, 1.0, 1.0);
        raw.grow.neighbourhood = 0.0;
        raw.check(".".into()).expect("a good configuration")
    }

    fn model(config: &Config) -> Model {
        let own = |l: u64| OwnWords {
            words: Table::new(3, noise(4 * 3, l)),
            layer: LinearWeights::new(matrix(noise(18, 10 + l), 6, 3), vector(noise(6, 20 + l))),
        };
        let embedding = HybridEmbedding {
            latents: Table::new(6, noise(5 * 6, 30)),
            own: (0..3).map(own).collect(),
            mask: Some(Leaf::trained(matrix(noise(6, 31), 1, 6))),
            characters: None,
        };
        let mut model = Model::new(config, embedding, 3, 1);
        let weights = |rows: usize, columns: usize, seed| {
            LinearWeights::new(
                matrix(noise(rows * columns, seed), rows, columns),
                vector(noise(rows, seed + 1)),
            )
        };
        model.text.adapters[2] = Some(Adapter { down: weights(2, 5, 50), up: weights(4, 2, 60) });
        model
    }

    /// A caption for each group: an own word, a latent token, and another own word.
    fn captions(l: u32) -> Captions {
        let slots =
            (0..GROUPS).map(|g| vec![Slot::Own((g + l) % 4), Slot::Latent(g), Slot::Own(g)]).collect();
        let index = CaptionIndex::new(0..GROUPS, GROUPS as usize);
        Captions { index, image_of: (0..GROUPS).collect(), slots }
    }

    fn lessons(model: &Model) -> Lessons {
        let embed = |l: usize| {
            let (captions, mut collector) = (captions(l as u32), Collector::with_sizes(5, &[4, 4, 4]));
            let (rows, sentences) = collector.collect(captions.slots.iter().map(|s| (l, &s[..])), false);
            let tokens = model.embedding.forward::<NoneTape>(&rows, crate::config::Precision::F32);
            let vectors = data(&model.text.forward(tokens, &Arc::new(sentences), &[], 0)).to_vec();
            (captions, vectors)
        };
        let images = data(&unit_rows(matrix(noise(16, 40), 4, 4))).to_vec();
        let known = Known {
            groups: GROUPS as usize,
            images: Some(images),
            views: Vec::new(),
            captions: vec![embed(0), embed(1)],
            means: Vec::new(),
        };
        let lesson = Lesson { group_of: (0..GROUPS).collect(), words: vec![Vec::new(); 4], known };
        Lessons { all: vec![lesson], ids: Vec::new(), images: 4 }
    }

    /// The trainer, and one batch of all there is.
    fn with_batch(test: impl Fn(LanguageTrainer, &[Vec<(u32, u32)>], &Batch)) {
        let config = config();
        let mut model = model(&config);
        let lessons = lessons(&model);
        let (slots, stop) = (vec![captions(2).slots], AtomicBool::new(false));
        let (base, given) = ([0, 1], &config);
        let mut pupil = LanguageTrainer {
            config: &config,
            given,
            model: &mut model,
            base: &base,
            language: 2,
            lessons: &lessons,
            slots,
            seed: 3,
            stop: &stop,
        };
        pupil.freeze_all_but_the_new();
        let draw = lessons.schedule(5).draw(0).1;
        let all = pupil.prepared();
        let images = lessons.all[0].known.images.as_ref().expect("images");
        let picture = |g: usize, out: &mut [f32]| out.copy_from_slice(&images[g * 4..][..4]);
        let images = gathered(&draw.images, 4, picture);
        let batch = pupil.assembler().assemble(&draw, &all[0].captions, images, 7);
        test(pupil, &draw.captions, &batch);
    }

    #[test]
    fn further_pictures_are_others_and_come_from_the_seed() {
        let all = with_others(&[3, 1], 10, 5, 7);
        assert_eq!(all[..2], [3, 1]);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 7, "none comes twice");
        assert_eq!(all, with_others(&[3, 1], 10, 5, 7));
        assert_ne!(all, with_others(&[3, 1], 10, 5, 8));
        assert_eq!(with_others(&[3, 1], 4, 100, 7).len(), 4, "there are no more");
        assert_eq!(with_others(&[3, 1], 10, 0, 7), [3, 1]);
    }

    #[test]
    fn what_was_computed_before_is_what_the_whole_model_says() {
        with_batch(|pupil, draws, batch| {
            let tokens = data(&pupil.tokens(&batch.tokens)).to_vec();
            let whole =
                pupil.model.embedding.forward::<NoneTape>(&batch.tokens, crate::config::Precision::F32);
            assert_eq!(tokens[..], data(&whole)[..]);
            let text = pupil.text(0, draws, batch, &whole, 7);
            let expected = pupil.model.text.forward(whole, &batch.sentences, &batch.spoken(), 7);
            assert_eq!(text.shape().0, 3 * 12, "three languages, whole and masked in two ways");
            for (a, b) in data(&text).iter().zip(&data(&expected)[..]) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        });
    }

    #[test]
    fn only_the_new_words_their_layer_and_adapter_get_gradients_and_these_are_slopes() {
        with_batch(|pupil, draws, batch| {
            let sum = pupil.compare(0, draws, batch, 7).expect("a loss");
            let mut grads = sum.backward();
            let (text, heads) = (&pupil.model.text, pupil.model.mclm.lstm.as_ref().expect("heads"));
            let gru = text.gru.as_ref().expect("a GRU");
            let output = text.output.as_ref().expect("a layer");
            let head = heads.sentences.as_ref().expect("a head");
            for frozen in [&output.weight, &gru.weight_hh, &gru.weight_ih, &head.weight] {
                let none = on_host(grads.get_or_alloc_mut(frozen).expect("memory")).iter().all(|&g| g == 0.0);
                assert!(none, "a frozen layer was differentiated");
            }
            let embedding = &pupil.model.embedding;
            assert!(
                embedding.latents.take_grads().is_empty() && embedding.own[0].words.take_grads().is_empty()
            );
            let entries = embedding.own[2].words.take_grads();
            let mut words = vec![0.0; 12];
            for (row, g) in entries.iter().flat_map(|(rows, g)| rows.iter().zip(g.host().chunks(3))) {
                words[*row as usize * 3..][..3].iter_mut().zip(g).for_each(|(w, g)| *w += g);
            }
            let (start, bias) = (embedding.own[2].words.data().to_vec(), embedding.own[2].layer.bias.clone());
            let pupil = RefCell::new(pupil);
            let value = |change: &dyn Fn(&mut OwnWords)| {
                change(&mut pupil.borrow_mut().model.embedding.own[2]);
                pupil.borrow().compare(0, draws, batch, 7).expect("a loss").array()
            };
            vector_gradient("bias", &bias, &grads, 1e-2, 2e-2, |b| value(&|own| own.layer.bias = b.clone()));
            value(&|own| own.layer.bias = bias.clone());
            let adapter = pupil.borrow().adapter().expect("an adapter").clone();
            let with = |change: &dyn Fn(&mut Adapter)| {
                let mut changed = adapter.clone();
                change(&mut changed);
                pupil.borrow_mut().model.text.adapters[2] = Some(changed);
                pupil.borrow().compare(0, draws, batch, 7).expect("a loss").array()
            };
            let (down, up) = (&adapter.down.weight, &adapter.up.weight);
            matrix_gradient("down", down, &grads, 1e-2, 2e-2, |m| with(&|a| a.down.weight = m.clone()));
            matrix_gradient("up", up, &grads, 1e-2, 2e-2, |m| with(&|a| a.up.weight = m.clone()));
            with(&|_| {});
            differences("words", &start, &words, 1e-2, 2e-2, |x| {
                value(&|own| own.words.data_mut().copy_from_slice(x))
            });
        });
    }
}
