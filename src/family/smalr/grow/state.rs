//! What an added language learns, apart from the model: to be kept, averaged and put back.

use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::family::smalr::text::Adapter;
use crate::ops::linear::LinearWeights;
use crate::ops::tape::{data, data_mut, data1, data1_mut};

/// What a language learns.
#[derive(Clone)]
pub struct LanguageState {
    pub own: OwnWords,
    pub adapter: Option<Adapter>,
}

impl LanguageState {
    /// Moves this average towards what is learnt; at first faster, so that it forgets the start. Without averaging it follows.
    pub fn follow(&mut self, own: &OwnWords, adapter: Option<&Adapter>, decay: f32, step: usize) {
        let decay = if decay == 0.0 { 0.0 } else { decay.min((1.0 + step as f32) / (10.0 + step as f32)) };
        let towards = |average: &mut [f32], now: &[f32]| {
            average.iter_mut().zip(now).for_each(|(a, x)| *a = decay * *a + (1.0 - decay) * x);
        };
        let layer = |average: &mut LinearWeights, now: &LinearWeights| {
            towards(&mut data_mut(&mut average.weight), &data(&now.weight));
            towards(&mut data1_mut(&mut average.bias), &data1(&now.bias));
        };
        towards(self.own.words.data_mut(), own.words.data());
        layer(&mut self.own.layer, &own.layer);
        if let (Some(average), Some(now)) = (&mut self.adapter, adapter) {
            layer(&mut average.down, &now.down);
            layer(&mut average.up, &now.up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Init;
    use crate::ops::rows::Table;

    fn learnt(seed: u64) -> LanguageState {
        let mut init = Init::new(seed);
        let own = OwnWords { words: Table::new(2, init.uniform(6, 1.0)), layer: init.linear(2, 3) };
        let adapter = Adapter { down: init.linear(4, 2), up: init.linear(2, 3) };
        LanguageState { own, adapter: Some(adapter) }
    }

    /// Every number of it.
    fn numbers(learnt: &LanguageState) -> Vec<f32> {
        let adapter = learnt.adapter.as_ref().expect("an adapter");
        let mut all = learnt.own.words.data().to_vec();
        for layer in [&learnt.own.layer, &adapter.down, &adapter.up] {
            all.extend_from_slice(&data(&layer.weight));
            all.extend_from_slice(&data1(&layer.bias));
        }
        all
    }

    #[test]
    fn the_average_forgets_its_start_and_without_averaging_follows() {
        let (start, now) = (learnt(1), learnt(2));
        let follow = |average: &mut LanguageState, decay, step| {
            average.follow(&now.own, now.adapter.as_ref(), decay, step);
        };
        let mut average = start.clone();
        (0..2000).for_each(|step| follow(&mut average, 0.99, step));
        let off = numbers(&average).iter().zip(numbers(&now)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{off}");
        let mut one = start.clone();
        follow(&mut one, 0.99, 0);
        for ((one, start), now) in numbers(&one).iter().zip(numbers(&start)).zip(numbers(&now)) {
            assert!((one - (0.1 * start + 0.9 * now)).abs() < 1e-6, "a tenth of the start is left");
        }
        follow(&mut one, 0.0, 7);
        assert_eq!(numbers(&one), numbers(&now));
    }
}
