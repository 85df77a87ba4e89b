//! The services. A call that has no method here answers UNIMPLEMENTED: the build generates that.

use super::{net_pb, pb};

/// `threads.pb.API`.
#[derive(Debug, Clone)]
pub struct Databases;

impl pb::api_server::Api for Databases {}

/// `threads.net.pb.API`.
#[derive(Debug, Clone)]
pub struct Network;

impl net_pb::api_server::Api for Network {}
