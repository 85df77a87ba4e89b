//! Compiles the gRPC interfaces with protox, so that no `protoc` is needed.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut all = protox::compile(["spool/v1/database.proto", "spool/v1/spool.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(all.clone())?;

    let threads = protox::compile(["threads/threads.proto", "threads/threadsnet.proto"], ["proto"])?;
    // A call that has no method in the service answers UNIMPLEMENTED.
    tonic_prost_build::configure().bytes(".").generate_default_stubs(true).compile_fds(threads.clone())?;

    // Reflection serves these, and they say which paths are methods.
    all.file.extend(threads.file);
    let path = std::path::Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(path, all.encode_to_vec())?;
    Ok(())
}
