//! The thread that writes: what waits is done in one transaction, and answered when that is durable.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use redb::{Durability, ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use super::tables::{ANSWERS, PLANS, RESULTS, RUNS, RUNS_OF, SPENT, mark};
use super::{ANSWER_LIFE_MS, EvaluationStoreError, Shared, codec};
use crate::model::evaluation::{Answer, CaseResult, Run};
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Most requests of one transaction, so that each is answered soon.
const GROUP_JOBS_MAX: usize = 128;

/// Most names in each list of a run whose results were removed.
const NAMES_KEPT_MAX: usize = 50;

/// One change of the file.
#[derive(Clone, Debug)]
pub enum Change {
    /// A run is there, or is as it is now.
    Run(Box<Run>),
    /// What is needed to continue a run.
    Plan {
        /// The run.
        run: u64,
        /// Its plan.
        plan: Vec<u8>,
    },
    /// A run does not need its plan any more.
    DropPlan(u64),
    /// A result of a run.
    Result {
        /// The run.
        run: u64,
        /// The place in its plan.
        place: u32,
        /// The result.
        result: Box<CaseResult>,
    },
    /// An answer that was paid for.
    Answer {
        /// The hash of the request.
        key: [u8; 32],
        /// When it came, in milliseconds since 1970.
        at_ms: i64,
        /// The answer.
        answer: Box<Answer>,
    },
    /// An answer is of no use to anybody.
    Forget {
        /// The hash of the request.
        key: [u8; 32],
    },
    /// A person spent something on a day.
    Spend {
        /// The person.
        principal: String,
        /// The number of the day since 1970.
        day: u32,
        /// How much.
        cost: Usd,
    },
    /// A person did not spend what was reserved for a call.
    Refund {
        /// The person.
        principal: String,
        /// The number of the day since 1970.
        day: u32,
        /// How much.
        cost: Usd,
    },
    /// A run is removed with its results.
    Remove(u64),
    /// The results of a run that is over are removed; the run stays, with some of the names in its lists.
    RemoveResults {
        /// The run.
        run: u64,
        /// The time, in milliseconds since 1970.
        now_ms: i64,
    },
    /// Answers that are too old to use again, and sums of days that are over, are removed.
    Expire {
        /// The time, in milliseconds since 1970.
        now_ms: i64,
        /// The time of the oldest answer that is kept, if it is young enough.
        answers_since_ms: i64,
    },
}

/// Changes of one request.
pub(super) struct Job {
    pub(super) changes: Vec<Change>,
    pub(super) reply: oneshot::Sender<Result<(), EvaluationStoreError>>,
}

pub(super) struct Writer(Arc<Shared>);

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Works until every handle is dropped.
    pub(super) fn run(self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            while let (true, Ok(job)) = (group.len() < GROUP_JOBS_MAX, jobs.try_recv()) {
                group.push(job);
            }
            let done = self.commit(group.iter().flat_map(|job| &job.changes)).map_err(|error| error.to_string());
            for Job { reply, .. } in group {
                // The caller may have stopped waiting.
                let _unheard = reply.send(done.clone().map_err(EvaluationStoreError::Write));
            }
        }
    }

    fn commit<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> Result<(), EvaluationStoreError> {
        let mut write = self.0.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        for change in changes {
            apply(&write, change)?;
        }
        write.commit()?;
        Ok(())
    }
}

fn apply(write: &WriteTransaction, change: &Change) -> Result<(), EvaluationStoreError> {
    match change {
        Change::Run(run) => {
            write.open_table(RUNS)?.insert(run.id, codec::write(run)?.as_slice())?;
            write.open_table(RUNS_OF)?.insert((run.candidate.prompt.as_str(), run.id), ())?;
        }
        Change::Plan { run, plan } => {
            write.open_table(PLANS)?.insert(run, codec::pack(plan)?.as_slice())?;
        }
        Change::DropPlan(run) => {
            write.open_table(PLANS)?.remove(run)?;
        }
        Change::Result { run, place, result } => {
            let stored = codec::pack(&codec::write(result)?)?;
            let mark = mark(result.verdict, result.side);
            write.open_table(RESULTS)?.insert((*run, *place), (mark, stored.as_slice()))?;
        }
        Change::Answer { key, at_ms, answer } => {
            let stored = codec::pack(&codec::write(answer)?)?;
            write.open_table(ANSWERS)?.insert(key, (*at_ms, stored.as_slice()))?;
        }
        Change::Forget { key } => {
            write.open_table(ANSWERS)?.remove(key)?;
        }
        Change::Spend { principal, day, cost } => {
            let mut spent = write.open_table(SPENT)?;
            let before = spent.get((*day, principal.as_str()))?.map_or(0, |pico| pico.value());
            spent.insert((*day, principal.as_str()), before.saturating_add(cost.pico()))?;
        }
        Change::Refund { principal, day, cost } => {
            let mut spent = write.open_table(SPENT)?;
            let before = spent.get((*day, principal.as_str()))?.map_or(0, |pico| pico.value());
            spent.insert((*day, principal.as_str()), before.saturating_sub(cost.pico()))?;
        }
        Change::Remove(run) => {
            let stored = write.open_table(RUNS)?.remove(run)?.map(|run| codec::read::<Run>(run.value())).transpose()?;
            if let Some(stored) = stored {
                write.open_table(RUNS_OF)?.remove((stored.candidate.prompt.as_str(), *run))?;
            }
            write.open_table(PLANS)?.remove(run)?;
            write.open_table(RESULTS)?.retain_in((*run, 0)..=(*run, u32::MAX), |_, _| false)?;
        }
        Change::RemoveResults { run, now_ms } => {
            let mut runs = write.open_table(RUNS)?;
            let stored = runs.get(run)?.map(|run| codec::read::<Run>(run.value())).transpose()?;
            if let Some(mut stored) = stored.filter(|stored| stored.state.is_over()) {
                stored.results_removed = Some(Timestamp::from_ms(*now_ms));
                let compared = stored.comparison.iter_mut().flat_map(|it| [&mut it.worse, &mut it.better]);
                compared.chain([&mut stored.summary.flaky]).for_each(|names| names.truncate(NAMES_KEPT_MAX));
                runs.insert(run, codec::write(&stored)?.as_slice())?;
                write.open_table(RESULTS)?.retain_in((*run, 0)..=(*run, u32::MAX), |_, _| false)?;
            }
        }
        Change::Expire { now_ms, answers_since_ms } => {
            let oldest_ms = now_ms.saturating_sub(ANSWER_LIFE_MS).max(*answers_since_ms);
            write.open_table(ANSWERS)?.retain(|_, (at_ms, _)| at_ms >= oldest_ms)?;
            let today = u32::try_from(now_ms / 86_400_000).unwrap_or_default();
            write.open_table(SPENT)?.retain(|(day, _), _| day >= today)?;
        }
    }
    Ok(())
}
