//! What is trained, whatever its shape.

use std::borrow::Cow;

use dfdx::prelude::HasShape;

use crate::device::{Matrix, Vector};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::linear::LinearWeights;
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{data, data_mut, data1, data1_mut};
#[cfg(feature = "cuda")]
use crate::optim::adam::cuda::TensorPtr;

/// A trainable tensor, to be updated in place.
pub enum Parameter<'a> {
    Matrix(&'a mut Matrix),
    Vector(&'a mut Vector),
    Table(&'a mut Table),
}

impl Parameter<'_> {
    /// (rows, columns), or (length) of a vector.
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

    /// Its numbers, row by row.
    pub fn floats(&self) -> Cow<'_, [f32]> {
        match self {
            Parameter::Matrix(m) => data(m),
            Parameter::Vector(v) => data1(v),
            Parameter::Table(t) => Cow::Borrowed(t.data()),
        }
    }

    /// A copy of its numbers.
    pub fn copied(&self) -> HostDeviceBuffer {
        self.floats().into_owned().into()
    }

    /// Where its numbers are on the GPU.
    #[cfg(feature = "cuda")]
    pub fn place(&self) -> TensorPtr {
        match self {
            Parameter::Matrix(m) => TensorPtr::of_matrix(m),
            Parameter::Vector(v) => TensorPtr::of_vector(v),
            Parameter::Table(t) => TensorPtr::of(t.values().device()),
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

    /// Changes its numbers for others, as many. On a GPU neither pass through the host.
    pub fn swap(&mut self, values: &mut HostDeviceBuffer) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = crate::device::cuda::gpu() {
            return match self {
                Parameter::Matrix(m) => gpu.swap(m, values),
                Parameter::Vector(v) => gpu.swap(v, values),
                Parameter::Table(t) => t.swap(values),
            };
        }
        match self {
            Parameter::Matrix(m) => data_mut(m).swap_with_slice(values.host_mut()),
            Parameter::Vector(v) => data1_mut(v).swap_with_slice(values.host_mut()),
            Parameter::Table(t) => t.swap(values),
        }
    }
}

/// Sees a parameter by name.
pub type Visitor<'a> = &'a mut dyn FnMut(&str, Parameter);

/// The parameters of a recurrent network, by name: `NAME.weight_ih` and so on, with the shapes of [`RecurrentWeights`].
pub fn visit_recurrent(name: &str, w: &mut RecurrentWeights, f: &mut dyn FnMut(&str, Parameter)) {
    f(&format!("{name}.weight_ih"), Parameter::Matrix(&mut w.weight_ih));
    f(&format!("{name}.weight_hh"), Parameter::Matrix(&mut w.weight_hh));
    f(&format!("{name}.bias_ih"), Parameter::Vector(&mut w.bias_ih));
    f(&format!("{name}.bias_hh"), Parameter::Vector(&mut w.bias_hh));
}

/// The parameters of a layer, by name: `NAME.weight` (outputs, inputs) and `NAME.bias` (outputs).
pub fn visit_linear(name: &str, w: &mut LinearWeights, f: &mut dyn FnMut(&str, Parameter)) {
    f(&format!("{name}.weight"), Parameter::Matrix(&mut w.weight));
    f(&format!("{name}.bias"), Parameter::Vector(&mut w.bias));
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
        for mut parameter in [Parameter::Matrix(&mut m), Parameter::Vector(&mut v), Parameter::Table(&mut t)]
        {
            let mut values = HostDeviceBuffer::new(other.to_vec());
            for (inside, outside) in [(other, own), (own, other)] {
                parameter.swap(&mut values);
                assert_eq!(bits(&parameter.floats()), bits(&inside));
                assert_eq!(bits(values.host()), bits(&outside));
            }
        }
        Parameter::Matrix(&mut m).swap(&mut other.to_vec().into());
        assert_eq!(bits(&data(&shared)), bits(&own), "a copy is another matrix");
    }
}
