//! The screen comes first: whatever else this process does steps back for whoever sits before it.
//!
//! Called by `app` before it starts an engine under a screen, and by the worker that searches the whole store. Without
//! a screen nobody waits for a key, and an engine has the priority that it was started with.

/// How much less the others weigh, in steps of `nice`: about a quarter of the time where the screen wants it too, which
/// it does for a millisecond or two; all of the time where it does not.
#[cfg(target_os = "linux")]
const STEP_BACK: i32 = 5;

/// Lowers the calling thread, and every thread that it starts from here on. There is no way back up without rights
/// that nobody needs to have, so what must not be lowered starts before.
#[cfg(target_os = "linux")]
pub fn step_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    // To Linux "the process" is the calling thread. Somebody may have started us low already.
    let lowered =
        getpriority_process(None).and_then(|now| setpriority_process(None, (now + STEP_BACK).min(19)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "the engine keeps the screen's priority");
    }
}

/// Elsewhere a thread has no priority of its own: it would be the whole process's, the screen's with it.
#[cfg(not(target_os = "linux"))]
pub fn step_back() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn a_thread_steps_back_with_those_it_starts_and_nobody_else() {
        let mine = getpriority_process(None).unwrap();
        let (its, child) = std::thread::spawn(|| {
            step_back();
            let its = getpriority_process(None).unwrap();
            (its, std::thread::spawn(|| getpriority_process(None).unwrap()).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((its, child), ((mine + STEP_BACK).min(19), (mine + STEP_BACK).min(19)));
        assert_eq!(getpriority_process(None).unwrap(), mine);
    }
}
