//! What is trained, whatever its shape.

use std::borrow::Cow;

use dfdx::prelude::HasShape;

use crate::device::{Matrix, Vector};
#[cfg(feature = "cuda")]
use crate::ops::cuda::adam::Place;
use crate::ops::mirrored::Mirrored;
use crate::ops::rows::Table;
use crate::ops::tape::{data, data_mut, data1, data1_mut};

/// A trainable tensor, to be updated in place.
pub enum Parameter<'a> {
    Matrix(&'a mut Matrix),
    Vector(&'a mut Vector),
    Table(&'a mut Table),
}

impl Parameter<'_> {
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Parameter::Matrix(m) => vec![m.shape().0, m.shape().1],
            Parameter::Vector(v) => vec![v.shape().0],
            Parameter::Table(t) => vec![t.rows(), t.width],
        }
    }

    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.shape().iter().product()
    }

    pub fn floats(&self) -> Cow<'_, [f32]> {
        match self {
            Parameter::Matrix(m) => data(m),
            Parameter::Vector(v) => data1(v),
            Parameter::Table(t) => Cow::Borrowed(t.data()),
        }
    }

    /// A copy of its numbers.
    pub fn copied(&self) -> Mirrored {
        self.floats().into_owned().into()
    }

    /// Where its numbers are on the GPU.
    #[cfg(feature = "cuda")]
    pub fn place(&self) -> Place {
        match self {
            Parameter::Matrix(m) => Place::of_matrix(m),
            Parameter::Vector(v) => Place::of_vector(v),
            Parameter::Table(t) => Place::of(t.values().device()),
        }
    }

    /// Takes other values, as many as it has.
    pub fn set(&mut self, values: &[f32]) {
        match self {
            Parameter::Matrix(m) => data_mut(m).copy_from_slice(values),
            Parameter::Vector(v) => data1_mut(v).copy_from_slice(values),
            Parameter::Table(t) => t.data_mut().copy_from_slice(values),
        }
    }
}

/// Sees a parameter by name.
pub type Visitor<'a> = &'a mut dyn FnMut(&str, Parameter);
