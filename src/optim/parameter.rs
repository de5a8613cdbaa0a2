//! A parameter of a model, whatever its shape.

use std::borrow::Cow;

use dfdx::prelude::HasShape;

use crate::device::{Buffer, Matrix, Vector};
use crate::numbers::Rows;
use crate::ops::batch_norm::BatchNormWeights;
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::packs::Packs;
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{Grads, data, data_mut, data1, data1_mut};
use crate::ops::transformer::{NormWeights, Projection};
#[cfg(feature = "cuda")]
use crate::optim::adam::cuda::TensorPtr;

/// A tensor of any shape, to be changed in place.
pub enum TensorMut<'a> {
    /// (rows, columns)
    Matrix(&'a mut Matrix),
    /// (length)
    Vector(&'a mut Vector),
    /// (rows, width), of which a step reads few rows.
    Table(&'a mut Table),
}

/// What the optimiser does with parameters of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Matrices: they decay.
    Weights,
    /// Vectors: they decay, but for BertAdam.
    Biases,
    /// A single number is a scale, which no decay should take to 1 (Radford et al. 2021).
    Scale,
    /// Rows of tables: they are updated in steps that read them, and do not decay.
    Rows,
}

/// One tensor of a leaf, as a visit of a [`ParameterTree`](super::ParameterTree) sees it.
pub struct Parameter<'a> {
    tensor: TensorMut<'a>,
    /// That of its leaf; a table's own, and a buffer has none.
    rate: Option<&'a mut Rate>,
    packs: Option<&'a mut Packs>,
    buffer: bool,
}

impl<'a> Parameter<'a> {
    /// A matrix of a leaf with this rate.
    pub fn matrix(m: &'a mut Matrix, rate: &'a mut Rate) -> Self {
        Parameter { tensor: TensorMut::Matrix(m), rate: Some(rate), packs: None, buffer: false }
    }

    /// A vector of a leaf with this rate.
    pub fn vector(v: &'a mut Vector, rate: &'a mut Rate) -> Self {
        Parameter { tensor: TensorMut::Vector(v), rate: Some(rate), packs: None, buffer: false }
    }

    /// A table, which is a leaf itself.
    pub fn table(t: &'a mut Table) -> Self {
        Parameter { tensor: TensorMut::Table(t), rate: None, packs: None, buffer: false }
    }

    /// A vector that is stored and never trained, such as running statistics.
    pub fn buffer(v: &'a mut Vector) -> Self {
        Parameter { tensor: TensorMut::Vector(v), rate: None, packs: None, buffer: true }
    }

    /// A table that is stored and never trained.
    pub fn fixed_table(t: &'a mut Table) -> Self {
        Parameter { tensor: TensorMut::Table(t), rate: None, packs: None, buffer: true }
    }

    /// Of weights that are packed while they are frozen.
    fn packed(self, packs: &'a mut Packs) -> Self {
        Parameter { packs: Some(packs), ..self }
    }

    /// How fast it learns now.
    pub fn rate(&self) -> Rate {
        match (&self.tensor, &self.rate) {
            _ if self.buffer => Rate::FROZEN,
            (_, Some(rate)) => **rate,
            (TensorMut::Table(table), None) => table.rate,
            _ => Rate::FROZEN,
        }
    }

    /// Whether it is trained now.
    pub fn trained(&self) -> bool {
        self.rate().trained()
    }

    /// Gives its leaf another rate; a buffer keeps none.
    pub fn set_rate(&mut self, rate: Rate) {
        self.clear_packs();
        match (&mut self.tensor, &mut self.rate) {
            _ if self.buffer => {}
            (_, Some(own)) => **own = rate,
            (TensorMut::Table(table), None) => table.rate = rate,
            _ => {}
        }
    }

    /// What the optimiser does with it.
    pub fn group(&self) -> Group {
        match &self.tensor {
            TensorMut::Matrix(_) => Group::Weights,
            TensorMut::Vector(v) if v.shape().0 == 1 => Group::Scale,
            TensorMut::Vector(_) => Group::Biases,
            TensorMut::Table(_) => Group::Rows,
        }
    }

    /// Its table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.tensor {
            TensorMut::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The tensor, to be changed.
    pub fn tensor(&mut self) -> TensorMut<'_> {
        self.clear_packs();
        match &mut self.tensor {
            TensorMut::Matrix(m) => TensorMut::Matrix(m),
            TensorMut::Vector(v) => TensorMut::Vector(v),
            TensorMut::Table(t) => TensorMut::Table(t),
        }
    }

    fn clear_packs(&mut self) {
        self.packs.iter_mut().for_each(|packs| packs.clear());
    }

    /// The gradient that backward has left for a matrix or a vector; nothing for a table, which keeps its own.
    pub fn gradient<'g>(&self, grads: &'g mut Grads) -> Option<&'g mut Buffer> {
        match &self.tensor {
            TensorMut::Matrix(p) => Some(grads.get_or_alloc_mut(&**p).expect("memory for a gradient")),
            TensorMut::Vector(p) => Some(grads.get_or_alloc_mut(&**p).expect("memory for a gradient")),
            TensorMut::Table(_) => None,
        }
    }

    /// (rows, columns), or (length) of a vector.
    pub fn shape(&self) -> Vec<usize> {
        match &self.tensor {
            TensorMut::Matrix(m) => vec![m.shape().0, m.shape().1],
            TensorMut::Vector(v) => vec![v.shape().0],
            TensorMut::Table(t) => vec![t.rows(), t.width],
        }
    }

    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.shape().iter().product()
    }

    /// Its numbers, row by row.
    pub fn floats(&self) -> Cow<'_, [f32]> {
        match &self.tensor {
            TensorMut::Matrix(m) => data(m),
            TensorMut::Vector(v) => data1(v),
            TensorMut::Table(t) => Cow::Borrowed(t.data()),
        }
    }

    /// A copy of its numbers.
    pub fn copied(&self) -> HostDeviceBuffer {
        self.floats().into_owned().into()
    }

    /// Where its numbers are on the GPU.
    #[cfg(feature = "cuda")]
    pub fn place(&self) -> TensorPtr {
        match &self.tensor {
            TensorMut::Matrix(m) => TensorPtr::of_matrix(m),
            TensorMut::Vector(v) => TensorPtr::of_vector(v),
            TensorMut::Table(t) => TensorPtr::of(t.values().device()),
        }
    }

    /// Takes other values, as many as it has.
    pub fn set(&mut self, values: &[f32]) {
        match self.tensor() {
            TensorMut::Matrix(m) => data_mut(m).copy_from_slice(values),
            TensorMut::Vector(v) => data1_mut(v).copy_from_slice(values),
            TensorMut::Table(t) => t.data_mut().copy_from_slice(values),
        }
    }

    /// Of a table: takes rows that stay as they are kept, of the same shape; what is no table takes them as floats.
    pub fn set_kept(&mut self, rows: Rows) {
        match self.tensor() {
            TensorMut::Table(t) => t.set_kept(rows),
            TensorMut::Matrix(_) | TensorMut::Vector(_) => self.set(&rows.all()),
        }
    }

    /// Changes its numbers for others, as many. On a GPU neither pass through the host.
    pub fn swap(&mut self, values: &mut HostDeviceBuffer) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = crate::device::cuda::gpu() {
            return match self.tensor() {
                TensorMut::Matrix(m) => gpu.swap(m, values),
                TensorMut::Vector(v) => gpu.swap(v, values),
                TensorMut::Table(t) => t.swap(values),
            };
        }
        match self.tensor() {
            TensorMut::Matrix(m) => data_mut(m).swap_with_slice(values.host_mut()),
            TensorMut::Vector(v) => data1_mut(v).swap_with_slice(values.host_mut()),
            TensorMut::Table(t) => t.swap(values),
        }
    }
}

/// Sees a parameter by name.
pub type Visitor<'a> = &'a mut dyn FnMut(&str, Parameter);

/// The parameters of a recurrent network, by name: `NAME.weight_ih` and so on, with the shapes of [`RecurrentWeights`].
pub fn visit_recurrent(name: &str, w: &mut RecurrentWeights, f: Visitor) {
    f(&format!("{name}.weight_ih"), Parameter::matrix(&mut w.weight_ih, &mut w.rate).packed(&mut w.packs_ih));
    f(&format!("{name}.weight_hh"), Parameter::matrix(&mut w.weight_hh, &mut w.rate).packed(&mut w.packs_hh));
    f(&format!("{name}.bias_ih"), Parameter::vector(&mut w.bias_ih, &mut w.rate));
    f(&format!("{name}.bias_hh"), Parameter::vector(&mut w.bias_hh, &mut w.rate));
}

/// The parameters of a layer, by name: `NAME.weight` (outputs, inputs) and `NAME.bias` (outputs).
pub fn visit_linear(name: &str, w: &mut LinearWeights, f: Visitor) {
    f(&format!("{name}.weight"), Parameter::matrix(&mut w.weight, &mut w.rate));
    f(&format!("{name}.bias"), Parameter::vector(&mut w.bias, &mut w.rate));
}

/// As [`visit_linear`].
pub fn visit_projection(name: &str, projection: &mut Projection, f: Visitor) {
    visit_weight(name, projection, f);
    let w = &mut projection.weights;
    f(&format!("{name}.bias"), Parameter::vector(&mut w.bias, &mut w.rate));
}

/// As [`visit_linear`], of a layer whose bias is no parameter.
pub fn visit_weight(name: &str, Projection { weights: w, packs }: &mut Projection, f: Visitor) {
    f(&format!("{name}.weight"), Parameter::matrix(&mut w.weight, &mut w.rate).packed(packs));
}

/// The parameters of a layer normalisation, by name: `NAME.scale` and `NAME.shift` (width).
pub fn visit_norm(name: &str, w: &mut NormWeights, f: Visitor) {
    f(&format!("{name}.scale"), Parameter::vector(&mut w.scale, &mut w.rate));
    f(&format!("{name}.shift"), Parameter::vector(&mut w.shift, &mut w.rate));
}

/// The parameters of a batch normalisation, by name: `NAME.scale` and `NAME.shift`, and the buffers `NAME.mean` and `NAME.variance` (width).
pub fn visit_batch_norm(name: &str, w: &mut BatchNormWeights, f: Visitor) {
    f(&format!("{name}.scale"), Parameter::vector(&mut w.scale, &mut w.rate));
    f(&format!("{name}.shift"), Parameter::vector(&mut w.shift, &mut w.rate));
    f(&format!("{name}.mean"), Parameter::buffer(&mut w.mean));
    f(&format!("{name}.variance"), Parameter::buffer(&mut w.variance));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tape::{matrix, vector};

    #[test]
    fn swapping_twice_gives_back_every_bit() {
        let own = [1.5, -0.0, f32::MIN_POSITIVE / 8.0, -7.0, 0.1, 3.0];
        let other = [9.0, 8.0, -0.0, 6.0, 5.0, 4.0];
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let (mut m, mut v) = (matrix(own.to_vec(), 2, 3), vector(own.to_vec()));
        let (shared, mut t) = (m.clone(), Table::new(2, own.to_vec()));
        let mut rates = [Rate::TRAINED, Rate::FROZEN, Rate::TRAINED];
        let [a, b, c] = &mut rates;
        let all = [Parameter::matrix(&mut m, a), Parameter::vector(&mut v, b), Parameter::table(&mut t)];
        for mut parameter in all {
            let mut values = HostDeviceBuffer::new(other.to_vec());
            for (inside, outside) in [(other, own), (own, other)] {
                parameter.swap(&mut values);
                assert_eq!(bits(&parameter.floats()), bits(&inside));
                assert_eq!(bits(values.host()), bits(&outside));
            }
        }
        Parameter::matrix(&mut m, c).swap(&mut other.to_vec().into());
        assert_eq!(bits(&data(&shared)), bits(&own), "a copy is another matrix");
    }
}
