//! Copies of stores.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use spool_store::kv::{Batch, Kv, Memory, Space};

/// A copy in memory of all that a store holds now: what a backup is, or a copied machine.
pub fn copy_of(kv: &dyn Kv) -> Arc<dyn Kv> {
    let copy = Memory::default();
    let mut batch = Batch::default();
    for space in Space::ALL {
        kv.scan(space, &[], &[], &mut |key, value| {
            batch.put(space, key, Bytes::copy_from_slice(value));
            ControlFlow::Continue(())
        })
        .expect("the store can be read");
    }
    copy.write(&batch, true).expect("memory can be written");
    Arc::new(copy)
}
