//! Parameters that several operations share.

use utoipa::IntoParams;

use crate::api::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::model::schema::{built_schema, text};

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `Params::page` takes")]
pub(in crate::http) struct Paging {
    /// The `next` of the previous page.
    cursor: Option<String>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// The attributes of the subject.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `Params::attributes` takes")]
pub(in crate::http) struct Attributes {
    /// Attributes for rules, each as `name=value`: `attr=locale=de-DE&attr=plan=pro`.
    #[param(style = Form, explode, max_items = 64, example = json!(["locale=de-DE"]))]
    attr: Option<Vec<Attribute>>,
}

/// One of them.
pub(super) struct Attribute;
built_schema!(Attribute = text("A name and a value.", "locale=de-DE").pattern(Some("^[^=]+=")).max_length(Some(2_049)));

const _: () = assert!(PAGE_ROWS_MAX == 1_000 && PAGE_ROWS_DEFAULT == 100, "the bounds that `limit` is documented with");
