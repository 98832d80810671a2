//! The stateless half: what any core can do with a frame.

use std::sync::Arc;

use panoptes_detect::{Hits, RuleSet};
use panoptes_enrich::{Enricher, Parts, Snapshot};
use panoptes_model::{EventBatch, FieldType, FrameId, LogFrame, Origin, Schema, SchemaFull, Timestamp};
use panoptes_normalize::Normalizer;

/// Normalises the records of a frame, enriches them and evaluates single-event rules on them. Cheap to share between threads.
#[derive(Clone)]
pub struct Preparer {
    schema: Arc<Schema>,
    normalizer: Arc<Normalizer>,
    enricher: Arc<Enricher>,
    rules: Arc<RuleSet>,
}

/// A frame with everything that needs no state done.
pub struct PreparedFrame {
    pub id: FrameId,
    pub now: Timestamp,
    pub events: Arc<EventBatch>,
    /// The rules that were asked, and what they said.
    pub rules: Arc<RuleSet>,
    pub hits: Hits,
    /// How far each origin has been read once this frame is durable.
    pub positions: Vec<(Origin, u64)>,
}

impl Preparer {
    /// A preparer for `rules`: the fields that they name get fixed ids beside ECS. Events are enriched with what they
    /// say themselves until [`with_snapshot`](Self::with_snapshot) says what else is known.
    ///
    /// # Errors
    /// [`SchemaFull`] if the rules name more fields than there are ids.
    pub fn new(normalizer: Normalizer, rules: Arc<RuleSet>) -> Result<Self, SchemaFull> {
        let mut schema = Schema::ecs();
        let enricher = Arc::new(Enricher::new(&mut schema, Arc::new(Snapshot::new(Parts::default())))?);
        let schema = Arc::new(with_fields_of(schema, &rules)?);
        Ok(Self { schema, normalizer: Arc::new(normalizer), enricher, rules })
    }

    /// The same for other rules. Names that have an id keep it; names of rules that are gone do too, so whoever
    /// changes rules often enough, with other fields each time, has to start anew one day.
    ///
    /// # Errors
    /// [`SchemaFull`] if all rules since the start have named more fields than there are ids.
    pub fn with_rules(&self, rules: Arc<RuleSet>) -> Result<Self, SchemaFull> {
        let schema = Arc::new(with_fields_of(Schema::clone(&self.schema), &rules)?);
        Ok(Self { schema, rules, ..self.clone() })
    }

    /// The same with what is known of addresses, domains and so on from elsewhere.
    ///
    /// # Errors
    /// [`SchemaFull`] if its lists have more names than there are ids left.
    pub fn with_snapshot(&self, snapshot: Arc<Snapshot>) -> Result<Self, SchemaFull> {
        let mut schema = Schema::clone(&self.schema);
        let enricher = Arc::new(Enricher::new(&mut schema, snapshot)?);
        Ok(Self { schema: Arc::new(schema), enricher, ..self.clone() })
    }

    /// What frames that are prepared with these rules carry as their epoch: the same rules have the same, also after
    /// a restart.
    pub fn rules_epoch(&self) -> u64 {
        self.rules.fingerprint() as u64
    }

    /// The same for what events are enriched with.
    pub fn snapshots_epoch(&self) -> u64 {
        self.enricher.snapshot().fingerprint()
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.enricher.snapshot()
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// Turns records into events, adds what is known of them, and asks every single-event rule about them.
    pub fn prepare(&self, frame: LogFrame) -> PreparedFrame {
        let (id, now) = (frame.id, frame.now);
        let positions =
            frame.records.positions().into_iter().map(|(origin, position)| (origin.clone(), position)).collect();
        let events = self.normalize(frame);
        let hits = self.rules.prepare(&events);
        PreparedFrame { id, now, events: Arc::new(events), rules: Arc::clone(&self.rules), hits, positions }
    }

    /// Only the events: for those that were folded already and need to be searchable again.
    pub fn normalize(&self, frame: LogFrame) -> EventBatch {
        let mut batch = self.enricher.batch();
        self.normalizer.normalize_with(&self.schema, frame, &mut |writer| batch.complete(writer))
    }
}

fn with_fields_of(mut schema: Schema, rules: &RuleSet) -> Result<Schema, SchemaFull> {
    for name in rules.fields() {
        schema.intern(name, FieldType::Text)?;
    }
    Ok(schema)
}
