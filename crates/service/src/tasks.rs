//! Supervised tasks and threads: one that ends unexpectedly ends the process, with the reason.
//!
//! Nothing in Dais calls `tokio::spawn` or `thread::spawn` by itself. A *part* runs for as long as the
//! process and may end well only once the shutdown has begun; an *errand* ends by itself whenever it is
//! done, and what goes wrong in it is its own business, except a panic.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::shutdown::Shutdown;

/// Starts supervised tasks. Clones share the supervisor.
#[derive(Debug, Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
    shutdown: Shutdown,
    /// Where they run; none: on the runtime of whoever starts one.
    runtime: Option<Handle>,
}

#[derive(Debug)]
struct Inner {
    /// How many parts and errands have not ended.
    live: watch::Sender<usize>,
    /// Why the process must end.
    failure: Mutex<Option<anyhow::Error>>,
    failed: watch::Sender<bool>,
}

impl Tasks {
    /// A supervisor without tasks. Parts may end well once `shutdown` has begun.
    pub fn new(shutdown: Shutdown) -> Self {
        let inner = Inner {
            live: watch::Sender::new(0),
            failure: Mutex::default(),
            failed: watch::Sender::new(false),
        };
        Self { inner: Arc::new(inner), shutdown, runtime: None }
    }

    /// The same, with all of them on this runtime, whoever starts them.
    pub fn on(self, runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..self }
    }

    /// The shutdown that these tasks follow.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Starts a part: it must run until the shutdown begins.
    pub fn part<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let guard = Guard::new(self, name.into());
        // An async block keeps what it awaits twice. Boxed, that is two pointers.
        let future = Box::pin(future);
        self.spawn(async move { guard.end_part(future.await) });
    }

    /// Starts a part on a thread of its own, for work that must not share one: a shard.
    pub fn thread<F>(&self, name: impl Into<String>, run: F)
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        let name = name.into();
        let guard = Guard::new(self, name.clone());
        let started = std::thread::Builder::new().name(name).spawn(move || guard.end_part(run()));
        if let Err(error) = started {
            self.fail(anyhow::Error::new(error).context("a thread cannot be started"));
        }
    }

    /// Starts an errand, such as one client's connection.
    pub fn errand<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = Guard::new(self, name.into());
        let future = Box::pin(future);
        self.spawn(async move {
            future.await;
            guard.end_well();
        });
    }

    /// Does something where the tasks run, and waits for it: sockets that it opens are served there.
    pub async fn settle<F, T>(&self, future: F) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(future).await?
    }

    /// Ends the process for a reason that no task returned.
    pub fn fail(&self, error: anyhow::Error) {
        let mut failure = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.inner.failed.send_replace(true);
    }

    /// Waits until something has failed, and says what; or until the shutdown has begun and every task
    /// has ended.
    pub async fn watch(&self) -> anyhow::Result<()> {
        let mut failed = self.inner.failed.subscribe();
        let mut live = self.inner.live.subscribe();
        tokio::select! {
            biased;
            _ = failed.wait_for(|&failed| failed) => {}
            () = async { self.shutdown.begun().await; let _ = live.wait_for(|&live| live == 0).await; } => {}
        }
        match self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(future),
            None => tokio::spawn(future),
        }
    }
}

/// Lives as long as its task; if the task panics, it is dropped without having ended.
struct Guard {
    tasks: Tasks,
    name: String,
    ended: bool,
}

impl Guard {
    fn new(tasks: &Tasks, name: String) -> Self {
        tasks.inner.live.send_modify(|live| *live += 1);
        Self { tasks: tasks.clone(), name, ended: false }
    }

    fn end_part(self, result: anyhow::Result<()>) {
        let early = || anyhow!("ended although nobody asked it to");
        let result =
            result.and_then(|()| if self.tasks.shutdown.has_begun() { Ok(()) } else { Err(early()) });
        if let Err(error) = result.with_context(|| self.name.clone()) {
            self.tasks.fail(error);
        }
        self.end_well();
    }

    fn end_well(mut self) {
        self.ended = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.ended && std::thread::panicking() {
            self.tasks.fail(anyhow!("{} panicked; the message is above", self.name));
        }
        self.tasks.inner.live.send_modify(|live| *live -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;

    #[tokio::test]
    async fn a_part_that_ends_unasked_is_a_failure_with_its_name() {
        let (_trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        tasks.errand("greeting", async {});
        tasks.part("announcer", async { Ok(()) });
        let error = tasks.watch().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "announcer: ended although nobody asked it to");
    }

    #[tokio::test]
    async fn a_panic_anywhere_is_a_failure() {
        let (_trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        tasks.errand("greeting", async { panic!("on purpose") });
        assert!(tasks.watch().await.unwrap_err().to_string().starts_with("greeting panicked"));

        let tasks = Tasks::new(tasks.shutdown().clone());
        tasks.thread("shard", || panic!("on purpose"));
        assert!(tasks.watch().await.unwrap_err().to_string().starts_with("shard panicked"));
    }

    #[tokio::test]
    async fn all_run_on_the_runtime_that_was_named() {
        let threads = crate::runtime::Threads { name: "elsewhere", count: Some(1), gives_way: false };
        let runtime = crate::runtime::start(threads).unwrap();
        let tasks = Tasks::new(shutdown::channel().1).on(runtime.handle().clone());
        let here = async || std::thread::current().name().map(str::to_owned);
        assert_eq!(
            tasks.settle(async move { Ok(here().await) }).await.unwrap().as_deref(),
            Some("elsewhere")
        );
        let (tell, told) = tokio::sync::oneshot::channel();
        tasks.errand("greeting", async move { tell.send(here().await).unwrap() });
        assert_eq!(told.await.unwrap().as_deref(), Some("elsewhere"));
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn a_drain_waits_for_everybody() {
        let (trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown.clone());
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        tasks.part("origin", async move {
            shutdown.begun().await;
            finished.await?;
            Ok(())
        });
        trigger.begin();
        let watching = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.watch().await }
        });
        tokio::task::yield_now().await;
        assert!(!watching.is_finished());
        finish.send(()).unwrap();
        watching.await.unwrap().unwrap();
    }
}
