//! What was asked, how often and how fast, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Requests by route, method and status, and their times by route.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    times: BTreeMap<String, Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// Requests up to each bound, and above the one before.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    /// Counts a request that was answered. `route`: of the router, as anyone can make up paths.
    pub fn count(&self, route: &str, method: &str, status: u16, took: Duration) {
        let method = ["GET", "HEAD", "POST"].into_iter().find(|&known| known == method).unwrap_or("other");
        let took = took.as_secs_f64();
        let mut counts = self.0.lock().expect("nothing panics while it counts");
        *counts.requests.entry((route.to_string(), method, status)).or_default() += 1;
        let times = counts.times.entry(route.to_string()).or_default();
        times.count += 1;
        times.sum += took;
        if let Some(bound) = BOUNDS.iter().position(|&bound| took <= bound) {
            times.within[bound] += 1;
        }
    }

    /// As Prometheus reads it; `gauges` are further ones, with what they say.
    pub fn text(&self, gauges: &[(&str, &str, usize)]) -> String {
        let counts = self.0.lock().expect("nothing panics while it counts");
        let mut text = String::new();
        let line = |text: &mut String, line: std::fmt::Arguments| {
            let _ = writeln!(text, "{line}");
        };
        for (name, what, value) in gauges {
            line(&mut text, format_args!("# HELP {name} {what}\n# TYPE {name} gauge\n{name} {value}"));
        }
        let name = "tinyglot_requests_total";
        line(&mut text, format_args!("# HELP {name} Requests that were answered.\n# TYPE {name} counter"));
        for ((route, method, status), count) in &counts.requests {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            line(&mut text, format_args!("{name}{{{labels}}} {count}"));
        }
        let name = "tinyglot_request_seconds";
        line(&mut text, format_args!("# HELP {name} Time from request to answer.\n# TYPE {name} histogram"));
        for (route, times) in &counts.times {
            let mut sum = 0;
            for (bound, within) in BOUNDS.iter().zip(times.within) {
                sum += within;
                line(&mut text, format_args!("{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {sum}"));
            }
            line(&mut text, format_args!("{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", times.count));
            line(&mut text, format_args!("{name}_sum{{route=\"{route}\"}} {}", times.sum));
            line(&mut text, format_args!("{name}_count{{route=\"{route}\"}} {}", times.count));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_time() {
        let metrics = Metrics::default();
        metrics.count("/api/search", "GET", 200, Duration::from_millis(4));
        metrics.count("/api/search", "GET", 200, Duration::from_secs(60));
        metrics.count("/api/search", "BREW", 405, Duration::from_micros(10));
        let text = metrics.text(&[("tinyglot_pictures", "Pictures of the index.", 20)]);
        for line in [
            "tinyglot_pictures 20",
            "tinyglot_requests_total{route=\"/api/search\",method=\"GET\",status=\"200\"} 2",
            "tinyglot_requests_total{route=\"/api/search\",method=\"other\",status=\"405\"} 1",
            "tinyglot_request_seconds_bucket{route=\"/api/search\",le=\"0.001\"} 1",
            "tinyglot_request_seconds_bucket{route=\"/api/search\",le=\"0.005\"} 2",
            "tinyglot_request_seconds_bucket{route=\"/api/search\",le=\"10\"} 2",
            "tinyglot_request_seconds_bucket{route=\"/api/search\",le=\"+Inf\"} 3",
            "tinyglot_request_seconds_count{route=\"/api/search\"} 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
