//! Threads by id, by local name, or by the beginning of the id.

use spool_proto::ThreadId;

use super::context::Client;
use super::exit::{Exit, Failure};
use super::format;
use crate::api::pb;

/// Characters of an id that are enough to mean it: fewer are rather a slip.
const MIN_PREFIX: usize = 6;

/// The id of the thread that `text` means.
pub(super) async fn thread(client: &mut Client, text: &str) -> Result<String, Failure> {
    if let Ok(id) = text.parse::<ThreadId>() {
        return Ok(id.to_string());
    }
    let threads = client.list_threads(pb::ListThreadsRequest {}).await?.into_inner().threads;
    choose(&threads, text)
}

fn choose(threads: &[pb::Thread], text: &str) -> Result<String, Failure> {
    let named: Vec<&pb::Thread> = threads.iter().filter(|thread| thread.name.as_deref() == Some(text)).collect();
    let begins = |thread: &&pb::Thread| text.len() >= MIN_PREFIX && thread.id.starts_with(text);
    let found = if named.is_empty() { threads.iter().filter(begins).collect() } else { named };
    match found.as_slice() {
        [thread] => Ok(thread.id.clone()),
        [] => {
            let message = format!("no thread is called `{}`; `spool thread ls` lists them", format::shown(text));
            Err(Failure::new(Exit::NotFound, "thread-not-found", message))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|thread| thread.id.as_str()).collect();
            Err(Failure::usage(format!(
                "`{}` means several threads, say which: {}",
                format::shown(text),
                ids.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads() -> Vec<pb::Thread> {
        let thread = |id: &str, name: Option<&str>| pb::Thread {
            id: id.into(),
            name: name.map(Into::into),
            ..pb::Thread::default()
        };
        vec![
            thread("bafkaaaa1", Some("notes")),
            thread("bafkaaaa2", Some("notes")),
            thread("bafkbbbb3", Some("quakes")),
        ]
    }

    #[test]
    fn a_name_or_a_beginning_is_enough_where_it_is_unique() {
        assert_eq!(choose(&threads(), "quakes").unwrap(), "bafkbbbb3");
        assert_eq!(choose(&threads(), "bafkbb").unwrap(), "bafkbbbb3");
    }

    #[test]
    fn what_is_not_unique_is_refused_with_the_choices() {
        let failure = choose(&threads(), "notes").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.error.to_string().ends_with("bafkaaaa1, bafkaaaa2"));
        assert_eq!(choose(&threads(), "bafka").unwrap_err().exit, Exit::NotFound);
        assert_eq!(choose(&threads(), "").unwrap_err().exit, Exit::NotFound);
    }
}
