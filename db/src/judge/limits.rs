//! Bounds of rules. All peers have to have the same: a change is a change of what rules say.

/// Bytes of a rule's source.
pub const SOURCE_BYTES: usize = 64 * 1024;

/// Steps of one run, as the engine counts its own instructions: a simple rule takes a hundred thousand, a turn of a loop two thousand. On one core of 2020 this
/// is about a third of a second.
pub const STEPS: u64 = 400_000_000;

/// Steps for each byte of the arguments, on top of that: reading numbers takes up to 1,400, text about 80. So what a rule may do does not depend on how large
/// a document is.
pub const STEPS_PER_BYTE: u64 = 2_000;

/// Steps of compiling a rule: several times what the largest takes.
pub const COMPILE_STEPS: u64 = 400_000_000;

/// Bytes of memory of one run, the engine's own megabyte included. A document of a mebibyte takes up to thirty times as much when it is read.
pub const MEMORY_BYTES: usize = 48 * 1024 * 1024;

/// Calls within one another, as the engine counts its own; two or three of them make one of a rule.
pub const DEPTH: usize = 1_000;

/// Bytes of one argument as JSON: a document of a mebibyte may be six times as large, if it is made of control characters.
pub const ARGUMENT_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a reason or an exception; what is longer is cut.
pub const TEXT_BYTES: usize = 1_024;

/// Compiled rules that are kept, about 300 KB each.
pub const KEPT_RULES: usize = 32;
