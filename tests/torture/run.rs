//! One run of a scenario: how long it takes, and the seed of its plan.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds of each scenario, where nothing else is asked for: all together stay below two minutes.
const SECONDS: u64 = 15;

/// A scenario that runs.
pub struct Run {
    pub random: Random,
    seed: u64,
    name: &'static str,
    began: Instant,
    time: Duration,
}

impl Run {
    /// Starts a scenario, and prints its seed.
    pub fn start(name: &'static str) -> Self {
        let seed = number("TORTURE_SEED").unwrap_or_else(|| {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).expect("randomness");
            u64::from(u32::from_le_bytes(bytes))
        });
        let time = Duration::from_secs(number("TORTURE_SECONDS").unwrap_or(SECONDS));
        say(&format!("{name}: TORTURE_SEED={seed} TORTURE_SECONDS={}", time.as_secs()));
        Self { random: Random::new(seed), seed, name, began: Instant::now(), time }
    }

    /// Whether its time is not over yet.
    pub fn goes_on(&self) -> bool {
        self.spent() < self.time
    }

    /// How long it runs already.
    pub fn spent(&self) -> Duration {
        self.began.elapsed()
    }

    /// A part of the whole time, in percent.
    pub fn part(&self, percent: u32) -> Duration {
        self.time * percent / 100
    }

    /// Says what came of it.
    pub fn report(&self, figures: &str) {
        say(&format!("{}: {figures}", self.name));
    }

    /// Keeps the files of a failure, and panics with where they are.
    pub fn fail(&self, folder: &Path, what: &str) -> ! {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{}-{}", self.name, self.seed));
        let copied = std::process::Command::new("cp").arg("-a").arg(folder).arg(&kept).output();
        let place = match copied {
            Ok(done) if done.status.success() => format!("its files are in {}", kept.display()),
            other => format!("its files could not be kept: {other:?}"),
        };
        panic!("{what}\nTORTURE_SEED={} of {}; {place}", self.seed, self.name);
    }
}

/// Panics with what was wrong, each thing once and how often it was.
pub fn nothing_wrong(wrong: &[String]) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for one in wrong {
        *times.entry(one).or_default() += 1;
    }
    let shown: Vec<String> = times.iter().map(|(one, times)| format!("{times} x {one}")).collect();
    assert!(wrong.is_empty(), "{}", shown.join("\n"));
}

/// A number in the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Prints a line that the test harness does not capture.
pub fn say(line: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "torture: {line}");
}

/// Numbers that follow from a seed (`SplitMix64`).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another line of numbers, for another thread.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// An index of something that has so many.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("an index")
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// Whether something of this probability, in percent, happens.
    pub fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
