//! Generated from `proto/spool/v1/spool.proto`.
#![expect(missing_docs, clippy::allow_attributes, clippy::large_enum_variant, reason = "generated code")]

tonic::include_proto!("spool.v1");
