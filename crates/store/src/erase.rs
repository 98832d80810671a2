//! Which events are of a person, so that they can be erased.
//!
//! An event is of a user if a field for names, ids or addresses of users has the name (in any case), and of an address if
//! a field for addresses has it: also in lists, and in the overflow. That a name stands somewhere in the text of a message
//! does not make an event theirs: whoever wants those gone looks for them first.

use std::net::IpAddr;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use panoptes_seal::KeyEncryptionKey;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::disk::Disk;
use crate::pivot::{ITEM_SEPARATOR, OVERFLOW, each_overflow};
use crate::sealed_file::SealedFile;

/// How many rows are looked at at once.
const BATCH_ROWS: usize = 1024;

/// Whose events to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    User(String),
    Address(IpAddr),
}

impl Person {
    fn is_field(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let (parents, last) = name.rsplit_once('.').unwrap_or(("", &name));
        let below = |what: &str| parents.split('.').any(|it| it == what);
        match self {
            Self::User(_) => {
                below("user") && matches!(last, "name" | "id" | "email" | "full_name")
                    || below("related") && last == "user"
                    || last.ends_with("username")
                    || last.ends_with("user_name")
            }
            Self::Address(_) => {
                last == "ip" || last == "address" || last.ends_with("ipaddress") || last.ends_with("_ip")
            }
        }
    }

    fn is_value(&self, text: &str) -> bool {
        text.split(ITEM_SEPARATOR).any(|it| match self {
            Self::User(name) => it.to_lowercase() == name.to_lowercase(),
            Self::Address(address) => it.parse::<IpAddr>().is_ok_and(|it| it.to_canonical() == address.to_canonical()),
        })
    }

    fn is_in(&self, value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => self.is_value(text),
            serde_json::Value::Number(number) => self.is_value(&number.to_string()),
            serde_json::Value::Array(items) => items.iter().any(|it| self.is_in(it)),
            _ => false,
        }
    }

    /// `true` for each event that is not of the person; `None`: none is.
    pub(crate) fn others(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>, ArrowError> {
        let mut others = vec![true; batch.num_rows()];
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let Some(texts) = column.as_string_view_opt() else { continue };
            let is_overflow = field.name() == OVERFLOW;
            if !is_overflow && !self.is_field(field.name()) {
                continue;
            }
            for (other, text) in others.iter_mut().zip(texts.iter()) {
                let Some(text) = text else { continue };
                if !is_overflow {
                    *other &= !self.is_value(text);
                    continue;
                }
                each_overflow(text, |name, value| *other &= !(self.is_field(name) && self.is_in(&value)));
            }
        }
        Ok(others.contains(&false).then(|| BooleanArray::from(others)))
    }
}

/// How many events of `person` a segment has.
pub(crate) fn count(disk: &dyn Disk, key: &KeyEncryptionKey, file: &str, person: &Person) -> Result<u64, ParquetError> {
    let sealed = SealedFile::open(disk, key, file).map_err(|error| ParquetError::External(Box::new(error)))?;
    let metadata = ArrowReaderMetadata::load(&sealed, ArrowReaderOptions::new())?;
    let fields = metadata.schema().fields().iter().enumerate();
    let columns: Vec<usize> =
        fields.filter(|(_, it)| it.name() == OVERFLOW || person.is_field(it.name())).map(|it| it.0).collect();
    if columns.is_empty() {
        return Ok(0);
    }
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(sealed, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let mut found = 0;
    for batch in builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
        if let Some(others) = person.others(&batch?)? {
            found += others.len().saturating_sub(others.true_count()) as u64;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_values_of_a_person_are_told_from_others() {
        let user = Person::User("Alice".into());
        for name in
            ["user.name", "source.user.email", "user.target.name", "related.user", "winlog.event_data.TargetUserName"]
        {
            assert!(user.is_field(name), "{name}");
        }
        for name in ["host.name", "message", "user.roles", "process.name", "event.original"] {
            assert!(!user.is_field(name), "{name}");
        }
        assert!(user.is_value("alice") && user.is_value("bob\u{1f}ALICE") && !user.is_value("malice"));
        let address = Person::Address("::ffff:10.0.0.1".parse().unwrap());
        assert!(address.is_field("source.ip") && address.is_field("IpAddress") && !address.is_field("user.name"));
        assert!(address.is_value("10.0.0.1") && !address.is_value("10.0.0.11") && !address.is_value("x"));
    }
}
