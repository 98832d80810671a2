//! What a condition on text costs per event: words, phrases and parts of words over a million lines of a web server that
//! are made here, through [`LiveFilter`], which makes columns of events and asks them as a search does. One thread; wall
//! time, the best of several rounds. The first figure is that of making the columns alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use panoptes_model::{EventBatch, FrameId, Schema, Timestamp, field};
use panoptes_store::search::LiveFilter;

const LINES: usize = 1_000_000;
const BATCH_LINES: usize = 4_096;
const ROUNDS: usize = 3;

const QUERIES: [&str; 9] = [
    // Matches nothing and looks at no text.
    "user.name:nobody",
    "mozilla",
    "absent",
    "403",
    "\"firefox/115.0\"",
    "admin*",
    "*dmin*",
    "/adm[i1]n/",
    "url.path:/admin*",
];

fn main() {
    let schema = Arc::new(Schema::ecs());
    let path = schema.id("url.path").expect("ECS has it");
    let batches: Vec<EventBatch> = (0..LINES.div_ceil(BATCH_LINES))
        .map(|number| {
            let first = number * BATCH_LINES;
            let count = BATCH_LINES.min(LINES - first);
            EventBatch::build(Arc::clone(&schema), FrameId(number as u64 + 1), Timestamp(i64::MAX), Vec::new(), String::new(), |writer| {
                for n in first..first + count {
                    let page = ["/", "/index.html", "/static/app.js", "/api/v1/items", "/admin/login"][n * 7 % 5];
                    let line = format!(
                        "203.0.{}.{} - - [15/Jan/2024:10:{:02}:{:02} +0000] \"GET {page}?id={n} HTTP/1.1\" {} {} \"-\" \"Mozilla/5.0 (Windows NT 10.0; rv:115.0) Gecko/20100101 Firefox/115.0\"",
                        n / 256 % 256, n % 256, n / 60 % 60, n % 60, if n % 50 == 0 { 403 } else { 200 }, n * 31 % 9_000
                    );
                    writer.begin(&line, 0, Timestamp(5), 0);
                    writer.time(Timestamp(n as i64));
                    writer.text(field::MESSAGE, &line);
                    writer.text(path, page);
                }
            })
        })
        .collect();
    println!("{LINES} lines; per line, of both the message and the record as it came:");
    for query in QUERIES {
        let filter = LiveFilter::new(&query.parse().expect("a query"), &schema, Timestamp(0)).expect("it is ready");
        let mut best = f64::INFINITY;
        let mut found = 0;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            found = batches.iter().map(|it| filter.places(it).expect("it can be asked").len()).sum();
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("{query:24} {:8.1} ns   {found} found", best * 1e9 / LINES as f64);
    }
}
