//! The runtimes of a process: threads that work on tasks, apart from each other.
//!
//! What must never wait has threads of its own, and what can wait gives way to it: ten thousand people who
//! come at once then make coming slow, and nothing else. The kernel is only asked to prefer nobody; asking
//! it for more would need privileges.

use tokio::runtime::{Builder, Runtime};

/// By how much the niceness of threads is raised that give way: beside one that does not, such a thread
/// still gets a quarter of a core. Much more, and people would find the door shut while audio is busy.
const GIVES_WAY: i32 = 5;

/// Threads of one runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// What `top -H` shows them as; the kernel keeps 15 characters.
    pub name: &'static str,
    /// How many there are; one for each core unless said.
    pub count: Option<usize>,
    /// Whether others of the machine go first.
    pub gives_way: bool,
}

/// Starts a runtime. It ends, with whatever still runs on it, when it is dropped; not within another one.
pub fn start(threads: Threads) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name(threads.name);
    if let Some(count) = threads.count {
        builder.worker_threads(count);
    }
    if threads.gives_way {
        builder.on_thread_start(give_way);
    }
    builder.build()
}

/// On Linux niceness is a thread's own, elsewhere the whole process's.
fn give_way() {
    if cfg!(target_os = "linux") {
        // Where the kernel refuses, everybody is treated alike: slower in a storm, and nothing worse.
        let _refused = rustix::process::setpriority_process(None, GIVES_WAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and niceness of the thread that asks.
    fn who() -> (String, i32) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        (name, rustix::process::getpriority_process(None).unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_have_their_name_and_only_those_give_way_who_should() {
        let (_, niceness) = who();
        let busy = start(Threads { name: "media", count: Some(1), gives_way: false }).unwrap();
        let polite = start(Threads { name: "signaling", count: Some(1), gives_way: true }).unwrap();
        let on = |runtime: &Runtime| runtime.block_on(runtime.spawn(async { who() })).unwrap();
        assert_eq!(on(&busy), ("media".into(), niceness));
        assert_eq!(on(&polite), ("signaling".into(), (niceness + GIVES_WAY).min(19)));
        assert_eq!(who().1, niceness, "whoever started them goes on as before");
    }
}
