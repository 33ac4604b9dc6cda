//! Erasing what could identify a person: inputs, outputs, sessions, users, and what was written about scores. Counts stay.
//!
//! What was erased is remembered for a while by its hash, so that reports which arrive later, from a replica or a file,
//! are erased as they come. Each transaction takes a few blocks, and reports are recorded between them.

use std::collections::BTreeMap;

use redb::{Database, ReadableDatabase, ReadableTable, Table};

use super::TelemetryError;
use super::apply::{target_hash, targets_of};
use super::codec::{pack, unpack};
use super::expire::less_bytes;
use super::marks::{scrub_response, scrub_score};
use super::observed;
use super::tables::{
    BLOCKS, BODIES, ERASED, INDEX, INDEX_KEY_BYTES, Kind, Place, hash, index_key, index_range, indexed_days, place_of,
};
use crate::event::{Event, ScoreTarget};

/// Most responses that are erased in one transaction.
const RESPONSES_PER_STEP: usize = 2_000;

/// Whose inputs, outputs, users and sessions are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erase {
    /// Of one response, by its id.
    Response(String),
    /// Of one conversation.
    Session(String),
    /// Of one user.
    User(String),
}

impl Erase {
    fn key(&self) -> (Kind, [u8; 16]) {
        match self {
            Self::Response(id) => (Kind::Response, hash(&[id.as_bytes()])),
            Self::Session(id) => (Kind::Session, hash(&[id.as_bytes()])),
            Self::User(id) => (Kind::User, hash(&[id.as_bytes()])),
        }
    }
}

/// What one transaction did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Erased {
    pub(super) erased: u64,
    /// Where the next one goes on.
    pub(super) after: Option<(u16, Place)>,
}

/// Erases some responses, after a day and place.
pub(super) fn erase(
    database: &Database,
    what: &Erase,
    after: Option<(u16, Place)>,
    now_ms: i64,
) -> Result<Erased, TelemetryError> {
    let (kind, hash) = what.key();
    let (found, next) = some_places(database, kind, &hash, after)?;
    let txn = database.begin_write()?;
    let mut done = Erased { erased: 0, after: next };
    {
        // First, so that what arrives between the transactions is erased as it comes.
        txn.open_table(ERASED)?.insert((kind as u8, &hash), now_ms)?;
        let mut erasing = Erasing {
            index: txn.open_table(INDEX)?,
            blocks: txn.open_table(BLOCKS)?,
            bodies: txn.open_table(BODIES)?,
            groups: Vec::new(),
            freed: 0,
        };
        let mut targets = Vec::new();
        if let Erase::Session(id) = what {
            targets.push(ScoreTarget::Session(id.clone()));
        }
        for ((day, block), places) in found {
            done.erased = done.erased.saturating_add(erasing.responses(day, block, &places, &mut targets)?);
        }
        for target in targets {
            erasing.scores(&target)?;
        }
        for group in std::mem::take(&mut erasing.groups) {
            observed::erase(&txn, group)?;
        }
        let freed = erasing.freed;
        drop(erasing);
        less_bytes(&txn, freed)?;
    }
    txn.commit()?;
    Ok(done)
}

type Found = (BTreeMap<(u16, u64), Vec<u8>>, Option<(u16, Place)>);

/// Places of a hash by day and block, and where to go on if there are more.
fn some_places(
    database: &Database,
    kind: Kind,
    hash: &[u8; 16],
    after: Option<(u16, Place)>,
) -> Result<Found, TelemetryError> {
    let txn = database.begin_read()?;
    let index = txn.open_table(INDEX)?;
    let mut found: BTreeMap<(u16, u64), Vec<u8>> = BTreeMap::new();
    let mut number = 0;
    for day in indexed_days(&index)?.into_iter().skip_while(|day| after.is_some_and(|(done, _)| *day < done)) {
        let range = index_range(day, kind, hash);
        for entry in index.range::<&[u8; INDEX_KEY_BYTES]>(range.start()..=range.end())? {
            let place = place_of(entry?.0.value());
            if after.is_some_and(|after| (day, place) <= after) {
                continue;
            }
            found.entry((day, place.block)).or_default().push(place.index);
            number += 1;
            if number >= RESPONSES_PER_STEP {
                return Ok((found, Some((day, place))));
            }
        }
    }
    Ok((found, None))
}

struct Erasing<'t> {
    index: Table<'t, &'static [u8; INDEX_KEY_BYTES], u32>,
    blocks: Table<'t, u64, &'static [u8]>,
    bodies: Table<'t, (u64, u8), &'static [u8]>,
    /// The observed prompt of each erased response.
    groups: Vec<u64>,
    freed: usize,
}

impl Erasing<'_> {
    /// Erases responses of one block, and adds what scores can be about that they are.
    fn responses(
        &mut self,
        day: u16,
        block: u64,
        places: &[u8],
        targets: &mut Vec<ScoreTarget>,
    ) -> Result<u64, TelemetryError> {
        let mut erased = 0_u64;
        let (mut gone, mut groups) = (Vec::new(), Vec::new());
        self.change(block, |events| {
            for index in places {
                let Some(Event::Response(response)) = events.get_mut(usize::from(*index)) else { continue };
                let only_its_own =
                    |target: &ScoreTarget| matches!(target, ScoreTarget::Response(_) | ScoreTarget::Span(_));
                targets.extend(targets_of(response).into_iter().filter(only_its_own));
                groups.extend(response.observed.take());
                let ids = [(Kind::Session, response.session.take()), (Kind::User, response.user.take())];
                gone.extend(ids.into_iter().filter_map(|(kind, id)| Some((*index, kind, id?))));
                scrub_response(response);
                erased = erased.saturating_add(1);
            }
        })?;
        self.groups.extend(groups);
        for (index, kind, id) in gone {
            self.index.remove(&index_key(day, kind, &hash(&[id.as_bytes()]), Place { block, index }))?;
        }
        for index in places {
            if let Some(body) = self.bodies.remove((block, *index))? {
                self.freed = self.freed.saturating_add(body.value().len());
            }
        }
        Ok(erased)
    }

    /// Erases what was written about the scores of a target.
    fn scores(&mut self, target: &ScoreTarget) -> Result<(), TelemetryError> {
        let hash = target_hash(target);
        let mut places: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for day in indexed_days(&self.index)? {
            let range = index_range(day, Kind::Target, &hash);
            for entry in self.index.range::<&[u8; INDEX_KEY_BYTES]>(range.start()..=range.end())? {
                let place = place_of(entry?.0.value());
                places.entry(place.block).or_default().push(place.index);
            }
        }
        for (block, indexes) in places {
            self.change(block, |events| {
                for index in indexes {
                    if let Some(Event::Score(score)) = events.get_mut(usize::from(index)) {
                        scrub_score(score);
                    }
                }
            })?;
        }
        Ok(())
    }

    fn change(&mut self, block: u64, change: impl FnOnce(&mut Vec<Event>)) -> Result<(), TelemetryError> {
        let Some(packed) = self.blocks.get(block)?.map(|block| block.value().to_vec()) else { return Ok(()) };
        let mut events: Vec<Event> = unpack(&packed)?;
        change(&mut events);
        let repacked = pack(&events)?;
        self.blocks.insert(block, repacked.as_slice())?;
        self.freed = self.freed.saturating_add(packed.len().saturating_sub(repacked.len()));
        Ok(())
    }
}
