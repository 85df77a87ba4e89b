//! Figures in the text format of Prometheus, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

/// What [`text`] is, for `content-type`.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a figure moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Up only, from the start of the process on. Its name ends in `_total`.
    Counter,
    /// Up and down.
    Gauge,
}

/// One figure, or several under one name that a label tells apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Counter, samples: vec![(Vec::new(), value as f64)] }
    }

    /// A counter of fractions.
    pub(crate) fn counter_of(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: Kind::Counter, samples: vec![(Vec::new(), value)] }
    }

    pub(crate) fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: Kind::Gauge, samples: vec![(Vec::new(), value)] }
    }

    /// One sample for each value of `label`.
    pub(crate) fn by(
        kind: Kind,
        (name, help): (&'static str, &'static str),
        label: &'static str,
        samples: impl IntoIterator<Item = (impl Into<String>, f64)>,
    ) -> Self {
        let samples = samples.into_iter().map(|(value, figure)| (vec![(label, value.into())], figure));
        Self { name, help, kind, samples: samples.collect() }
    }

    /// A gauge that is always 1, and whose labels say something.
    pub(crate) fn info(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>) -> Self {
        Self { name, help, kind: Kind::Gauge, samples: vec![(labels, 1.0)] }
    }
}

/// The families as one document.
pub(crate) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, help, kind, samples } in families {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{} {value}", braces(labels));
        }
    }
    text
}

fn braces(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pair = |(name, value): &(&str, String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_as_the_format_says() {
        let families = [
            Family::counter("a_total", "What a\nis.", 18_446_744),
            Family::gauge("b", "A share.", 0.25),
            Family::by(Kind::Gauge, ("c_bytes", "By space."), "space", [("x", 1.0), ("y\"\\\n", 2.0)]),
            Family::info("d_info", "Built.", vec![("version", "1".into()), ("system", "linux".into())]),
        ];
        let expected = "\
# HELP a_total What a\\nis.
# TYPE a_total counter
a_total 18446744
# HELP b A share.
# TYPE b gauge
b 0.25
# HELP c_bytes By space.
# TYPE c_bytes gauge
c_bytes{space=\"x\"} 1
c_bytes{space=\"y\\\"\\\\\\n\"} 2
# HELP d_info Built.
# TYPE d_info gauge
d_info{version=\"1\",system=\"linux\"} 1
";
        assert_eq!(text(&families), expected);
    }
}
