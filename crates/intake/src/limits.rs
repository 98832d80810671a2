//! Every limit of intake in one place, each with what happens when it is reached.
//!
//! Limits that an operator may want to move are fields of the input's configuration; their defaults are here.

use std::time::Duration;

// The queue to the log.

/// How many batches may wait for the log. Then inputs that acknowledge wait, and those that cannot answer 429 or
/// count their records as dropped.
pub const QUEUE_BATCHES_MAX: usize = 1_024;
/// How many bytes the batches that are not durable yet may hold together. Then as above.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

// Accounting.

/// How many pairs of input and source have counters of their own. Further ones are counted under `other`.
pub const SOURCES_MAX: usize = 1_000;
/// The longest name of a source. Longer ones are refused (HTTP) or cut (paths).
pub const SOURCE_BYTES_MAX: usize = 128;

// Records.

/// Records of this length or longer are cut to it and their rest is dropped and counted; HTTP, which can answer,
/// rejects them instead.
pub const LINE_BYTES_MAX: usize = panoptes_model::RECORD_BYTES_MAX;
/// A syslog octet count beyond this is not believed: the bytes are then taken for a message that ends with a line
/// feed. Between [`LINE_BYTES_MAX`] and this the message is cut and its rest skipped.
pub const OCTET_COUNT_MAX: u64 = 16 << 20;
/// How many origins one batch may name before it is handed on: finding one is a linear search.
pub const ORIGINS_MAX: usize = 256;

// Linux audit events, whose lines are joined.

/// How long a live stream waits for the rest of an event before it goes on without it. Lines that come later are
/// records of their own.
pub const AUDIT_HOLD: Duration = Duration::from_millis(250);
/// How many events that have not ended may stand among each other. A further one ends the oldest.
pub const AUDIT_EVENTS_OPEN_MAX: usize = 64;
/// How many lines one event may have, and how many lines may stand between two of its lines. The next line is then a
/// record of its own. Its bytes are limited by [`LINE_BYTES_MAX`], likewise.
pub const AUDIT_EVENT_LINES_MAX: usize = 1_024;
pub const AUDIT_GAP_LINES_MAX: usize = 512;
/// How much may be held back for events that have not ended, with all that stands among their lines. Beyond, all of
/// it goes out as it is.
pub const AUDIT_HELD_LINES_MAX: usize = 4_096;
pub const AUDIT_HELD_BYTES_MAX: usize = 256 << 10;

// Streams (TCP, syslog over TCP, standard input).

/// A batch of this size is handed on at once.
pub const STREAM_BATCH_BYTES: usize = 1 << 20;
/// A smaller batch is handed on so long after its first record came.
pub const STREAM_FLUSH: Duration = Duration::from_millis(20);
/// How many batches of one stream may wait for their acknowledgement. Then the stream is not read, and its sender
/// is slowed down by TCP itself.
pub const STREAM_IN_FLIGHT_MAX: usize = 8;
/// How much is read at a time: the first, and the most once the sender turns out to be fast.
pub const READ_BYTES_MIN: usize = 16 << 10;
pub const READ_BYTES_MAX: usize = 256 << 10;
/// How many connections one listener holds. Further ones are closed at once and counted.
pub const CONNECTIONS_MAX: usize = 1_024;
/// How much memory the connections of one listener may hold together in unfinished batches and lines, beyond
/// [`READ_BYTES_MIN`] for each. Then batches are handed on early, and a line that is still open is cut.
pub const CONNECTION_BYTES_MAX: usize = 64 << 20;
/// A connection that is silent for so long is closed: it holds one of [`CONNECTIONS_MAX`] places.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// When a stream is shut down, what its sender had already sent is read until it is quiet for [`DRAIN_QUIET`] or has
/// sent so much more. What comes later is the sender's to keep.
pub const DRAIN_BYTES_MAX: usize = 16 << 20;
pub const DRAIN_QUIET: Duration = Duration::from_millis(50);
/// After a failed `accept` (no file handles left, say) so long is waited.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

// TLS.

/// A handshake must be over after so long, the wait for its turn included. Later the connection is closed.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many handshakes of one listener are under way at a time, from the first byte of the client on: each costs a
/// signature. Further ones wait.
pub const TLS_HANDSHAKES_MAX: usize = 64;
/// How long a peer may take to hear that the connection ends. Then it is closed all the same.
pub const TLS_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a failed handshake is told. Those between are only counted.
pub const TLS_TOLD_SECONDS: i64 = 60;
/// The largest file of certificates or keys. A larger one is refused.
pub const PEM_BYTES_MAX: u64 = 4 << 20;

// Datagrams.

/// The largest datagram that UDP can carry.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The receive buffer that is asked of the kernel (it gives at most `net.core.rmem_max`).
pub const UDP_RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// How much a full queue may hold up before datagrams are dropped and counted.
pub const UDP_BACKLOG_BYTES_MAX: usize = 4 << 20;
/// How many batches of datagrams may wait for their acknowledgement. Then as for a full queue.
pub const UDP_IN_FLIGHT_MAX: usize = 64;
/// How many datagrams are taken at once before anything else gets its turn.
pub const UDP_BURST: usize = 512;
/// How often the kernel is asked how many datagrams it dropped.
pub const UDP_KERNEL_POLL: Duration = Duration::from_secs(10);

// HTTP.

/// The largest body as it is sent. Beyond is 413.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// The largest body after decompression, and the most text that the rows of a CSV body may become. Beyond is 413.
pub const BODY_DECODED_BYTES_MAX: usize = 64 << 20;
/// How many times its size a compressed body may grow, looked at beyond [`BODY_RATIO_FREE_BYTES`]. Beyond is 413.
pub const BODY_RATIO_MAX: u64 = 1_000;
pub const BODY_RATIO_FREE_BYTES: u64 = 4 << 20;
/// The largest window of a zstd body: what RFC 9659 allows. Beyond is 400.
pub const BODY_WINDOW_LOG_MAX: u32 = 23;
/// How many records one body may hold. Beyond is 413: a record costs memory even if its text is one letter.
pub const BODY_RECORDS_MAX: usize = 1 << 20;
/// How much memory all bodies may hold together. Beyond is 429.
pub const BODIES_BYTES_MAX: usize = 128 << 20;
/// A body must have arrived after so long. Later is 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How many rejected records an answer lists; `rejected_total` counts all.
pub const REJECTED_LISTED_MAX: usize = 100;
/// What `Retry-After` says.
pub const RETRY_AFTER_SECONDS: u64 = 1;

// Elasticsearch's `_bulk`.

/// How many items one request may have. Beyond is 413: each has a place in the answer, too.
pub const BULK_ITEMS_MAX: usize = 65_536;
/// How long a request waits for room in the queue: less than any client waits for its answer. Later is 429.
pub const BULK_PATIENCE: Duration = Duration::from_secs(4);
/// The longest name of an index and the longest id of a document, as Elasticsearch has them. Beyond, the item is
/// refused.
pub const BULK_INDEX_BYTES_MAX: usize = 255;
pub const BULK_ID_BYTES_MAX: usize = 512;

// JSON and CSV.

/// How deep an element of a JSON array may nest for its end to be found. A deeper one is rejected together with all
/// that follows it.
pub const JSON_DEPTH_MAX: usize = 65_536;
/// How many columns a CSV text may have, and how long its header may be. Beyond it is rejected as a whole.
pub const CSV_COLUMNS_MAX: usize = 2_048;
pub const CSV_HEADER_BYTES_MAX: usize = 64 << 10;
/// How long one row may be, line feeds in quotes included. Beyond, what follows is not read: a quote is not closed.
pub const CSV_ROW_BYTES_MAX: usize = 16 << 20;

/// How many records an object on one line may carry in its list. An object with more stays one record.
pub const CARRIED_RECORDS_MAX: usize = 16_384;

// Lines below a header (Zeek, W3C). How wide a table may be, is said above.

/// How much text the rows of one batch may become before it is handed on.
pub const ROWS_BYTES_MAX: usize = 1 << 20;
/// How far back from where reading goes on in a file the last header is looked for. One that lies further back is
/// that at the beginning of the file, or is not seen: rows that do not fit it stay text.
pub const HEADER_LOOKBACK_BYTES: usize = 1 << 20;

// The journal.

/// How much of one value is kept. Its rest is cut and counted.
pub const JOURNAL_VALUE_BYTES_MAX: usize = 256 << 10;
/// How long a value may say that it is: no journal holds longer ones. Beyond, the stream is taken for damaged.
pub const JOURNAL_VALUE_CLAIMED_MAX: u64 = 1 << 30;
/// How many fields one entry may have: as many as the journal itself takes. Further ones are left out.
pub const JOURNAL_FIELDS_MAX: usize = 1_024;
/// The longest name of a field, as the journal has it. Beyond, the stream is taken for damaged.
pub const JOURNAL_NAME_BYTES_MAX: usize = 64;
/// `journalctl` is started again so long after it ended; twice as long each time until it has had something to say.
pub const JOURNAL_RESTART_PAUSE: Duration = Duration::from_secs(1);
pub const JOURNAL_RESTART_PAUSE_MAX: Duration = Duration::from_secs(60);
/// After so many starts in vain a cursor is given up for the time that it states: entries may then come twice.
pub const JOURNAL_CURSOR_TRIES_MAX: u32 = 3;
/// How much of what `journalctl` complains about is kept to be told.
pub const JOURNAL_COMPLAINT_BYTES_MAX: usize = 1 << 10;
/// How long the end of that is waited for once `journalctl` has ended. Then nothing of it is told.
pub const JOURNAL_COMPLAINT_TIMEOUT: Duration = Duration::from_secs(1);

// Files.

/// How many files are watched at once: each holds a file handle. Further ones wait until others are gone; a warning
/// says so.
pub const FILES_MAX: usize = 512;
/// How many names one pattern may look at, and how many folders deep `**` goes. What is beyond is not seen; a warning
/// says so.
pub const PATTERN_ENTRIES_MAX: usize = 200_000;
pub const PATTERN_DEPTH_MAX: usize = 32;
/// How many files the patterns may find. Further ones are not seen; a warning says so.
pub const FILES_FOUND_MAX: usize = 16_384;
/// How many bytes of a file's start tell it from other files.
pub const FINGERPRINT_BYTES: usize = 1_024;
/// How many files' positions are remembered. Beyond, those that changed longest ago are forgotten; such a file is
/// treated as a new one when it is seen again.
pub const FILE_CHECKPOINTS_MAX: usize = 8_192;
/// How many earlier contents of one file are remembered, so that a copy made before it was truncated is recognised.
pub const FILE_GENERATIONS_MAX: usize = 4;
/// How much one step of the tail reads before what it read must be durable.
pub const FILE_STEP_BYTES: usize = 4 << 20;
/// How much one file may contribute to a step while others wait.
pub const FILE_TURN_BYTES: usize = 1 << 20;
/// How much of a compressed file that was read before is passed over in a step.
pub const FILE_SKIP_BYTES: u64 = 16 << 20;
/// How often files are looked at without being told of a change.
pub const FILE_POLL: Duration = Duration::from_secs(1);
/// How often the patterns are matched against the folders without being told of a change.
pub const FILE_SCAN_SECONDS: i64 = 5;
/// After being told of a change so long is waited for more of them.
pub const FILE_HINT_PAUSE: Duration = Duration::from_millis(20);
/// A file that was renamed or deleted is read on until it was quiet for so long: its writer may not know yet.
pub const ROTATED_LINGER_SECONDS: i64 = 60;
/// How many folders are watched for changes. Further ones are only polled.
pub const WATCHES_MAX: usize = 256;
/// What is waited before a batch that could not be made durable is offered again.
pub const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// How many files that cannot be read are remembered, so that each is told once. Further ones are not told.
pub const FILE_PROBLEMS_MAX: usize = 1_024;

// Logs of containers.

/// How long a line may become whose pieces are joined: as JSON it must still be a record. What would make it longer
/// begins another record.
pub const CONTAINER_LINE_BYTES_MAX: usize = 128 << 10;
/// How long the rest of a line is waited for. Then what is there is a record.
pub const CONTAINER_HOLD: Duration = Duration::from_secs(2);
/// How much one file of a container may contribute to a step: names make its records longer than its lines.
pub const CONTAINER_TURN_BYTES: usize = 512 << 10;
/// How much of a name of a container is told. Its rest is cut.
pub const CONTAINER_NAME_BYTES_MAX: usize = 128;
/// How much of Docker's settings of a container is read. In larger ones no name is found.
pub const CONTAINER_SETTINGS_BYTES_MAX: u64 = 4 << 20;

// Compressed files and imports.

/// How much may come out of one compressed file. What is beyond is reported and not read.
pub const ARCHIVE_BYTES_MAX: u64 = 256 << 30;
/// How many times its size a compressed file may grow, looked at beyond [`ARCHIVE_RATIO_FREE_BYTES`]. Then as above.
pub const ARCHIVE_RATIO_MAX: u64 = 2_000;
pub const ARCHIVE_RATIO_FREE_BYTES: u64 = 64 << 20;
/// The largest window of a zstd file: what `zstd` itself accepts without `--long`.
pub const ARCHIVE_WINDOW_LOG_MAX: u32 = 27;
/// How many files one import may find. Further ones are reported and not read.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// How deep an import follows folders. Deeper ones are reported and not read.
pub const IMPORT_DEPTH_MAX: usize = 64;
/// The largest file that is read as one JSON array or as JSON over several lines: it must be held as a whole.
/// Larger ones are reported with the cure.
pub const IMPORT_WHOLE_BYTES_MAX: usize = 64 << 20;
/// How many chunks of 64 KiB an event log may have: 64 GiB, ten times what Windows allows. Those beyond are not read; of
/// a log that comes through a pipe that is told.
pub const EVENT_LOG_CHUNKS_MAX: u64 = 1 << 20;
/// How many damaged parts of one event log are told one by one. Further ones are counted.
pub const EVENT_LOG_PROBLEMS_MAX: usize = 1_000;
/// A batch of an import is handed on at this size.
pub const IMPORT_BATCH_BYTES: usize = 1 << 20;
