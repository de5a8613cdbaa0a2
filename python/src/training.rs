//! Trainings, which tell of their steps and can be stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tinyglot::config::Config;
use tinyglot::eval::Evaluation;
use tinyglot::run::{Options, Told, train_with};
use tinyglot::train::Event;

use crate::log::log;
use crate::run::{PyRun, document};
use crate::work::heard;

/// What a training tells, to be heard on another thread.
enum Heard {
    /// The name of a logger's method, and the line.
    Line(&'static str, String),
    Preparing {
        stage: String,
        done: usize,
        total: usize,
        loss: f32,
    },
    Step {
        step: usize,
        steps: usize,
        loss: f32,
    },
    Validation {
        epoch: usize,
        evaluation: Box<Evaluation>,
        best: bool,
    },
}

impl Heard {
    fn new(told: Told) -> Option<Heard> {
        match told {
            Told::Line(line) => Some(Heard::Line("info", line.into())),
            Told::Detail(line) => Some(Heard::Line("debug", line.into())),
            Told::Warning(line) => Some(Heard::Line("warning", line.into())),
            Told::Preparing { stage, done, total, loss } => {
                Some(Heard::Preparing { stage: stage.into(), done, total, loss })
            }
            Told::Event(&Event::Step { step, steps, loss }) => Some(Heard::Step { step, steps, loss }),
            Told::Event(&Event::Validation { epoch, evaluation, best }) => {
                Some(Heard::Validation { epoch, evaluation: Box::new(evaluation.clone()), best })
            }
            Told::Begun(_) | Told::Training { .. } | Told::Trained | Told::Evaluated(_) => None,
        }
    }

    /// What the callback is given.
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let event = PyDict::new(py);
        match self {
            Heard::Line(..) => {}
            Heard::Preparing { stage, done, total, loss } => {
                event.set_item("event", "preparing")?;
                event.set_item("stage", stage)?;
                event.set_item("done", done)?;
                event.set_item("total", total)?;
                event.set_item("loss", loss)?;
            }
            Heard::Step { step, steps, loss } => {
                event.set_item("event", "step")?;
                event.set_item("step", step)?;
                event.set_item("steps", steps)?;
                event.set_item("loss", loss)?;
            }
            Heard::Validation { epoch, evaluation, best } => {
                event.set_item("event", "validation")?;
                event.set_item("epoch", epoch)?;
                event.set_item("evaluation", document(py, evaluation)?)?;
                event.set_item("best", best)?;
            }
        }
        Ok(event)
    }
}

/// Trains a model by a configuration.
#[pyfunction]
#[pyo3(signature = (config, out, *, set = vec![], resume = false, cache = None, memory = None, stop_after = None, callback = None))]
#[allow(clippy::too_many_arguments)]
pub fn train(
    py: Python,
    config: PathBuf,
    out: PathBuf,
    set: Vec<String>,
    resume: bool,
    cache: Option<PathBuf>,
    memory: Option<f64>,
    stop_after: Option<usize>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Option<PyRun>> {
    let (stop, listens) = (Arc::new(AtomicBool::new(false)), callback.is_some());
    let asked = Arc::clone(&stop);
    let work = move |mut teller: crate::work::Teller<_, Heard>| {
        let config = Config::load(&config, &set)?;
        let options = Options { resume, cache: cache.as_deref(), memory, stop_after, stop: &asked };
        let mut tell = |told: Told| match Heard::new(told) {
            Some(heard) if listens || matches!(heard, Heard::Line(..)) => teller.tell(heard),
            _ => Ok(()),
        };
        let run = config.names(train_with(&config, &out, &options, &mut tell))?;
        Ok(run.map(PyRun::from))
    };
    heard(py, &stop, work, &mut |py, heard| match (&heard, &callback) {
        (Heard::Line(level, line), _) => log(py, level, line),
        (_, Some(callback)) => callback.call1(py, (heard.event(py)?,)).map(drop),
        (_, None) => Ok(()),
    })
}
