//! The learning rate as a pure function of the step.

use crate::config::{Schedule, TrainConfig};

/// How the learning rate goes over the steps of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    /// The rate at the end of the warm-up.
    pub peak: f32,
    /// Steps of the warm-up.
    pub warmup: usize,
    /// Steps in all, those of the warm-up included.
    pub total: usize,
    /// How the rate goes on after the warm-up.
    pub schedule: Schedule,
    /// Steps between two falls, of [`Schedule::Steps`].
    pub decay_every: usize,
    /// Factor of each fall, of [`Schedule::Steps`].
    pub decay: f32,
}

impl LearningRate {
    /// As a configuration says, for a stage of `total` steps.
    pub fn new(config: &TrainConfig, total: usize) -> Self {
        LearningRate {
            peak: config.learning_rate,
            warmup: config.warmup,
            total,
            schedule: config.schedule,
            decay_every: config.decay_every,
            decay: config.decay,
        }
    }

    /// The rate of step `step`, counted from 1: linear from 0 over the warm-up, then constant, by steps, half a cosine to 0, or a line to 0.
    pub fn at(&self, step: usize) -> f32 {
        if step <= self.warmup {
            return self.peak * step as f32 / self.warmup as f32;
        }
        match self.schedule {
            Schedule::Constant => self.peak,
            Schedule::Steps => {
                let falls = i32::try_from((step - 1) / self.decay_every.max(1)).unwrap_or(i32::MAX);
                (self.peak as f64 * (self.decay as f64).powi(falls)) as f32
            }
            Schedule::Cosine => {
                let left = (self.total.max(self.warmup + 1) - self.warmup) as f64;
                let done = ((step - 1 - self.warmup) as f64 / left).min(1.0);
                (self.peak as f64 * half_cosine(done)) as f32
            }
            Schedule::Linear => {
                let left = (self.total.max(self.warmup + 1) - self.warmup) as f64;
                (self.peak as f64 * (1.0 - ((step - 1 - self.warmup) as f64 / left).min(1.0))) as f32
            }
            Schedule::Unshifted => {
                let done = ((step - 1) as f64 / self.total.max(1) as f64).min(1.0);
                (self.peak as f64 * half_cosine(done)) as f32
            }
        }
    }
}

/// From 1 at 0 to 0 at 1.
fn half_cosine(done: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_then_falls_to_nothing() {
        let schedule = Schedule::Cosine;
        let rate = LearningRate { peak: 1.0, warmup: 4, total: 14, schedule, decay_every: 5, decay: 0.25 };
        assert_eq!([rate.at(1), rate.at(4), rate.at(5)], [0.25, 1.0, 1.0]);
        assert!((rate.at(10) - 0.5).abs() < 1e-6);
        assert!(rate.at(14) < 0.03 && rate.at(14) > 0.0);
        assert_eq!(LearningRate { schedule: Schedule::Constant, ..rate }.at(13), 1.0);
        let steps = LearningRate { schedule: Schedule::Steps, warmup: 0, ..rate };
        assert_eq!([1, 5, 6, 10, 11].map(|step| steps.at(step)), [1.0, 1.0, 0.25, 0.25, 0.0625]);
        let linear = LearningRate { schedule: Schedule::Linear, ..rate };
        assert_eq!([4, 5, 10, 14].map(|step| linear.at(step)), [1.0, 1.0, 0.5, 0.1]);
        // BertAdam's falls by 2.4 % at once behind a warm-up of a tenth.
        let bert = LearningRate { warmup: 10, total: 100, schedule: Schedule::Unshifted, ..rate };
        assert_eq!([bert.at(5), bert.at(10)], [0.5, 1.0]);
        assert!((bert.at(11) - 0.975_528).abs() < 1e-5 && bert.at(100) < 3e-4);
    }
}
