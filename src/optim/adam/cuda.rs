//! The optimiser's step, its parameters and moments on the GPU.

use std::collections::HashMap;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::device::cuda::pinned::Sent;
use crate::device::cuda::{Gpu, GpuPtr, args, at, at_buffer, at_slice, must, unwritten, zeroed};
use crate::device::{Buffer, Scalar};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::{RowGradients, Table};

/// What all tensors of a step have in common (`optim/adam.rs`).
#[derive(Clone, Copy)]
pub struct Constants {
    pub b1: f32,
    pub b2: f32,
    pub epsilon: f32,
}

/// A tensor in a step, of `Job`'s layout in kernels/adam.cu.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Job {
    p: u64,
    g: u64,
    m: u64,
    v: u64,
    rows: u64,
    n: u64,
    rate: f32,
    root: f32,
    decay: f32,
    one: f32,
    width: u32,
    first: u32,
}

impl Job {
    /// Of `n` numbers with a gradient, in rows of so many.
    pub fn new(p: TensorPtr, n: usize, width: usize) -> Self {
        Job { p: p.0.0, n: n as u64, width: width as u32, ..Job::default() }
    }

    /// Of a tensor whose own numbers, not its gradient's, are looked at.
    pub fn of_numbers(p: TensorPtr, n: usize) -> Self {
        Job { g: p.0.0, ..Job::new(p, n, 1) }
    }

    pub fn of_gradient(&mut self, g: TensorPtr) {
        self.g = g.0.0;
    }

    /// The gradients are those of some rows of a table.
    pub fn of_rows(&mut self, values: TensorPtr, rows: &Sent) {
        (self.g, self.rows) = (values.0.0, rows.at().0);
    }

    pub fn of_moments(&mut self, m: TensorPtr, v: TensorPtr) {
        (self.m, self.v) = (m.0.0, v.0.0);
    }

    /// By rate, root, decay and what LAMB divides by.
    pub fn by(&mut self, [rate, root, decay, one]: [f32; 4]) {
        (self.rate, self.root, self.decay, self.one) = (rate, root, decay, one);
    }
}

/// As many tensors as go with a launch, and the number of floats of a block: an argument by value, of `Jobs`' layout.
const MOST_JOBS: usize = 48;

#[repr(C)]
#[derive(Clone, Copy)]
struct Launch {
    job: [Job; MOST_JOBS],
    count: u32,
    stretch: u32,
}

/// All tensors of a step: kernels take them at once, as many as go with a launch.
pub struct Jobs {
    gpu: &'static Gpu,
    all: Vec<Job>,
}

/// Floats of a block, and as many blocks as a step is cut into, nearly; long tensors have longer stretches.
const STRETCH: u64 = 4096;
const BLOCKS: u64 = 8192;

impl Jobs {
    pub fn new(gpu: &'static Gpu) -> Self {
        Jobs { gpu, all: Vec::new() }
    }

    pub fn push(&mut self, job: Job) {
        self.all.push(job);
    }

    /// The launches, each with its number of blocks and the number of its first tensor.
    fn launches(&self) -> Vec<(Launch, usize, usize)> {
        let numbers: u64 = self.all.iter().map(|job| job.n).sum();
        let stretch = numbers.div_ceil(BLOCKS).next_multiple_of(STRETCH).max(STRETCH);
        let launch = |(n, some): (usize, &[Job])| {
            let mut launch = Launch {
                job: [Job::default(); MOST_JOBS],
                count: some.len() as u32,
                stretch: stretch as u32,
            };
            let mut blocks = 0;
            for (to, job) in launch.job.iter_mut().zip(some) {
                *to = Job { first: blocks, ..*job };
                blocks += job.n.div_ceil(stretch) as u32;
            }
            (launch, blocks as usize, n * MOST_JOBS)
        };
        self.all.chunks(MOST_JOBS).enumerate().map(launch).collect()
    }

    /// What each tensor's gradient is multiplied by so that the norm of all, or of each, is at most `clip`; `norm` becomes that of all.
    pub fn clip(&self, clip: f32, each: bool, norm: &Scalar) -> CudaSlice<f32> {
        let (gpu, n) = (self.gpu, self.all.len());
        let (squares, scales) = (gpu.alloc(2 * n), gpu.alloc(n));
        for (launch, blocks, first) in self.launches() {
            let parts = gpu.alloc(2 * blocks);
            gpu.launch_with("square_parts", (blocks, 1), (128, 1), &launch, args![&parts]);
            let to = at_slice(&squares).plus(2 * first);
            self.sums(&launch, blocks, to, &parts);
        }
        let args = args![&scales, at(norm), &squares, n, clip, each];
        gpu.launch("clip_scales", (1, 1), (128, 1), args);
        scales
    }

    /// Sums what the blocks of each tensor have found.
    fn sums(&self, launch: &Launch, blocks: usize, to: GpuPtr, parts: &CudaSlice<f32>) {
        self.gpu.launch_with(
            "square_sums",
            (launch.count as usize, 1),
            (128, 1),
            launch,
            args![to, parts, blocks],
        );
    }

    /// One step of all.
    pub fn adam(&self, scales: &CudaSlice<f32>, c: Constants) {
        for (launch, blocks, first) in self.launches() {
            let args = args![at_slice(scales).plus(first), c.b1, c.b2, c.epsilon];
            self.gpu.launch_with("adam", (blocks, 1), (128, 1), &launch, args);
        }
    }

    /// One step of LAMB of all.
    pub fn lamb(&self, scales: &CudaSlice<f32>, c: Constants) {
        let gpu = self.gpu;
        for (launch, blocks, first) in self.launches() {
            let r = gpu.alloc(blocks * launch.stretch as usize);
            let ([own, step], [p, q]) =
                ([0; 2].map(|_| gpu.alloc(2 * blocks)), [0; 2].map(|_| gpu.alloc(2 * MOST_JOBS)));
            let scales = at_slice(scales).plus(first);
            let args = args![&r, &own, &step, scales, c.b1, c.b2, c.epsilon];
            gpu.launch_with("lamb_direction", (blocks, 1), (128, 1), &launch, args);
            self.sums(&launch, blocks, at_slice(&p), &own);
            self.sums(&launch, blocks, at_slice(&q), &step);
            gpu.launch_with("lamb_apply", (blocks, 1), (128, 1), &launch, args![&r, &p, &q]);
        }
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

impl Gpu {
    /// Gradients of some rows as one of a whole table (rows, width).
    pub fn scattered(&self, some: &[u32], values: TensorPtr, table: &Table) -> Buffer {
        let (rows, width) = (table.rows(), table.width);
        let mut places = vec![u32::MAX; rows];
        some.iter().enumerate().for_each(|(i, &row)| places[row as usize] = i as u32);
        let (whole, places) = (zeroed(rows * width), self.numbers(&places));
        self.each("add_rows", rows * width, args![at_buffer(&whole), values.0, &places, rows, width]);
        whole
    }

    /// Steps without a gradient for some rows of a table at p with moments m and v; `missed` (rows, 3) are coefficient and powers of β₁
    /// and β₂.
    pub(crate) fn adam_catch_up(
        &self,
        [p, m, v]: [TensorPtr; 3],
        (n, width): (usize, usize),
        rows: &Sent,
        missed: &Sent,
        epsilon: f32,
    ) {
        self.each("adam_catch_up", n * width, args![p.0, m.0, v.0, rows, missed, epsilon, n, width]);
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
        let settled = unwritten(n);
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
        let (had, new) = (unwritten(n), must(self.dev.try_zeros_like(tensor)));
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
