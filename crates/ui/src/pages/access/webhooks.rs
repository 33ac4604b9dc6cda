//! Webhooks: who is told of what, how that goes, and the page of one with its deliveries.

use maud::{Markup, html};

use super::{PATTERN_MAX, Tab, behind_a_click, below, name_input, on_demand, side_by_side, webhook_path};
use crate::api::webhooks::WebhookView;
use crate::crypto::secret::AccessToken;
use crate::governance::event::NAMED_EVENTS;
