//! Damage as an error: of pages whose bytes were changed, redb reads some with a panic.
//!
//! Everything that reads or writes the file goes through `caught`. A panic that began in redb becomes `Damaged`, without
//! a word on standard error; any other is a fault of ours and goes on as a panic.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook},
    path::Path,
    sync::Once,
};

use super::error::{Error, Result};

thread_local! {
    /// Calls of `unwound` on this thread that have not ended.
    static UNWOUND: Cell<u32> = const { Cell::new(0) };
    /// Calls of `caught` on this thread that have not ended.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What redb said when it panicked on this thread.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}
static HOOK: Once = Once::new();

/// Runs `access` to the file at `path`; a panic of redb in it is an error.
pub(super) fn caught<T>(path: &Path, access: impl FnOnce() -> Result<T>) -> Result<T> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !note(info) {
                before(info);
            }
        }));
    });
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    // After a panic nothing is done with the database but to close it.
    let result = catch_unwind(AssertUnwindSafe(access));
    DEPTH.set(depth);
    match result {
        Ok(result) => result,
        Err(cause) => match SAID.take() {
            Some(said) => Err(Error::Damaged {
                path: path.to_owned(),
                cause: format!("its pages do not fit together ({said})"),
            }),
            None => resume_unwind(cause),
        },
    }
}

/// Runs what may panic by a fault of ours that must stop nobody else. Whoever shows a panic to people asks
/// `goes_on_after`.
pub fn unwound<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    let depth = UNWOUND.get();
    UNWOUND.set(depth + 1);
    let result = catch_unwind(AssertUnwindSafe(f));
    UNWOUND.set(depth);
    result
}

/// Whether a panic on this thread ends nothing but the call that it began in.
pub fn goes_on_after() -> bool {
    UNWOUND.get() > 0
}

/// Whether a panic will be an error of the store: hooks of others have nothing to do then.
pub fn becomes_an_error(info: &PanicHookInfo<'_>) -> bool {
    let of_redb = info.location().is_some_and(|place| {
        // `…/redb-4.5.0/src/tree_store/btree_base.rs`, or `…/redb/src/…` where it was vendored.
        let mut parts = place.file().split(['/', '\\']).rev().skip_while(|part| *part != "src").skip(1);
        parts.next().is_some_and(|name| name == "redb" || name.starts_with("redb-"))
    });
    of_redb && DEPTH.get() > 0
}

/// Notes a panic of redb within `caught`; any other is left to the hook before.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let ours = becomes_an_error(info);
    if ours {
        let said = info.payload_as_str().unwrap_or("no reason is given");
        SAID.set(Some(said.lines().next().unwrap_or_default().chars().take(120).collect()));
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_goes_on_as_one() {
        let path = Path::new("/x");
        assert_eq!(caught(path, || Ok(7)), Ok(7));
        assert_eq!(caught::<()>(path, || Err(Error::Closed)), Err(Error::Closed));
        let ours = catch_unwind(|| caught::<()>(path, || panic!("ours")));
        assert_eq!(*ours.unwrap_err().downcast::<&str>().unwrap(), "ours");
        assert_eq!(DEPTH.get(), 0);
    }
}
