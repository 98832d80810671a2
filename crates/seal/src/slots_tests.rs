use proptest::prelude::*;

use super::*;

const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };

fn key(byte: u8) -> Secret {
    Secret::Key(KeyEncryptionKey::from_bytes([byte; 32]))
}

fn words(text: &str) -> Secret {
    Secret::Passphrase(Passphrase::new(Zeroizing::new(text.to_owned())).unwrap())
}

fn store_key() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([200; 32])
}

/// Slots for `secrets`, as they are read again.
fn slots(secrets: &[Secret]) -> KeySlots {
    let mut slots = KeySlots::new(&store_key(), false);
    for (at, secret) in secrets.iter().enumerate() {
        slots.add(&store_key(), secret, at as i64, CHEAP).unwrap();
    }
    KeySlots::parse(&slots.to_bytes(&store_key())).unwrap()
}

#[test]
fn each_kind_of_secret_opens_its_own_slot_and_no_other() {
    let code = RecoveryCode::generate().unwrap();
    let secrets = [key(1), words("a dozen letters"), Secret::Recovery(code)];
    let slots = slots(&secrets);
    for (index, secret) in secrets.iter().enumerate() {
        let opened = slots.open(secret).unwrap();
        assert_eq!((opened.store_key.id(), opened.slot, opened.is_intact), (store_key().id(), index as u8 + 1, true));
        assert_eq!(opened.store_key.bytes(), store_key().bytes());
        let slot = slots.slot(opened.slot).unwrap();
        assert_eq!((slot.kind, slot.made_at, slot.replaces), (Some(secret.kind()), index as i64, None));
    }
    for stranger in [key(2), words("a dozen lettert"), Secret::Recovery(RecoveryCode::generate().unwrap())] {
        assert!(slots.open(&stranger).is_none());
    }
    let names: Vec<_> = slots.slots().iter().map(|it| it.kind.unwrap().to_string()).collect();
    assert_eq!(names, ["key", "passphrase", "recovery"]);
    assert_eq!(slots.slots()[0].key, KeyEncryptionKey::from_bytes([1; 32]).id());
    assert_eq!((slots.store_key(), slots.generation(), slots.is_adopted()), (store_key().id(), 1, false));
}

#[test]
fn a_removed_slot_opens_no_more_and_its_number_is_free() {
    let mut slots = slots(&[key(1), key(2)]);
    slots.remove(1).unwrap();
    assert!(slots.open(&key(1)).is_none());
    assert_eq!(slots.remove(1).unwrap_err(), SlotsError::Unknown { number: 1 });
    assert_eq!(slots.add(&store_key(), &key(3), 0, CHEAP).unwrap(), 1);
    let again = KeySlots::parse(&slots.to_bytes(&store_key())).unwrap();
    assert!(again.open(&key(2)).unwrap().is_intact && again.open(&key(3)).unwrap().is_intact);
    assert_eq!(again.generation(), 2);
}

#[test]
fn the_last_slot_that_starts_anything_stays() {
    let mut slots = slots(&[key(1), Secret::Recovery(RecoveryCode::generate().unwrap())]);
    assert_eq!(slots.remove(1).unwrap_err(), SlotsError::Last { number: 1 });
    slots.add(&store_key(), &words("a dozen letters"), 0, CHEAP).unwrap();
    slots.remove(1).unwrap();
    slots.remove(2).unwrap();
    assert_eq!(slots.remove(3).unwrap_err(), SlotsError::Last { number: 3 });
}

#[test]
fn no_key_has_two_slots_and_no_file_more_than_it_may() {
    let mut slots = slots(&[key(1)]);
    let id = KeyEncryptionKey::from_bytes([1; 32]).id();
    assert_eq!(slots.add(&store_key(), &key(1), 0, CHEAP).unwrap_err(), SlotsError::KeyTwice { id, number: 1 });
    for byte in 2..=SLOTS_MAX as u8 {
        slots.add(&store_key(), &key(byte), 0, CHEAP).unwrap();
    }
    assert_eq!(slots.add(&store_key(), &key(99), 0, CHEAP).unwrap_err(), SlotsError::Full);
    let bytes = slots.to_bytes(&store_key());
    assert_eq!(bytes.len(), KEYS_BYTES_MAX);
    KeySlots::parse(&bytes).unwrap();
    let longer = [&bytes[..HEADER_BYTES], &[0; SLOT_BYTES], &bytes[HEADER_BYTES..]].concat();
    assert!(matches!(KeySlots::parse(&longer), Err(SlotsError::SizeImpossible { .. })));
}

#[test]
fn a_rotation_that_was_interrupted_is_finished_or_begun_anew() {
    let mut slots = slots(&[key(1), key(2)]);
    slots.add_in_place_of(1, &store_key(), &key(3), 0, CHEAP).unwrap();
    // It comes again after a crash, with another key: what was left of the first attempt goes.
    let mut slots = KeySlots::parse(&slots.to_bytes(&store_key())).unwrap();
    let new = slots.add_in_place_of(1, &store_key(), &key(4), 0, CHEAP).unwrap();
    let mut slots = KeySlots::parse(&slots.to_bytes(&store_key())).unwrap();
    assert!(slots.open(&key(3)).is_none());
    assert!([1, 2, 4].into_iter().all(|it| slots.open(&key(it)).unwrap().is_intact));
    assert!(slots.is_unfinished(new) && !slots.is_unfinished(1));
    slots.finish(new);
    assert!(slots.open(&key(1)).is_none() && slots.open(&key(2)).is_some() && slots.open(&key(4)).is_some());
    assert!(!slots.is_unfinished(new));
    assert_eq!(
        slots.add_in_place_of(77, &store_key(), &key(5), 0, CHEAP).unwrap_err(),
        SlotsError::Unknown { number: 77 }
    );
}

#[test]
fn new_passphrases_must_be_long_and_none_is_empty_or_a_whole_file() {
    let mut slots = slots(&[key(1)]);
    assert_eq!(slots.add(&store_key(), &words("eleven char"), 0, CHEAP).unwrap_err(), SlotsError::PassphraseShort);
    assert_eq!(Passphrase::new(Zeroizing::default()).unwrap_err(), SlotsError::PassphraseEmpty);
    let long = "x".repeat(PASSPHRASE_BYTES_MAX + 1);
    assert_eq!(Passphrase::new(Zeroizing::new(long)).unwrap_err(), SlotsError::PassphraseLong);
    assert_eq!(format!("{:?}", words("eleven char")), "Passphrase(Passphrase(..))");
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_at_most_one_slot() {
    let secrets = [key(1), key(2), key(3)];
    let bytes = slots(&secrets).to_bytes(&store_key());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(slots) = KeySlots::parse(&changed) else {
            assert!(bit / 8 < 10, "only magic and version make the file unreadable: bit {bit}");
            continue;
        };
        let opened: Vec<_> = secrets.iter().filter_map(|it| slots.open(it)).collect();
        assert!(opened.len() >= 2, "bit {bit}");
        assert!(opened.iter().all(|it| !it.is_intact && it.store_key.bytes() == store_key().bytes()), "bit {bit}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let bytes = slots(&[key(1), key(2)]).to_bytes(&store_key());
    for length in 0..bytes.len() {
        match KeySlots::parse(&bytes[..length]) {
            Err(SlotsError::SizeImpossible { .. }) => {}
            // Cut by a whole slot it has a possible size; then the rest is not what was written.
            Ok(slots) => assert!(slots.open(&key(1)).is_none_or(|it| !it.is_intact), "{length}"),
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert_eq!(KeySlots::parse(&[7; 500]).unwrap_err(), SlotsError::MagicOther);
    let newer = [MAGIC, &2_u16.to_le_bytes()[..], &[0; 100]].concat();
    assert_eq!(KeySlots::parse(&newer).unwrap_err(), SlotsError::VersionUnknown { version: 2 });
}

#[test]
fn the_slot_of_another_data_folder_is_noticed() {
    let theirs = KeyEncryptionKey::from_bytes([9; 32]);
    let mut other = KeySlots::new(&theirs, false);
    other.add(&theirs, &key(1), 0, CHEAP).unwrap();
    let other = other.to_bytes(&theirs);
    let mut bytes = slots(&[key(1)]).to_bytes(&store_key());
    bytes[HEADER_BYTES..HEADER_BYTES + SLOT_BYTES].copy_from_slice(&other[HEADER_BYTES..HEADER_BYTES + SLOT_BYTES]);
    assert!(!KeySlots::parse(&bytes).unwrap().open(&key(1)).unwrap().is_intact);
}

#[test]
fn nothing_of_the_store_key_is_readable() {
    let bytes = slots(&[key(1), words("a dozen letters")]).to_bytes(&store_key());
    assert!(!bytes.windows(8).any(|it| it == [200; 8]));
    assert!(!bytes.windows(7).any(|it| it == b"a dozen"));
}

/// Keys files of version 1 must open for ever. `PANOPTES_BLESS=1` writes it anew: only before a release.
#[test]
fn a_keys_file_of_version_1_can_still_be_opened() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/keys-v1.bin");
    let code = "000G40R-40M30E2-09185GR-38E1W81-24GK2GA-HC5RR34-D1P70X3-RFWFD4R";
    let code = RecoveryCode::parse(code).unwrap();
    let secrets = [key(1), words("a dozen letters"), Secret::Recovery(code)];
    if std::env::var_os("PANOPTES_BLESS").is_some() {
        std::fs::write(&path, slots(&secrets).to_bytes(&store_key())).unwrap();
    }
    let slots = KeySlots::parse(&std::fs::read(path).unwrap()).unwrap();
    for secret in &secrets {
        let opened = slots.open(secret).unwrap();
        assert!(opened.is_intact && opened.store_key.bytes() == store_key().bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_reading_panic_or_open_what_was_not_sealed(
        tail in proptest::collection::vec(any::<u8>(), 0..SLOT_BYTES * 3),
        whole in any::<bool>(),
    ) {
        let mut bytes = if whole { [MAGIC, &VERSION.to_le_bytes()[..], &[0; 22]].concat() } else { Vec::new() };
        bytes.extend_from_slice(&tail);
        if whole {
            let slots = tail.len() / SLOT_BYTES;
            bytes.truncate(HEADER_BYTES + slots * SLOT_BYTES);
            bytes.extend_from_slice(&[0; MAC_BYTES]);
        }
        if let Ok(slots) = KeySlots::parse(&bytes) {
            for secret in [key(1), words("x")] {
                prop_assert!(slots.open(&secret).is_none());
            }
        }
    }
}
