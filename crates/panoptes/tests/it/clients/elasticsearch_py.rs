//! Elastic's client for Python and its helper for bulk requests.

use std::path::PathBuf;
use std::process::Command;

use panoptes_testkit::wait_until;

use super::{Client, all_stored, line, needed, program, server, stored};
use crate::support::{LIMIT, output_of};

/// Python with the client.
fn python() -> Option<PathBuf> {
    let has_client = |it: &PathBuf| {
        Command::new(it).args(["-c", "import elasticsearch"]).output().is_ok_and(|it| it.status.success())
    };
    needed("python3 with elasticsearch", program("python3").filter(has_client))
}

const BULK: &str = r#"
import sys, time
from elasticsearch import Elasticsearch, helpers
client = Elasticsearch(sys.argv[1], http_compress=True, request_timeout=10)
info = client.info()
assert info["tagline"] == "You Know, for Search", info
client.indices.create(index="python-2024.01.15")
documents = [{"_index": "python-2024.01.15", "_id": str(n), "message": f"request {n} of the test-client took 1 ms"} for n in range(2000)]
done, errors = helpers.bulk(client, documents, chunk_size=300, raise_on_error=False, refresh=True)
assert (done, errors) == (2000, []), (done, errors)
mixed = [{"_op_type": "create", "_index": "python", "message": "request 2000 of the test-client"},
         {"_op_type": "delete", "_index": "python", "_id": "1"},
         {"_op_type": "update", "_index": "python", "_id": "1", "doc": {"message": "x"}},
         {"_op_type": "index", "_index": "python", "message": "request 2001 of the test-client"}]
done, errors = helpers.bulk(client, mixed, raise_on_error=False)
assert done == 2 and [next(iter(it.values()))["status"] for it in errors] == [400, 400], (done, errors)
created = client.index(index="python", document={"message": "request 2002 of the test-client"})
assert created["result"] == "created", created
print("version", info["version"]["number"])
"#;

/// Sends until all is acknowledged: a chunk that was not is sent again.
const ACROSS_A_RESTART: &str = r#"
import sys, time
from elasticsearch import Elasticsearch, helpers, ApiError, TransportError
client = Elasticsearch(sys.argv[1], request_timeout=10, max_retries=0)
for first in range(0, 3000, 100):
    chunk = [{"_index": "python", "message": f"request {n} of the test-client"} for n in range(first, first + 100)]
    while True:
        try:
            helpers.bulk(client, chunk)
            break
        except (ApiError, TransportError, helpers.BulkIndexError) as error:
            print("again:", type(error).__name__, flush=True)
            time.sleep(0.1)
    print("acknowledged", first + 100, flush=True)
print("done", flush=True)
"#;

#[test]
fn the_bulk_helper_gets_an_answer_for_each_document() {
    let Some(python) = python() else { return };
    let server = server("");
    let url = format!("http://{}", server.http());
    println!("{}", output_of(Command::new(python).args(["-c", BULK, &url])));
    let stored = all_stored(&server, None, 0..2_003);
    assert!(stored.len() == 2_003 && stored.values().all(|it| *it == 1), "{}", line(0));
}

#[test]
fn the_bulk_helper_loses_nothing_across_a_restart() {
    let Some(python) = python() else { return };
    let (folder, mut server) = (tempfile::tempdir().unwrap(), server(""));
    let url = format!("http://{}", server.http());
    let client = Client::start(Command::new(python).args(["-c", ACROSS_A_RESTART, &url]), folder.path());
    wait_until(LIMIT, "some are acknowledged", || client.said().contains("acknowledged 300").then_some(()));
    server.kill();
    server.restart();
    wait_until(LIMIT, "all are acknowledged", || client.said().contains("done").then_some(()));
    all_stored(&server, Some(&client), 0..3_000);
    assert!(client.said().contains("again:") || stored(&server).len() == 3_000, "{}", client.said());
}
