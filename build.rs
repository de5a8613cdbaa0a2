//! Compiles the CUDA kernels for all common architectures, where the feature `cuda` asks for them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some() {
        kernels();
    }
}

/// Turing to Hopper as machine code, later ones as PTX, which the driver compiles when it loads it.
const ARCHITECTURES: [&str; 4] = ["75", "80", "86", "90"];

fn kernels() {
    let folder = "src/device/cuda/kernels";
    println!("cargo:rerun-if-changed={folder}");
    println!("cargo:rerun-if-env-changed=NVCC");
    println!("cargo:rerun-if-env-changed=CUDA_ROOT");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names it"));
    let image = out.join("kernels.fatbin");
    if std::env::var_os("CARGO_FEATURE_CI_CHECK").is_some() {
        return std::fs::write(&image, [0]).expect("a file in cargo's folder");
    }
    let nvcc = std::env::var("NVCC").unwrap_or_else(|_| "nvcc".into());
    let mut command = std::process::Command::new(&nvcc);
    command.args(["--fatbin", "-O3"]);
    for architecture in ARCHITECTURES {
        command.arg("-gencode").arg(format!("arch=compute_{architecture},code=sm_{architecture}"));
    }
    let last = ARCHITECTURES[ARCHITECTURES.len() - 1];
    command.arg("-gencode").arg(format!("arch=compute_{last},code=compute_{last}"));
    command.arg("-o").arg(&image).arg(format!("{folder}/all.cu"));
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("`{nvcc}` could not compile {folder}/all.cu: {status}"),
        Err(why) => panic!(
            "`{nvcc}` of the CUDA toolkit does not run ({why}): install it, or put it into PATH or NVCC"
        ),
    }
}
