//! Keys from passphrases: argon2id, with what it may cost bounded on both sides.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::{KEY_BYTES, KeyEncryptionKey};

pub(crate) const SALT_BYTES: usize = 16;
/// Longer passphrases are refused: it is a file that was named by mistake.
pub const PASSPHRASE_BYTES_MAX: usize = 4096;
/// A new passphrase must have so many characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

/// No derivation takes more memory. A slot that asks for more is not tried.
const MEMORY_KIB_MAX: u32 = 256 << 10;
/// And none fills more than so much memory in all its passes: some seconds. A slot that asks for more is not tried.
const WORK_KIB_MAX: u64 = 2 << 20;
const LANES_MAX: u32 = 16;

/// What deriving a key from a passphrase costs: argon2id, version 0x13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl PassphraseCost {
    /// The second recommendation of RFC 9106.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// Of what is no passphrase.
    pub(crate) const NONE: Self = Self { memory_kib: 0, passes: 0, lanes: 0 };

    /// The key of `passphrase`; `None` if it would cost more than may be, or is no cost that argon2 knows.
    pub(crate) fn derive(self, passphrase: &str, salt: &[u8; SALT_BYTES]) -> Option<KeyEncryptionKey> {
        let Self { memory_kib, passes, lanes } = self;
        let work = u64::from(memory_kib).saturating_mul(u64::from(passes));
        if memory_kib > MEMORY_KIB_MAX || work > WORK_KIB_MAX || lanes > LANES_MAX {
            return None;
        }
        let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES)).ok()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
            .ok()?;
        Some(KeyEncryptionKey::from_bytes(*key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn a_key_follows_from_passphrase_salt_and_cost() {
        let id = |cost: PassphraseCost, text: &str, salt: u8| cost.derive(text, &[salt; SALT_BYTES]).unwrap().id();
        let right = id(CHEAP, "correct horse", 1);
        assert_eq!(id(CHEAP, "correct horse", 1), right);
        let others = [
            id(CHEAP, "correct horsf", 1),
            id(CHEAP, "correct horse", 2),
            id(PassphraseCost { passes: 2, ..CHEAP }, "correct horse", 1),
        ];
        assert!(!others.contains(&right));
    }

    /// The test vector of RFC 9106, section 5.3, has a secret and associated data, which we don't use; this is what the
    /// reference implementation in C makes of the same input (through `argon2-cffi`).
    #[test]
    fn the_derivation_does_not_change() {
        let cost = PassphraseCost { memory_kib: 64, passes: 2, lanes: 2 };
        let key = cost.derive("correct horse battery", b"saltsaltsaltsalt").unwrap();
        assert_eq!(key.id().to_string(), ID);
    }

    const ID: &str = "8919d59a9f792a64";

    #[test]
    fn what_would_cost_too_much_or_nothing_is_not_derived() {
        let costs = [
            PassphraseCost { memory_kib: MEMORY_KIB_MAX + 1, ..CHEAP },
            PassphraseCost { memory_kib: u32::MAX, passes: u32::MAX, lanes: u32::MAX },
            PassphraseCost { memory_kib: 1024, passes: 2 << 10 | 1, lanes: 1 },
            PassphraseCost { lanes: LANES_MAX + 1, memory_kib: 1024, passes: 1 },
            PassphraseCost { memory_kib: 0, passes: 0, lanes: 0 },
            PassphraseCost { memory_kib: 7, passes: 1, lanes: 1 },
        ];
        for cost in costs {
            assert!(cost.derive("x", &[0; SALT_BYTES]).is_none(), "{cost:?}");
        }
        const { assert!(PassphraseCost::RECOMMENDED.memory_kib <= MEMORY_KIB_MAX) };
    }
}
