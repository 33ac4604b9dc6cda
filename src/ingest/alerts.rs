//! Reads the values of alerts, and has the registry act on them.

use super::{IngestError, Recorder};
use crate::model::alert::{Alert, AlertReading};
use crate::telemetry::alerts::read;

impl Recorder {
    /// The values of alerts now. Blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_alerts(&self, alerts: Vec<Alert>) -> Result<Vec<(Alert, AlertReading)>, IngestError> {
        let rules: Vec<_> = alerts.iter().map(|alert| &alert.rule).collect();
        let readings = read(self.store(), &rules, self.retention(), self.now_ms())?;
        Ok(alerts.into_iter().zip(readings).collect())
    }
}
