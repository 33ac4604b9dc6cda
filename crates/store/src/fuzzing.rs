//! Support for the targets in `fuzz/`: access to stored records, which are private to the store; compiled only for
//! them.

use super::codec::{self, Record};
use super::documents::Document;
use super::record::{
    DeltaHeaderV1, DeploymentV1, HeadV1, LabelV1, OperationV1, PromptV1, VersionV1, decode_audit, decode_deployment,
    decode_version, encode_audit,
};
use crate::model::change_request::ChangeRequest;
use crate::model::draft::Draft;
use crate::model::name::{Label, PromptName};
use crate::model::policy::Policy;
use crate::model::principal::Principal;
use crate::model::webhook::Webhook;

/// Parses bytes as each kind of record and document. A value that parses must encode to bytes that parse to the same
/// value.
pub fn read_record(bytes: &[u8]) {
    same::<HeadV1>(bytes);
    same::<DeltaHeaderV1>(bytes);
    same::<OperationV1>(bytes);
    let name: PromptName = "a/b".parse().expect("a name");
    let label = Label::production();
    if let Ok(record) = codec::decode::<PromptV1>(bytes) {
        let prompt = record.into_model(name.clone());
        let written = codec::encode(&PromptV1::new(&prompt)).expect("a record");
        let again = codec::decode::<PromptV1>(&written).expect("its own form");
        assert_eq!(again.into_model(name.clone()), prompt);
    }
    if let Ok(record) = codec::decode::<LabelV1>(bytes) {
        let _ = record.into_model(label.clone());
    }
    if let Ok(version) = decode_version(bytes, 3) {
        let again =
            decode_version(&codec::encode(&VersionV1::new(&version)).expect("a record"), 3).expect("its own form");
        assert_eq!(again, version);
    }
    if let Ok(deployment) = decode_deployment(bytes, name.clone(), label.clone(), 4) {
        let written = codec::encode(&DeploymentV1::new(&deployment)).expect("a record");
        assert_eq!(decode_deployment(&written, name, label, 4).expect("its own form"), deployment);
    }
    if let Ok(entry) = decode_audit(bytes, 5) {
        let again = decode_audit(&encode_audit(&entry).expect("a record"), 5).expect("its own form");
        assert_eq!(again.to_canonical(), entry.to_canonical());
    }
    same_document::<Principal>(bytes);
    same_document::<Policy>(bytes);
    same_document::<ChangeRequest>(bytes);
    same_document::<Draft>(bytes);
    same_document::<Webhook>(bytes);
}

fn same<R: Record>(bytes: &[u8]) {
    if let Ok(record) = codec::decode::<R>(bytes) {
        let written = codec::encode(&record).expect("a record");
        let again = codec::decode::<R>(&written).expect("its own form");
        assert_eq!(codec::encode(&again).expect("a record"), written);
    }
}

fn same_document<D: Document>(bytes: &[u8]) {
    if let Ok(document) = serde_json::from_slice::<D>(bytes) {
        let written = serde_json::to_vec(&document).expect("JSON");
        let again = serde_json::from_slice::<D>(&written).expect("its own form");
        assert_eq!(serde_json::to_vec(&again).expect("JSON"), written);
    }
}
