//! Any topic and payload: the input up to the first NUL is the topic, the rest the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshcore_feed::{Message, ParseOptions, parse};

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (topic, payload) = input.split_at(at);
    let Ok(topic) = std::str::from_utf8(topic) else { return };
    let payload = payload.get(1..).unwrap_or_default();
    let options = ParseOptions::default().with_client_reception(true);
    if let Message::Reception(reception) = parse(topic, payload, &options) {
        assert!(!reception.raw.is_empty() && reception.raw.len() <= payload.len() / 2);
    }
});
