//! The optimiser's step, its parameters and moments on the GPU.

use std::collections::HashMap;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::device::Buffer;
use crate::device::cuda::{Gpu, GpuPtr, args, at, at_buffer, at_slice, must, zeroed};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::{RowGradients, Table};

/// The constants of one step (`optim/adam.rs`).
#[derive(Clone, Copy)]
pub struct Constants {
    pub b1: f32,
    pub b2: f32,
    pub rate: f32,
    pub root: f32,
    pub epsilon: f32,
}

/// Squares of tensors, and what follows from them: it stays on the GPU until somebody asks for the norm.
pub struct Norms {
    gpu: &'static Gpu,
    squares: CudaSlice<f32>,
    parts: CudaSlice<f32>,
    room: usize,
    count: usize,
}

/// Blocks that a sum of squares is cut into, at most.
const PARTS: usize = 1024;

impl Norms {
    /// For up to `room` tensors.
    pub fn new(gpu: &'static Gpu, room: usize) -> Self {
        Norms { gpu, squares: gpu.alloc(2 * room), parts: gpu.alloc(2 * PARTS), room, count: 0 }
    }

    /// Counts a tensor of `n` numbers in.
    pub fn add(&mut self, x: TensorPtr, n: usize) {
        assert!(self.count < self.room, "more tensors than were announced");
        let blocks = n.div_ceil(128).clamp(1, PARTS);
        self.gpu.launch("square_parts", (blocks, 1), (128, 1), args![&self.parts, x.0, n as u64]);
        let args = args![&self.squares, self.count, &self.parts, blocks];
        self.gpu.launch("square_sum", (1, 1), (128, 1), args);
        self.count += 1;
    }

    /// What each tensor's gradient is multiplied by, and the norm of all.
    pub fn clip(self, clip: f32, each: bool) -> Clipped {
        let (scales, norm) = (self.gpu.alloc(self.count), self.gpu.alloc(1));
        let args = args![&scales, &norm, &self.squares, self.count, clip, each];
        self.gpu.launch("clip_scales", (1, 1), (128, 1), args);
        Clipped { gpu: self.gpu, scales, norm }
    }
}

/// The factors of a step's gradients.
pub struct Clipped {
    gpu: &'static Gpu,
    scales: CudaSlice<f32>,
    norm: CudaSlice<f32>,
}

impl Clipped {
    /// The norm of all; waits for the GPU.
    pub fn norm(&self) -> f32 {
        must(self.gpu.cuda.dtoh_sync_copy(&self.norm))[0]
    }

    fn scale(&self, tensor: usize) -> GpuPtr {
        at_slice(&self.scales).plus(tensor)
    }
}

/// Where floats are on the GPU.
#[derive(Clone, Copy)]
pub struct TensorPtr(GpuPtr);

impl TensorPtr {
    pub fn of_matrix(m: &crate::device::Matrix) -> TensorPtr {
        TensorPtr(crate::device::cuda::at(m))
    }

    pub fn of_vector(v: &crate::device::Vector) -> TensorPtr {
        TensorPtr(crate::device::cuda::at(v))
    }

    pub fn of(buffer: &crate::device::Buffer) -> TensorPtr {
        TensorPtr(crate::device::cuda::at_buffer(buffer))
    }
}

/// A parameter, or what belongs to it.
#[derive(Clone, Copy)]
pub struct Moments {
    pub p: TensorPtr,
    pub m: TensorPtr,
    pub v: TensorPtr,
}

impl Gpu {
    /// One step of a whole tensor, the `tensor`-th of those that were counted.
    pub fn adam_dense(
        &self,
        to: Moments,
        g: TensorPtr,
        c: Constants,
        decay: f32,
        (clipped, tensor): (&Clipped, usize),
        n: usize,
    ) {
        let scale = clipped.scale(tensor);
        let args =
            args![to.p.0, g.0, to.m.0, to.v.0, scale, c.b1, c.b2, c.rate, c.root, decay, c.epsilon, n as u64];
        self.each("adam_dense", n, args);
    }

    /// One step of LAMB for a whole tensor; `own` has the rate, what m is divided by, and the decay.
    pub fn lamb(
        &self,
        to: Moments,
        g: TensorPtr,
        c: Constants,
        own: [f32; 3],
        (clipped, tensor): (&Clipped, usize),
        n: usize,
    ) {
        let ([rate, one, decay], scale, r) = (own, clipped.scale(tensor), zeroed(n));
        let r = at_buffer(&r);
        let args =
            args![r, to.p.0, g.0, to.m.0, to.v.0, scale, c.b1, c.b2, one, c.root, decay, c.epsilon, n as u64];
        self.each("lamb_direction", n, args);
        let (squares, parts) = (self.alloc(4), self.alloc(2 * PARTS));
        let blocks = n.div_ceil(128).clamp(1, PARTS);
        for (k, x) in [to.p.0, r].into_iter().enumerate() {
            self.launch("square_parts", (blocks, 1), (128, 1), args![&parts, x, n as u64]);
            self.launch("square_sum", (1, 1), (128, 1), args![&squares, k, &parts, blocks]);
        }
        self.each("lamb_apply", n, args![to.p.0, r, &squares, rate, n as u64]);
    }

    /// Gradients of some rows as one of a whole table (rows, width).
    pub fn scattered(&self, some: &[u32], values: TensorPtr, (rows, width): (usize, usize)) -> Buffer {
        let mut places = vec![u32::MAX; rows];
        some.iter().enumerate().for_each(|(i, &row)| places[row as usize] = i as u32);
        let (whole, places) = (zeroed(rows * width), self.numbers(&places));
        self.each("add_rows", rows * width, args![at_buffer(&whole), values.0, &places, rows, width]);
        whole
    }

    /// One step of some rows of a table; `values` (rows, width) are their gradients.
    pub fn adam_rows(
        &self,
        to: Moments,
        (rows, values): (&[u32], TensorPtr),
        width: usize,
        c: Constants,
        (clipped, tensor): (&Clipped, usize),
    ) {
        let (n, scale, rows) = (rows.len(), clipped.scale(tensor), self.numbers(rows));
        let args = args![
            to.p.0, values.0, to.m.0, to.v.0, scale, &rows, c.b1, c.b2, c.rate, c.root, c.epsilon, n, width
        ];
        self.each("adam_rows", n * width, args);
    }

    /// Steps without a gradient for some rows; `missed` (rows, 3) are coefficient and powers of β₁ and β₂.
    pub fn adam_catch_up(&self, to: Moments, rows: &[u32], missed: &[f32], width: usize, epsilon: f32) {
        let (n, rows, missed) = (rows.len(), self.numbers(rows), self.floats(missed));
        let args = args![to.p.0, to.m.0, to.v.0, &rows, &missed, epsilon, n, width];
        self.each("adam_catch_up", n * width, args);
    }

    /// A table with all rows at the present step; `coefficients` (rows) are those of m / (√v + ε).
    pub fn adam_settled(
        &self,
        table: &Table,
        [m, v]: [TensorPtr; 2],
        coefficients: &[f32],
        epsilon: f32,
    ) -> Buffer {
        let n = table.rows() * table.width;
        let settled = zeroed(n);
        let to = at_buffer(&settled);
        self.copy(to, at_buffer(table.values().device()), n);
        let coefficients = self.floats(coefficients);
        self.each("adam_settle", n, args![to, m.0, v.0, &coefficients, epsilon, n as u64, table.width]);
        settled
    }

    /// One gradient for each row, in the order in which the rows first came.
    pub fn merged(&self, mut entries: Vec<RowGradients>, width: usize) -> RowGradients {
        if entries.len() <= 1 {
            return entries.pop().unwrap_or_else(|| (Vec::new(), HostDeviceBuffer::on_device(zeroed(0))));
        }
        let (mut rows, mut place) = (Vec::new(), HashMap::new());
        for &row in entries.iter().flat_map(|(some, _)| some) {
            place.entry(row).or_insert_with(|| {
                rows.push(row);
                rows.len() - 1
            });
        }
        let n = rows.len();
        let sum = zeroed(n * width);
        for (some, values) in &entries {
            let mut from = vec![u32::MAX; n];
            some.iter().enumerate().for_each(|(i, row)| from[place[row]] = i as u32);
            let from = self.numbers(&from);
            let args = args![at_buffer(&sum), at_buffer(values.device()), &from, n, width];
            self.each("add_rows", n * width, args);
        }
        (rows, HostDeviceBuffer::on_device(sum))
    }

    /// Changes the numbers of a tensor for others, as many; copies of the tensor keep theirs.
    pub fn swap<S: Shape>(&self, tensor: &mut Tensor<S, f32, Cuda>, values: &mut HostDeviceBuffer) {
        let n = tensor.shape().num_elements();
        let (had, new) = (zeroed(n), must(self.dev.try_zeros_like(tensor)));
        self.copy(at_buffer(&had), at(tensor), n);
        self.copy(at(&new), at_buffer(values.device()), n);
        (*tensor, *values) = (new, HostDeviceBuffer::on_device(had));
    }

    /// Moments before the first step.
    pub fn no_moments(&self, n: usize) -> HostDeviceBuffer {
        HostDeviceBuffer::on_device(zeroed(n))
    }

    /// average += rate · (now − average)
    pub fn average(&self, average: TensorPtr, now: TensorPtr, rate: f32, n: usize) {
        self.each("move_towards", n, args![average.0, now.0, 1.0f32, rate, n]);
    }
}
