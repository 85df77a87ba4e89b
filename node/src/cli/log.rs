//! `spool log`

use std::collections::{HashMap, VecDeque};

use clap::ArgGroup;
use spool_proto::LogId;

use super::context::{Client, Context};
use super::exit::{Exit, Failure};
use super::{format, resolve, view};
use crate::api::{MAX_BODY_BYTES, pb};

/// Characters of a body in a list, where the width of the terminal is not known.
const PREVIEW: usize = 160;
/// Entries that `--last` can ask for: they are held until the end of the list is known.
const MAX_LAST: u64 = 100_000;

/// Show the entries of a thread
///
/// In the order of their time where they can be read, `sealed` where this node lacks the key. With --follow it goes on with new entries as
/// they arrive, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  spool log notes --last 10 --follow
  spool log quakes --json | jq -r '.body.text | fromjson | .mag'
  spool log quakes --bodies > earthquakes.ndjson",
    group = ArgGroup::new("range").args(["limit", "last"])
)]
pub(super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// Go on with new entries
    #[arg(long, short, conflicts_with = "limit")]
    follow: bool,
    /// Only this log; can be repeated
    #[arg(long, value_name = "LOG")]
    log: Vec<String>,
    /// Begin after this record of a log, as LOG=NUMBER; can be repeated
    #[arg(long, value_name = "LOG=NUMBER", value_parser = parse_after)]
    after: Vec<(String, u64)>,
    /// At most so many entries, from the oldest
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// The newest so many entries
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(..=MAX_LAST))]
    last: Option<u64>,
    /// Print only the bodies that can be read, each followed by a line break
    #[arg(long, conflicts_with = "json")]
    bodies: bool,
    /// Print bodies in full
    #[arg(long)]
    full: bool,
}

impl Args {
    /// Whether Ctrl-C is how this is meant to end.
    pub(super) fn follows(&self) -> bool {
        self.follow
    }
}

fn parse_after(text: &str) -> Result<(String, u64), String> {
    let (log, counter) = text.split_once('=').ok_or("expected LOG=NUMBER")?;
    log.parse::<LogId>().map_err(|error| error.to_string())?;
    Ok((log.to_owned(), counter.parse().map_err(|_| "expected a number behind the =")?))
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let thread = resolve::thread(&mut client, &args.thread).await?;
    let mut after: HashMap<String, u64> = args.after.iter().cloned().collect();
    if let Some(last) = args.last {
        begin_late(&mut client, &thread, last, &mut after).await?;
    }
    let style = Style::new(context, &args);
    let request = pb::ReadLogRequest {
        thread,
        logs: args.log,
        after,
        limit: args.limit,
        follow: args.follow,
        max_body: MAX_BODY_BYTES,
    };
    let mut steps = client.read_log(request).await?.into_inner();
    // Held back until it is known that they are among the last.
    let mut held: Option<VecDeque<pb::Entry>> = args.last.map(|_| VecDeque::new());
    let last = args.last.unwrap_or(0) as usize;
    let mut hidden = 0;
    while let Some(step) = steps.message().await? {
        use pb::read_log_response::Step;
        match (step.step, &mut held) {
            (Some(Step::Entry(entry)), Some(held)) => {
                held.push_back(entry);
                if held.len() > last {
                    held.pop_front();
                }
            }
            (Some(Step::Entry(entry)), None) => {
                hidden += u64::from(!style.print(context, entry)?);
                if args.follow {
                    context.out.flush()?;
                }
            }
            (Some(Step::CaughtUp(_)), _) => {
                for entry in held.take().unwrap_or_default() {
                    hidden += u64::from(!style.print(context, entry)?);
                }
                context.out.flush()?;
            }
            (None, _) => {}
        }
    }
    if hidden > 0 {
        context.out.warn(format!(
            "{} no body that can be read here",
            if hidden == 1 { "1 entry has".into() } else { format!("{} entries have", format::number(hidden)) }
        ));
    }
    if args.follow {
        return Err(Failure::new(Exit::Unavailable, "stopping", "the daemon ended the stream"));
    }
    Ok(())
}

/// Of each log at most the last `count` entries can be among the last of all.
async fn begin_late(
    client: &mut Client,
    thread: &str,
    count: u64,
    after: &mut HashMap<String, u64>,
) -> Result<(), Failure> {
    let detail = client.get_thread(pb::GetThreadRequest { thread: thread.into() }).await?.into_inner();
    for log in detail.logs {
        let begin = log.head.map_or(0, |head| head.counter.saturating_sub(count));
        let after = after.entry(log.id).or_default();
        *after = begin.max(*after);
    }
    Ok(())
}

/// How entries are printed.
enum Style {
    Json,
    Bodies,
    /// One line each, the body cut to so many characters.
    Lines(Option<usize>),
}

impl Style {
    fn new(context: &Context, args: &Args) -> Self {
        match (context.out.is_json(), args.bodies, args.full) {
            (true, _, _) => Self::Json,
            (false, true, _) => Self::Bodies,
            (false, false, true) => Self::Lines(None),
            (false, false, false) => Self::Lines(Some(PREVIEW)),
        }
    }

    /// Prints an entry; false where there was nothing to print in this style.
    fn print(&self, context: &mut Context, entry: pb::Entry) -> Result<bool, Failure> {
        match self {
            Self::Json => context.out.json(&view::Entry::from(entry))?,
            Self::Bodies => {
                let Some(bytes) = open_body(&entry) else { return Ok(is_control(&entry)) };
                context.out.bytes(bytes)?;
                context.out.bytes(b"\n")?;
            }
            Self::Lines(width) => context.out.line(line(&entry, *width))?,
        }
        Ok(true)
    }
}

fn open_body(entry: &pb::Entry) -> Option<&[u8]> {
    match entry.event.as_ref()?.body.as_ref()?.state.as_ref()? {
        pb::body::State::Open(bytes) => Some(bytes),
        _ => None,
    }
}

/// Whether the entry has no body because it needs none.
fn is_control(entry: &pb::Entry) -> bool {
    entry.event.as_ref().is_some_and(|event| event.body.is_none())
}

/// `2026-11-21 00:04:15.123  abcdefgh #17  the body`
pub(super) fn line(entry: &pb::Entry, width: Option<usize>) -> String {
    let time = entry.event.as_ref().map_or_else(|| "-".into(), |event| format::time(event.time >> 16));
    let place = format!("{} #{}", format::short(&entry.log), entry.counter);
    let inert = if entry.inert { "[inert] " } else { "" };
    let text = content(entry);
    let text = width.map_or_else(|| text.clone(), |width| format::cut(&text, width));
    format!("{time:23}  {place:15}  {inert}{text}")
}

/// What there is to see of an entry, on one line.
fn content(entry: &pb::Entry) -> String {
    use pb::body::State;
    let Some(event) = &entry.event else {
        let control = entry.control.as_ref().and_then(control);
        return control.unwrap_or_else(|| format!("sealed ({})", format::bytes(entry.size)));
    };
    let Some(body) = &event.body else {
        return entry.control.as_ref().and_then(control).unwrap_or_else(|| format!("({})", view::kind(event.kind)));
    };
    let size = format::bytes(body.size);
    let cid = body.cid.as_deref().unwrap_or(&entry.cid);
    match &body.state {
        Some(State::Open(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => format::shown(text),
            Err(_) => format!("({size} of binary data: spool cat {cid})"),
        },
        Some(State::Large(_)) => format!("({size}: spool cat {cid})"),
        Some(State::Missing(_)) => format!("({size}, not here yet: spool sync)"),
        Some(State::SealedTo(recipient)) => format!("sealed to {recipient} ({size})"),
        Some(State::Broken(_)) | None => "(does not open: spool verify)".into(),
    }
}

fn control(control: &pb::Control) -> Option<String> {
    use pb::control::Item;
    match control.item.as_ref()? {
        // Every log begins with it; the event beside it is what matters.
        Item::Admission(_) => None,
        Item::Addresses(item) => Some(format!("(addresses: {})", format::shown(&item.addresses.join(" ")))),
        Item::Rekey(item) => {
            Some(format!("(new key {} for {})", item.key_id, format::plural(item.recipients.into(), "recipient")))
        }
        Item::Retire(_) => Some("(the log ends here)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: Option<pb::body::State>) -> pb::Entry {
        let body = state.map(|state| pb::Body { cid: None, size: 2048, state: Some(state) });
        let event = pb::Event { time: 1_517_966_773_840 << 16, body, ..pb::Event::default() };
        pb::Entry { log: "12D3KooWabcdefgh".into(), counter: 17, event: Some(event), size: 412, ..pb::Entry::default() }
    }

    #[test]
    fn an_open_entry_is_one_line_whatever_is_in_it() {
        let hostile = entry(Some(pb::body::State::Open("a\nb\u{1b}[2J".into())));
        assert_eq!(line(&hostile, None), "2018-02-07 01:26:13.840  abcdefgh #17     a\\nb\\u{1b}[2J");
        assert_eq!(line(&hostile, Some(4)), "2018-02-07 01:26:13.840  abcdefgh #17     a\\n…");
    }

    #[test]
    fn what_cannot_be_shown_says_why() {
        use pb::body::{Broken, Large, Missing, State};
        let sealed = pb::Entry { event: None, ..entry(None) };
        assert!(line(&sealed, None).ends_with("sealed (412 B)"));
        assert!(line(&entry(Some(State::Large(Large {}))), None).contains("(2.0 KiB: spool cat"));
        assert!(line(&entry(Some(State::Missing(Missing {}))), None).contains("not here yet"));
        assert!(line(&entry(Some(State::SealedTo("bafz".into()))), None).contains("sealed to bafz"));
        assert!(line(&entry(Some(State::Broken(Broken {}))), None).contains("spool verify"));
        assert!(line(&pb::Entry { inert: true, ..entry(None) }, None).contains("[inert] (application)"));
    }

    #[test]
    fn after_names_a_log_and_a_number() {
        assert!(parse_after("12D3KooW").is_err());
        assert!(parse_after("nonsense=3").is_err());
    }
}
