//! Floats that live where they were last changed: in the host's memory, or on the device as well.

use std::fmt;
#[cfg(feature = "cuda")]
use std::sync::OnceLock;

/// The floats of a large table. On a GPU the host has its copy when it asks for it, and the device when a kernel does.
#[derive(Clone, Default)]
pub struct HostDeviceBuffer {
    #[cfg(not(feature = "cuda"))]
    host: Vec<f32>,
    /// At least one of both is set; what the host changes takes the device's away, and the other way.
    #[cfg(feature = "cuda")]
    host: OnceLock<Vec<f32>>,
    #[cfg(feature = "cuda")]
    device: OnceLock<crate::device::Buffer>,
}

impl HostDeviceBuffer {
    /// Floats of the host.
    pub fn new(floats: Vec<f32>) -> Self {
        #[cfg(not(feature = "cuda"))]
        return HostDeviceBuffer { host: floats };
        #[cfg(feature = "cuda")]
        HostDeviceBuffer { host: floats.into(), device: OnceLock::new() }
    }

    /// Floats of the device.
    #[cfg(feature = "cuda")]
    pub fn on_device(device: crate::device::Buffer) -> Self {
        HostDeviceBuffer { host: OnceLock::new(), device: device.into() }
    }

    /// How many floats there are; nothing is waited for.
    pub fn len(&self) -> usize {
        #[cfg(feature = "cuda")]
        if let Some(device) = self.device.get() {
            return cudarc::driver::DeviceSlice::len(&**device);
        }
        self.host().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The floats on the host; on a GPU this waits for them, where the device changed them last.
    pub fn host(&self) -> &[f32] {
        #[cfg(not(feature = "cuda"))]
        return &self.host;
        #[cfg(feature = "cuda")]
        self.host.get_or_init(|| self.device.get().map(crate::device::cuda::download).unwrap_or_default())
    }

    /// The floats, for the host to change.
    pub fn host_mut(&mut self) -> &mut Vec<f32> {
        #[cfg(not(feature = "cuda"))]
        return &mut self.host;
        #[cfg(feature = "cuda")]
        {
            self.host();
            self.device.take();
            self.host.get_mut().expect("just read")
        }
    }

    /// The floats on the device, sent there if need be.
    #[cfg(feature = "cuda")]
    pub fn device(&self) -> &crate::device::Buffer {
        self.device.get_or_init(|| crate::device::cuda::uploaded(self.host()))
    }

    /// The floats, for the device to change: the host's copy goes.
    #[cfg(feature = "cuda")]
    pub fn device_mut(&mut self) -> &mut crate::device::Buffer {
        self.device();
        self.host.take();
        self.device.get_mut().expect("just uploaded")
    }
}

impl From<Vec<f32>> for HostDeviceBuffer {
    fn from(floats: Vec<f32>) -> Self {
        HostDeviceBuffer::new(floats)
    }
}

impl fmt::Debug for HostDeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.host().fmt(f)
    }
}

impl PartialEq for HostDeviceBuffer {
    fn eq(&self, other: &Self) -> bool {
        self.host() == other.host()
    }
}
