//! Any bytes through everything that takes bytes from the air.
//!
//! Run with `cargo +nightly fuzz run frame` in the directory of the packet crate.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshcore_packet::view::{Inputs, view};
use meshcore_packet::{
    Analysis, ChannelKey, ChannelKeys, Field, Frame, RegionKey, RegionKeys, breakdown, corescope,
};

fuzz_target!(|bytes: &[u8]| {
    let covered: usize = breakdown(bytes).iter().map(|field: &Field| field.len).sum();
    assert_eq!(covered, bytes.len());
    let Ok(frame) = Frame::decode(bytes) else { return };
    assert_eq!(frame.encode().as_deref(), Ok(bytes));
    let keys: ChannelKeys = [ChannelKey::public()].into_iter().collect();
    let regions: RegionKeys = RegionKey::from_name("europe").into_iter().collect();
    let analysis = Analysis::new(&frame, &keys);
    let inputs = Inputs { regions: Some(&regions), shared_secret: Some(&[7; 32]) };
    assert!(serde_json::to_string(&view(&frame, &analysis, &inputs)).is_ok());
    assert!(!corescope::decoded_json_string(&frame, &analysis).is_empty());
});
