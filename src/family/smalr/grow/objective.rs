//! What trains the new language's own words, their layer, and its adapter of the encoder. Nothing frozen is differentiated:
//! gradients pass through the encoder to its inputs alone, and pictures and known captions are vectors that were computed
//! before.

use std::collections::BTreeMap;
use std::sync::Arc;

use dfdx::prelude::*;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::config::{Config, LossConfig, Mining};
use crate::corpus::TeacherVectors;
use crate::device::{Matrix, Scalar};
use crate::family::smalr::batch::{Assembler, Batch, Captions};
use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::embedding::{Slot, TokenRows};
use crate::family::smalr::grow::{Cost, Lesson, Lessons, Schedule};
use crate::family::smalr::model::Model;
use crate::family::smalr::objective::BatchOutputs;
use crate::family::smalr::taught::Teacher;
use crate::family::smalr::text::Adapter;
use crate::loss::terms::{Taped, Terms};
use crate::ops::leaf::Rate;
use crate::ops::linear::unit_rows;
use crate::ops::rows::{select, stack};
use crate::ops::sequences::Sequences;
use crate::ops::tape::matrix;
use crate::optim::{freeze, rates, thaw};
use crate::sampler::{Draw, gathered};
use crate::seed::derive;

/// A language's words, their layer and its adapter are trained, and nothing else of the model. Gives the rates that all had before.
pub fn freeze_all_but(model: &mut Model, language: usize) -> BTreeMap<String, Rate> {
    let before = rates(model);
    let code = model.languages[language].clone();
    let own = [format!("embedding.{code}."), format!("text.adapter.{code}.")];
    freeze(model, |_| true);
    thaw(model, |name| own.iter().any(|own| name.starts_with(own)));
    before
}

/// The losses of one language of a model.
pub struct LanguageObjective<'a> {
    /// The run's.
    pub config: &'a Config,
    /// The new language's settings.
    pub given: &'a Config,
    /// With the new language in its last place.
    pub model: &'a mut Model,
    /// The base languages, and the new one.
    pub base: &'a [usize],
    /// The place of the new language.
    pub language: usize,
    /// What it learns from.
    pub lessons: &'a Lessons,
    /// The language's own.
    pub seed: u64,
}

/// What batches are made of.
pub struct LanguageBatches<'a> {
    assembler: Assembler,
    /// By lesson, as a step draws from it: the known languages, then the new one.
    captions: Vec<Vec<Captions>>,
    /// By lesson, where there is a teacher.
    teachers: Vec<Teacher<'a>>,
}

/// What a step shows.
pub struct Shown {
    /// The place of the lesson.
    pub lesson: usize,
    /// Its groups and captions.
    pub draw: Draw,
    /// The step's own.
    pub seed: u64,
    /// Ready for the model.
    pub batch: Batch,
    /// Pictures beside those of its sentences.
    others: usize,
}

impl<'a> LanguageBatches<'a> {
    /// Of a language of the model beside those of its base; `slots` are its sentences by lesson, which `teacher` teaches.
    pub fn new(
        config: &Config,
        model: &Model,
        base: &[usize],
        language: usize,
        lessons: &Lessons,
        slots: Vec<Vec<Vec<Slot>>>,
        teacher: Option<&'a TeacherVectors>,
    ) -> Self {
        // Languages are counted as the lessons count them: those of the base, then the new one.
        let own = |&l: &usize| model.embedding.own.get(l).map_or(0, |own| own.words.rows());
        let sizes: Vec<usize> = base.iter().chain([&language]).map(own).collect();
        let assembler = Assembler {
            collector: Collector::with_sizes(model.embedding.latents.rows(), &sizes),
            word_dropout: config.text().word_dropout,
            mclm: config.loss().mclm.clone(),
        };
        // Whether a loss looks at the words of known captions, not at their vectors alone.
        let loss = config.loss();
        let words = loss.neighbourhood.words > 0.0 || loss.mclm.average > 0.0 || loss.mclm.lstm > 0.0;
        let one = |(lesson, slots): (&Lesson, Vec<Vec<Slot>>)| {
            let known = lesson.known.captions.iter().map(|(captions, _)| match words {
                true => captions.clone(),
                false => Captions { slots: vec![Vec::new(); captions.slots.len()], ..captions.clone() },
            });
            let new = Captions { index: lesson.index(), image_of: lesson.group_of.clone(), slots };
            known.chain([new]).collect()
        };
        // The known languages stay as they are.
        let taught = |lesson: &Lesson| {
            let known = lesson.known.captions.iter().map(|(captions, _)| vec![None; captions.slots.len()]);
            known.chain([lesson.taught.clone()]).collect()
        };
        let of = |vectors| lessons.all.iter().map(move |l| Teacher::of_rows(vectors, taught(l)));
        let teachers = teacher.into_iter().flat_map(of).collect();
        LanguageBatches { assembler, captions: lessons.all.iter().zip(slots).map(one).collect(), teachers }
    }
}

impl LanguageObjective<'_> {
    /// What a step shows, counted from 0; without `pictures`, which only losses need, if so wished.
    pub fn shown(
        &self,
        batches: &mut LanguageBatches,
        schedule: &Schedule,
        step: usize,
        pictures: bool,
    ) -> Shown {
        let (lesson, draw) = schedule.draw(step);
        let known = &self.lessons.all[lesson].known;
        let joint = self.config.text().joint;
        let images = match known.views.len() {
            0 => known.images.as_ref(),
            n => known.views.get(step / schedule.steps_per_epoch() % n),
        };
        let picture = |group: usize, out: &mut [f32]| match images {
            Some(images) => out.copy_from_slice(&images[group * joint..][..joint]),
            None => out.fill(0.0),
        };
        let seed = derive(self.seed, "batch", step as u64);
        let shown = match images {
            Some(_) => with_others(&draw.images, known.groups, self.given.grow().negatives, seed),
            None => draw.images.clone(),
        };
        let images = gathered(if pictures { &shown } else { &[] }, joint, picture);
        let mut batch = batches.assembler.assemble(&draw, &batches.captions[lesson], |_| images, None, seed);
        if let Some(teacher) = batches.teachers.get(lesson) {
            batch.taught = teacher.of(&batch, &draw, &[]);
        }
        Shown { lesson, others: shown.len() - draw.images.len(), draw, seed, batch }
    }

    /// Counts what a step costs.
    pub fn count(&self, batches: &mut LanguageBatches, schedule: &Schedule, step: usize, work: &mut Cost) {
        let Shown { batch, others, .. } = self.shown(batches, schedule, step, false);
        let learning = batch.groups.last().expect("the new language").clone();
        let versions = batch.sentences.len() / batch.image_of.len().max(1);
        let tokens = learning.clone().map(|s| batch.sentences.length(s)).sum::<usize>();
        work.step(learning.len() * versions, tokens * versions);
        work.adapter(learning.len() * versions, self.adapter().map_or(0, Adapter::products));
        work.negatives(learning.len() * others, self.config.text().joint);
    }

    fn adapter(&self) -> Option<&Adapter> {
        self.model.text.adapters[self.language].as_ref()
    }

    /// The losses of a batch; `draws` are its captions by language.
    pub fn compare(
        &self,
        lesson: usize,
        draws: &[Vec<(u32, u32)>],
        batch: &Batch,
        seed: u64,
    ) -> (Option<Scalar<Taped>>, Terms) {
        let (tokens, token_tape) = self.tokens(&batch.tokens).split_tape();
        let (text, text_tape) = self.text(lesson, draws, batch, &tokens, seed).split_tape();
        let views = BatchOutputs {
            batch,
            text,
            image: batch.images.clone(),
            states: None,
            tokens,
            frozen: self.base.len(),
        };
        let loss = self.loss(self.lessons.all[lesson].known.images.is_some());
        let mut total = views.compare(&self.model.mclm, &loss, self.config.train().precision, 0);
        total.keep_tape(text_tape);
        total.keep_tape(token_tape);
        total.finish()
    }

    /// As the base was trained, with the neighbourhood and the teacher of the language; without pictures nothing is compared with them. Nothing of it depends on
    /// the step.
    fn loss(&self, pictures: bool) -> LossConfig {
        let mut loss = self.config.loss().clone();
        loss.triplet.mining = Mining::TopN;
        let grow = self.given.grow();
        (loss.neighbourhood.sentences, loss.teacher) = (grow.neighbourhood, grow.teacher.clone());
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
        let new = unit_rows(self.model.text.states_in_parts(tokens, &sentences, &spoken, seed));
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
    use crate::corpus::Features;
    use crate::family::smalr::embedding::HybridEmbedding;
    use crate::family::smalr::grow::lesson::Known;
    use crate::gradcheck::{differences, matrix_gradient, noise, vector_gradient};
    use crate::ops::leaf::Leaf;
    use crate::ops::linear::LinearWeights;
    use crate::ops::rows::Table;
    use crate::ops::tape::on_host;
    use crate::ops::tape::{data, vector};
    use crate::sampler::CaptionIndex;

    const GROUPS: u32 = 4;
    const LANGUAGES: [&str; 3] = ["en", "de", "xx"];

    fn configured(change: impl FnOnce(&mut RawConfig)) -> Config {
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
        change(&mut raw);
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
        let group_of = (0..GROUPS).collect();
        let lesson = Lesson { group_of, words: vec![Vec::new(); 4], taught: Vec::new(), known };
        Lessons { all: vec![lesson], ids: Vec::new(), images: 4 }
    }

    /// The objective, and one batch of all there is; once whole, and once with the gradient of five sentences at a time.
    fn with_batch(test: impl Fn(LanguageObjective, &[Vec<(u32, u32)>], &Batch)) {
        for size in [0, 5] {
            let config = configured(|raw| raw.text.micro_batch = size);
            let mut model = model(&config);
            let lessons = lessons(&model);
            freeze_all_but(&mut model, 2);
            let (base, given) = ([0, 1], &config);
            let slots = vec![captions(2).slots];
            let mut batches = LanguageBatches::new(&config, &model, &base, 2, &lessons, slots, None);
            let objective = LanguageObjective {
                config: &config,
                given,
                model: &mut model,
                base: &base,
                language: 2,
                lessons: &lessons,
                seed: 3,
            };
            let draw = lessons.schedule(5).draw(0).1;
            let images = lessons.all[0].known.images.as_ref().expect("images");
            let picture = |g: usize, out: &mut [f32]| out.copy_from_slice(&images[g * 4..][..4]);
            let images = gathered(&draw.images, 4, picture);
            let batch = batches.assembler.assemble(&draw, &batches.captions[0], |_| images, None, 7);
            test(objective, &draw.captions, &batch);
        }
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
        with_batch(|objective, draws, batch| {
            let tokens = data(&objective.tokens(&batch.tokens)).to_vec();
            let whole =
                objective.model.embedding.forward::<NoneTape>(&batch.tokens, crate::config::Precision::F32);
            assert_eq!(tokens[..], data(&whole)[..]);
            let text = objective.text(0, draws, batch, &whole, 7);
            let expected = objective.model.text.forward(whole, &batch.sentences, &batch.spoken(), 7);
            assert_eq!(text.shape().0, 3 * 12, "three languages, whole and masked in two ways");
            for (a, b) in data(&text).iter().zip(&data(&expected)[..]) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        });
    }

    #[test]
    fn only_the_new_words_their_layer_and_adapter_get_gradients_and_these_are_slopes() {
        with_batch(|objective, draws, batch| {
            let sum = objective.compare(0, draws, batch, 7).0.expect("a loss");
            let mut grads = sum.backward();
            let (text, heads) = (&objective.model.text, objective.model.mclm.lstm.as_ref().expect("heads"));
            let gru = text.gru.as_ref().expect("a GRU");
            let output = text.output.as_ref().expect("a layer");
            let head = heads.sentences.as_ref().expect("a head");
            for frozen in [&output.weight, &gru.weight_hh, &gru.weight_ih, &head.weight] {
                let none = on_host(grads.get_or_alloc_mut(frozen).expect("memory")).iter().all(|&g| g == 0.0);
                assert!(none, "a frozen layer was differentiated");
            }
            let embedding = &objective.model.embedding;
            assert!(
                embedding.latents.take_grads().is_empty() && embedding.own[0].words.take_grads().is_empty()
            );
            let entries = embedding.own[2].words.take_grads();
            let mut words = vec![0.0; 12];
            for (row, g) in entries.iter().flat_map(|(rows, g)| rows.iter().zip(g.host().chunks(3))) {
                words[*row as usize * 3..][..3].iter_mut().zip(g).for_each(|(w, g)| *w += g);
            }
            let (start, bias) = (embedding.own[2].words.data().to_vec(), embedding.own[2].layer.bias.clone());
            let objective = RefCell::new(objective);
            let value = |change: &dyn Fn(&mut OwnWords)| {
                change(&mut objective.borrow_mut().model.embedding.own[2]);
                objective.borrow().compare(0, draws, batch, 7).0.expect("a loss").array()
            };
            vector_gradient("bias", &bias, &grads, 1e-2, 2e-2, |b| value(&|own| own.layer.bias = b.clone()));
            value(&|own| own.layer.bias = bias.clone());
            let adapter = objective.borrow().adapter().expect("an adapter").clone();
            let with = |change: &dyn Fn(&mut Adapter)| {
                let mut changed = adapter.clone();
                change(&mut changed);
                objective.borrow_mut().model.text.adapters[2] = Some(changed);
                objective.borrow().compare(0, draws, batch, 7).0.expect("a loss").array()
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

    #[test]
    fn a_teacher_teaches_the_new_sentences_alone_and_its_gradient_is_a_slope() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("vectors.npy");
        let theirs = noise(3 * 4, 70);
        crate::corpus::write_npy(&file, 3, 4, &theirs).expect("written");
        let vectors = Features::open(&[file]).expect("vectors");
        let vectors = TeacherVectors::new(vec![0], Vec::new(), vectors, String::new());
        let config = configured(|raw| {
            (raw.loss.mclm, raw.loss.info_nce.text_weight) = Default::default();
            raw.grow.teacher.cosine = 0.5;
        });
        let mut model = model(&config);
        let mut lessons = lessons(&model);
        (lessons.all[0].known.images, lessons.all[0].taught) = (None, vec![Some(2), None, Some(0), Some(1)]);
        freeze_all_but(&mut model, 2);
        let slots = vec![captions(2).slots];
        let mut batches = LanguageBatches::new(&config, &model, &[0, 1], 2, &lessons, slots, Some(&vectors));
        let bias = model.embedding.own[2].layer.bias.clone();
        let objective = LanguageObjective {
            config: &config,
            given: &config,
            model: &mut model,
            base: &[0, 1],
            language: 2,
            lessons: &lessons,
            seed: 3,
        };
        let Shown { draw, batch, .. } = objective.shown(&mut batches, &lessons.schedule(5), 0, true);
        let (sum, terms) = objective.compare(0, &draw.captions, &batch, 7);
        let terms = terms.read().1;
        assert_eq!(terms.iter().map(|t| (t.name, t.weight)).collect::<Vec<_>>(), [("teacher_cosine", 0.5)]);
        // The mean over the sentences that have a vector.
        let tokens =
            objective.model.embedding.forward::<NoneTape>(&batch.tokens, crate::config::Precision::F32);
        let text = data(&objective.text(0, &draw.captions, &batch, &tokens, 7)).to_vec();
        let theirs = data(&unit_rows(matrix(theirs, 3, 4))).to_vec();
        let along = draw.captions[2].iter().zip(batch.groups[2].clone()).filter_map(|(&(caption, _), s)| {
            let row = lessons.all[0].taught[caption as usize]? as usize;
            Some(text[4 * s..][..4].iter().zip(&theirs[4 * row..][..4]).map(|(a, b)| a * b).sum::<f32>())
        });
        let expected = 1.0 - along.sum::<f32>() / 3.0;
        assert!((terms[0].raw - expected).abs() < 1e-5, "{} {expected}", terms[0].raw);
        let grads = sum.expect("a loss").backward();
        let objective = RefCell::new(objective);
        vector_gradient("bias", &bias, &grads, 1e-2, 2e-2, |b| {
            objective.borrow_mut().model.embedding.own[2].layer.bias = b.clone();
            objective.borrow().compare(0, &draw.captions, &batch, 7).0.expect("a loss").array()
        });
    }
}
