//! Counts the steps of a WebAssembly module in the module itself: `judge-engine IN OUT`.
//!
//! Every straight run of instructions subtracts its length from the exported global `steps_left` before it begins, and traps when that is not enough. So the
//! count is a property of the module, the same in every runtime and every version of one.

use std::error::Error;

use wasm_instrument::gas_metering::{ConstantCostRules, inject, mutable_global};
use wasm_instrument::parity_wasm;

/// Steps of one instruction.
const INSTRUCTION: u32 = 1;
/// Steps of one more page of memory, which has to be cleared.
const PAGE: u32 = 10_000;
/// Steps of one local variable of a call, which has to be cleared as well.
const LOCAL: u32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = std::env::args_os().skip(1);
    let (Some(input), Some(output)) = (files.next(), files.next()) else {
        return Err("usage: judge-engine IN OUT".into());
    };
    let module = parity_wasm::deserialize_file(input)?;
    let costs = ConstantCostRules::new(INSTRUCTION, PAGE, LOCAL);
    let counted = inject(module, mutable_global::Injector::new("steps_left"), &costs);
    let counted = counted.map_err(|_| "the module has something that cannot be counted")?;
    parity_wasm::serialize_to_file(output, counted)?;
    Ok(())
}
