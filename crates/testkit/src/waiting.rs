//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it; panics with `what` after `limit`.
#[track_caller]
pub fn wait_until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    match wait_or_give_up(limit, &mut look) {
        Some(found) => found,
        None => panic!("waited {limit:?} in vain: {what}"),
    }
}

/// The same, without the panic.
#[expect(clippy::disallowed_methods, reason = "a test that waits for another process needs the real clock")]
pub(crate) fn wait_or_give_up<T>(limit: Duration, look: &mut dyn FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_true_is_found() {
        let mut looks = 0;
        let found = wait_until(Duration::from_secs(10), "third look", || {
            looks += 1;
            (looks == 3).then_some("there")
        });
        assert_eq!((found, looks), ("there", 3));
    }

    #[test]
    #[should_panic(expected = "waited 30ms in vain: pigs fly")]
    fn what_never_becomes_true_is_named() {
        wait_until(Duration::from_millis(30), "pigs fly", || None::<()>);
    }
}
