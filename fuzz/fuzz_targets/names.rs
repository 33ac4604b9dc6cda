//! References, names, labels and other parts of paths and forms: a parsed value is printed in a form that parses to the
//! same.
#![no_main]

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use bookholder::crypto::secret::AccessToken;
use bookholder::crypto::webhook::WebhookSecret;
use bookholder::files::mapping::NameMapper;
use bookholder::files::path::{name_of, path_of};
use bookholder::model::content_id::ContentId;
use bookholder::model::name::{Label, PromptName};
use bookholder::model::position::Position;
use bookholder::model::public_url::PublicUrl;
use bookholder::model::reference::{Reference, Selector};
use bookholder::trust::root::RootKeyId;
use libfuzzer_sys::fuzz_target;

fn reads_back<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    assert_eq!(value.to_string().parse::<T>().expect("its own form"), value);
    Some(value)
}

fuzz_target!(|text: &str| {
    if let Some(name) = reads_back::<PromptName>(text) {
        if name.check_new().is_ok() {
            assert_eq!(name_of(Path::new(&path_of(&name))), Ok(name));
        }
    }
    reads_back::<Reference>(text);
    reads_back::<Selector>(text);
    reads_back::<Label>(text);
    reads_back::<ContentId>(text);
    reads_back::<Position>(text);
    reads_back::<RootKeyId>(text);
    let _ = text.parse::<PublicUrl>();
    if let Ok(token) = AccessToken::parse(text) {
        assert_eq!(AccessToken::parse(token.reveal()).expect("its own form").reveal(), token.reveal());
    }
    if let Ok(secret) = WebhookSecret::parse(text) {
        assert_eq!(WebhookSecret::parse(&secret.reveal()).expect("its own form").reveal(), secret.reveal());
    }
    // Names of another library become names that are new, and two of them never the same.
    let mut mapper = NameMapper::new();
    let (one, other) = (mapper.map(text).name, mapper.map(&format!("{text}x")).name);
    assert!(one != other && one.check_new().is_ok() && other.check_new().is_ok());
});
