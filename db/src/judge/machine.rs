//! The machine that rules run in: QuickJS, compiled to WebAssembly, which nothing gets out of.
//!
//! `engine.wasm` imports nothing and counts its own steps (`db/engine` builds it). A [`Process`] is a fresh instance whose memory is put back to a kept
//! [`Snapshot`]: what one run does, no other sees, and starting one costs about a tenth of a millisecond.

use wasmi::{
    CompilationMode, Config, Engine, Global, Instance, Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder,
    TrapCode, Val, WasmParams,
};

use super::limits::{DEPTH, MEMORY_BYTES};

const ENGINE: &[u8] = include_bytes!("engine.wasm");

/// Bytes that are kept or not as a whole.
const CHUNK_BYTES: usize = 4 * 1024;
/// Bytes by which memory grows: a page of WebAssembly.
const PAGE_BYTES: u64 = 64 * 1024;
/// Steps for what the engine does at its start, which is always the same.
const START_STEPS: u64 = 100_000_000;

/// Why a process stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    Steps,
    Depth,
    Memory,
    Engine(String),
}

/// The engine, ready to run. Cheap to share, expensive to make.
pub(super) struct Machine {
    engine: Engine,
    module: Module,
    /// Memory of an instance that has not run.
    blank: Vec<u8>,
    /// Memory after the engine's start.
    started: Snapshot,
}

/// Memory of a process between two calls, as far as it differs from that of a new instance.
pub(super) struct Snapshot {
    bytes: usize,
    chunks: Vec<(usize, Box<[u8]>)>,
}

/// An instance that runs once.
pub(super) struct Process {
    store: Store<StoreLimits>,
    instance: Instance,
    memory: Memory,
    steps: Global,
}

impl Machine {
    pub(super) fn new() -> Result<Self, Stopped> {
        let mut config = Config::default();
        config.set_max_recursion_depth(DEPTH).compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, ENGINE).map_err(failed)?;
        let nothing = Snapshot { bytes: 0, chunks: Vec::new() };
        let mut machine = Self { engine, module, blank: Vec::new(), started: nothing };
        let mut process = machine.spawn(&machine.started, START_STEPS)?;
        machine.blank = process.memory.data(&process.store).to_vec();
        match process.call("start", ())? {
            0 => machine.started = machine.snapshot(&process),
            step => return Err(Stopped::Engine(format!("it cannot start: {step}"))),
        }
        Ok(machine)
    }

    /// A process that has the engine started and nothing else.
    pub(super) fn start(&self, steps: u64) -> Result<Process, Stopped> {
        self.spawn(&self.started, steps)
    }

    /// A process that goes on from a snapshot.
    pub(super) fn spawn(&self, from: &Snapshot, steps: u64) -> Result<Process, Stopped> {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        let instance = Linker::new(&self.engine).instantiate_and_start(&mut store, &self.module).map_err(failed)?;
        let missing = || Stopped::Engine("it lacks an export".into());
        let memory = instance.get_memory(&store, "memory").ok_or_else(missing)?;
        let counter = instance.get_global(&store, "steps_left").ok_or_else(missing)?;
        let lacking = from.bytes.saturating_sub(memory.data_size(&store)) as u64 / PAGE_BYTES;
        memory.grow(&mut store, lacking).map_err(failed)?;
        for (at, chunk) in &from.chunks {
            memory.data_mut(&mut store)[*at..*at + chunk.len()].copy_from_slice(chunk);
        }
        let left = i64::try_from(steps).unwrap_or(i64::MAX);
        counter.set(&mut store, Val::I64(left)).map_err(failed)?;
        Ok(Process { store, instance, memory, steps: counter })
    }

    /// What a process between two calls has in its memory.
    pub(super) fn snapshot(&self, process: &Process) -> Snapshot {
        let data = process.memory.data(&process.store);
        let is_new = |at: usize, chunk: &[u8]| match self.blank.get(at..at + chunk.len()) {
            Some(blank) => blank != chunk,
            None => chunk.iter().any(|byte| *byte != 0),
        };
        let chunks = data.chunks(CHUNK_BYTES).enumerate().map(|(number, chunk)| (number * CHUNK_BYTES, chunk));
        let chunks = chunks.filter(|(at, chunk)| is_new(*at, chunk)).map(|(at, chunk)| (at, chunk.into()));
        Snapshot { bytes: data.len(), chunks: chunks.collect() }
    }
}

impl Process {
    /// Writes a text into memory: where it is, and how long.
    pub(super) fn put(&mut self, text: &str) -> Result<(i32, i32), Stopped> {
        let length = i32::try_from(text.len()).map_err(|_| Stopped::Memory)?;
        let at = self.call("reserve", length)?;
        let begin = usize::try_from(at).ok().filter(|begin| *begin > 0).ok_or(Stopped::Memory)?;
        let room = self.memory.data_mut(&mut self.store).get_mut(begin..begin + text.len());
        room.ok_or(Stopped::Memory)?.copy_from_slice(text.as_bytes());
        Ok((at, length))
    }

    /// The same for what may be missing.
    pub(super) fn put_or_nothing(&mut self, text: Option<&str>) -> Result<(i32, i32), Stopped> {
        text.map_or(Ok((0, -1)), |text| self.put(text))
    }

    /// Calls a function of the engine.
    pub(super) fn call(&mut self, name: &str, arguments: impl WasmParams) -> Result<i32, Stopped> {
        let function = self.instance.get_func(&self.store, name);
        let function = function.ok_or_else(|| Stopped::Engine(format!("it has no function {name}")))?;
        let function = function.typed::<_, i32>(&self.store).map_err(failed)?;
        function.call(&mut self.store, arguments).map_err(|error| match error.as_trap_code() {
            Some(TrapCode::UnreachableCodeReached) if self.has_no_steps() => Stopped::Steps,
            // What is nested too deeply leaves the stack of C, or that of the machine.
            Some(TrapCode::StackOverflow | TrapCode::MemoryOutOfBounds) => Stopped::Depth,
            Some(_) | None => failed(error),
        })
    }

    /// The text that the last call left.
    pub(super) fn answer(&mut self) -> Result<String, Stopped> {
        let (at, length) = (self.call("answer_at", ())?, self.call("answer_length", ())?);
        let begin = usize::try_from(at).unwrap_or(0);
        let end = begin + usize::try_from(length).unwrap_or(0);
        let bytes = self.memory.data(&self.store).get(begin..end).unwrap_or_default();
        // Half of a surrogate pair is a character to JavaScript.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The counter is below zero once it was not enough.
    fn has_no_steps(&self) -> bool {
        matches!(self.steps.get(&self.store), Val::I64(left) if left < 0)
    }

    /// Steps that are left.
    #[cfg(test)]
    pub(super) fn steps_left(&self) -> u64 {
        match self.steps.get(&self.store) {
            Val::I64(left) => u64::try_from(left).unwrap_or(0),
            _ => 0,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: impl ToString) -> Stopped {
    Stopped::Engine(error.to_string())
}
