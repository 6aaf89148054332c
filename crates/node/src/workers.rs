//! The seed's threads: a pool that reads, hashes and writes for both roles, so that the loop never
//! waits for a disk.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Work to be done on some thread.
pub(crate) type Task<T> = Box<dyn FnOnce() -> T + Send>;

/// A pool of threads; what their tasks return comes back on one queue.
pub(crate) struct Workers<T> {
    tasks: Sender<Task<T>>,
    done: Receiver<thread::Result<T>>,
    pending: usize,
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `threads` threads. They end with the pool, or with the process.
    pub(crate) fn new(threads: usize) -> Self {
        let (tasks, queue) = unbounded::<Task<T>>();
        let (results, done) = unbounded();
        for number in 0..threads.max(1) {
            let (queue, results) = (queue.clone(), results.clone());
            let work = move || {
                for task in queue {
                    if results.send(catch_unwind(AssertUnwindSafe(task))).is_err() {
                        return;
                    }
                }
            };
            let builder = thread::Builder::new().name(format!("worker {number}"));
            builder.spawn(work).expect("the system gives a few threads");
        }
        Self { tasks, done, pending: 0 }
    }

    /// Hands over a task.
    pub(crate) fn run(&mut self, task: impl FnOnce() -> T + Send + 'static) {
        self.pending += 1;
        self.tasks.send(Box::new(task)).expect("the threads live as long as the pool");
    }

    /// The next result, if one is there.
    ///
    /// # Panics
    ///
    /// Goes on with the panic of a task: whoever waits for its result would wait for ever.
    pub(crate) fn next(&mut self) -> Option<T> {
        let result = self.done.try_recv().ok()?;
        self.pending -= 1;
        Some(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Whether a task has not come back.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending > 0
    }

    /// Where results come from, to wait for the first.
    pub(crate) fn done(&self) -> &Receiver<thread::Result<T>> {
        &self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_comes_back_once() {
        let mut workers = Workers::new(3);
        (0..100).for_each(|number| workers.run(move || number));
        let mut results = Vec::new();
        while results.len() < 100 {
            results.extend(workers.next());
            thread::yield_now();
        }
        results.sort_unstable();
        assert_eq!(results, (0..100).collect::<Vec<_>>());
        assert_eq!(workers.next(), None);
        assert!(!workers.is_busy());
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_of_a_task_goes_on_where_its_result_is_taken() {
        let mut workers: Workers<()> = Workers::new(2);
        workers.run(|| panic!("a bug"));
        while workers.next().is_none() {
            thread::yield_now();
        }
    }
}
