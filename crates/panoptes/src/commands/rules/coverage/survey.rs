//! Which sources the evidence has had events of, and with which fields.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use panoptes_config::Config;
use panoptes_detect::{BEHAVIOUR_RULE_IDS, CompileOptions, NEVER_SEEN_RULE_ID, RuleFile, RuleSet};
use panoptes_engine::Preparer;
use panoptes_model::{FieldId, Timestamp, Value};
use panoptes_store::StoreReader;
use panoptes_store::search::RecordReader;

use super::super::evidence::{Rebuilt, Sources, Walk};
use super::super::silent::SeenFields;
use crate::surroundings;

/// How many different fields are noted of a source. A sender who invents more has what rules ask for among the first.
const FIELDS_MAX: usize = 4_096;

/// What was seen of events from `since` on.
pub(super) fn survey(config: &Config, files: Vec<RuleFile>, since: Timestamp) -> anyhow::Result<SeenFields> {
    let key = crate::keys::for_reading(config)?;
    let reader = StoreReader::open(&config.data_dir, &key)
        .with_context(|| format!("cannot read the evidence in {}", config.data_dir.display()))?;
    let records = RecordReader::new(Arc::clone(&reader.disk), &key);
    let walk = Walk::new(&reader, &records, Sources::of(config), since, Timestamp(i64::MAX));

    // The mappings are all that is needed: rules that nobody hears of are asked about nothing.
    let ids = |files: &[RuleFile]| {
        let (set, _) = RuleSet::compile(files.to_vec(), &CompileOptions::default());
        let detectors = [NEVER_SEEN_RULE_ID, BEHAVIOUR_RULE_IDS].map(str::to_owned);
        set.rules().map(|it| it.summary.id.clone()).chain(detectors).collect()
    };
    let options = CompileOptions { disabled: ids(&files), ..CompileOptions::default() };
    let (set, _) = RuleSet::compile(files, &options);
    let set = Arc::new(set);
    let preparer = surroundings::preparer(config, surroundings::normalizer(config, None)?, Arc::clone(&set))?;

    let mut all = SeenFields::new();
    let work = |rebuilt: Rebuilt| of_frame(&preparer, &set, since, rebuilt);
    walk.each(surroundings::workers(config), work, |found| {
        for (source, fields) in found {
            let known = all.entry(source).or_default();
            for field in fields {
                if known.len() < FIELDS_MAX {
                    known.insert(field);
                }
            }
        }
    });
    Ok(all)
}

fn of_frame(
    preparer: &Preparer,
    set: &RuleSet,
    since: Timestamp,
    rebuilt: Rebuilt,
) -> HashMap<String, HashSet<String>> {
    let is_there: Vec<bool> = rebuilt.datasets.iter().map(Option::is_some).collect();
    let batch = preparer.normalize(rebuilt.frame);
    let mut seen: HashMap<&str, HashSet<FieldId>> = HashMap::new();
    for (event, is_there) in batch.events().zip(is_there) {
        if !is_there || event.time() < since {
            continue;
        }
        for source in set.sources_of(event) {
            let fields = seen.entry(source).or_default();
            fields.extend(event.fields().filter(|(_, value)| *value != Value::Null).map(|(field, _)| field));
        }
    }
    let named = |fields: HashSet<FieldId>| fields.into_iter().map(|it| batch.field_name(it).to_owned()).collect();
    seen.into_iter().map(|(source, fields)| (source.to_owned(), named(fields))).collect()
}
