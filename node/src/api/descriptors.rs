//! What the interfaces consist of, as the build found it in `proto/`.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// An encoded `google.protobuf.FileDescriptorSet` of all files.
pub(super) const ENCODED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

fn decoded() -> FileDescriptorSet {
    FileDescriptorSet::decode(ENCODED).expect("the build encoded it")
}

/// The full names of all services.
pub(super) fn services() -> BTreeSet<String> {
    let files = decoded().file;
    let names = files
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| format!("{}.{}", file.package(), service.name())));
    names.collect()
}

/// The paths of all methods: `/package.Service/Method`.
pub fn methods() -> BTreeSet<String> {
    let files = decoded().file;
    let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let paths = services.flat_map(|(package, service)| {
        service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_methods() {
        let methods = methods();
        for path in ["/spool.v1.Spool/GetNode", "/threads.pb.API/GetToken", "/threads.net.pb.API/GetHostID"] {
            assert!(methods.contains(path), "{path} of {methods:?}");
        }
        let of = |service: &str| methods.iter().filter(|path| path.starts_with(service)).count();
        assert_eq!((of("/threads.pb.API/"), of("/threads.net.pb.API/")), (22, 12));
        assert!(services().contains("threads.pb.API"));
    }
}
