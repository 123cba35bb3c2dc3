//! What must hold for all values: encoding and decoding are inverse, and no bytes make the crate
//! panic.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use meshcore_packet::plaintext::{
    AnonMessage, GroupDatagram, GroupMessage, Request, Response, ReturnedPath, TextMessage,
    split_sender,
};
use meshcore_packet::view::{Inputs, view};
use meshcore_packet::{
    Ack, Advert, Analysis, AnonRequest, AppData, ChannelKey, ChannelKeys, Control, DiscoverRequest,
    DiscoverResponse, Encrypted, Field, Frame, GroupEncrypted, Identity, Multipart, NodeType, Path,
    Payload, PayloadType, PublicKey, RegionKey, RegionKeys, Route, Trace, breakdown, corescope,
    cut_name, envelope,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// An entry size with path bytes that fit it.
fn path() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (1..=3usize).prop_flat_map(|size| {
        let most = if size == 1 { 63 } else { 64 / size };
        (0..=most).prop_flat_map(move |count| (Just(size), vec(any::<u8>(), size * count)))
    })
}

fn route_and_codes() -> impl Strategy<Value = (Route, Option<[u16; 2]>)> {
    (0u8..4, any::<[u16; 2]>()).prop_map(|(bits, codes)| {
        let route = Route::from_bits(bits);
        (route, route.has_transport_codes().then_some(codes))
    })
}

/// Bytes that mostly begin like a frame, so that the payload decoders are reached.
fn frame_like() -> impl Strategy<Value = Vec<u8>> {
    let payload = vec(any::<u8>(), 0..200);
    let plausible = (0u8..64, any::<[u8; 4]>(), path(), payload).prop_map(
        |(header, codes, (size, path), payload)| {
            let codes: &[u8] = if Route::from_bits(header).has_transport_codes() {
                &codes
            } else {
                &[]
            };
            let path_len = Path::new(size, &path).unwrap().len_byte();
            [&[header], codes, &[path_len], &path, &payload].concat()
        },
    );
    prop_oneof![4 => plausible, 1 => vec(any::<u8>(), 0..300)]
}

/// Encodes a payload, puts it into a frame with `path`, and decodes both again.
fn round_trip(payload: &Payload<'_>, path: Path<'_>) {
    let bytes = payload.encode().unwrap();
    let payload_type = payload.payload_type();
    let frame = Frame {
        route: Route::Direct,
        payload_type,
        transport_codes: None,
        path,
        payload: &bytes,
    };
    let frame_bytes = frame.encode().unwrap();
    let decoded = Frame::decode(&frame_bytes).unwrap();
    assert_eq!(decoded, frame);
    assert_eq!(decoded.decode_payload().as_ref(), Ok(payload));
}

proptest! {
    #[test]
    fn frames_round_trip(
        (route, transport_codes) in route_and_codes(),
        code in 0u8..16,
        (size, path) in path(),
        payload in vec(any::<u8>(), 0..=184),
    ) {
        let payload_type = PayloadType::from_bits(code);
        let path = Path::new(size, &path).unwrap();
        let frame = Frame { route, payload_type, transport_codes, path, payload: &payload };
        let bytes = frame.encode().unwrap();
        prop_assert_eq!(bytes.len(), frame.encoded_len());
        assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn accepted_bytes_encode_to_themselves(bytes in frame_like()) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), Ok(bytes.clone()));
            if let Ok(payload) = frame.decode_payload() {
                // A discovery may have bytes behind it that mean nothing.
                if !matches!(payload, Payload::Control(_)) {
                    prop_assert_eq!(payload.encode().unwrap(), frame.payload);
                }
            }
        }
    }

    #[test]
    fn copies_of_a_packet_have_one_hash(
        (route, transport_codes) in route_and_codes(),
        code in 0u8..16,
        (size, path) in path(),
        payload in vec(any::<u8>(), 0..=184),
    ) {
        let payload_type = PayloadType::from_bits(code);
        let path = Path::new(size, &path).unwrap();
        let copy = Frame { route, payload_type, transport_codes, path, payload: &payload };
        let first = Frame { path: Path::empty(), ..copy };
        if payload_type == PayloadType::Trace && path.len_byte() != 0 {
            prop_assert_ne!(copy.packet_hash(), first.packet_hash());
        } else {
            prop_assert_eq!(copy.packet_hash(), first.packet_hash());
        }
    }

    #[test]
    fn sealed_payloads_round_trip(
        dest_hash: u8, src_hash: u8, mac: [u8; 2], sender: [u8; 32],
        ciphertext in vec(any::<u8>(), 1..=149),
    ) {
        let wrapper = Encrypted { dest_hash, src_hash, mac, ciphertext: &ciphertext };
        round_trip(&Payload::Request(wrapper), Path::empty());
        round_trip(&Payload::Response(wrapper), Path::empty());
        round_trip(&Payload::Text(wrapper), Path::empty());
        round_trip(&Payload::Path(wrapper), Path::empty());
        let group = GroupEncrypted { channel_hash: dest_hash, mac, ciphertext: &ciphertext };
        round_trip(&Payload::GroupText(group), Path::empty());
        round_trip(&Payload::GroupData(group), Path::empty());
        let sender = PublicKey(sender);
        let request = AnonRequest { dest_hash, sender, mac, ciphertext: &ciphertext };
        round_trip(&Payload::AnonRequest(request), Path::empty());
    }

    #[test]
    fn open_payloads_round_trip(
        checksum: u32, extra in vec(any::<u8>(), 0..=2), remaining in 0u8..16,
        inner_code in 0u8..16, data in vec(any::<u8>(), 4..=183), flags: u8,
    ) {
        let ack = Ack { checksum, extra: &extra };
        round_trip(&Payload::Ack(ack), Path::empty());
        let inner_type = PayloadType::from_bits(inner_code);
        let multipart = Multipart { remaining, inner_type, inner: &data };
        round_trip(&Payload::Multipart(multipart), Path::empty());
        round_trip(&Payload::RawCustom(&data), Path::empty());
        round_trip(&Payload::Reserved(PayloadType::Reserved0D, &data), Path::empty());
        if !matches!(flags >> 4, 8 | 9) {
            round_trip(&Payload::Control(Control::Other { flags, data: &data }), Path::empty());
        }
    }

    #[test]
    fn discovery_round_trips(
        low in 0u8..16, type_filter: u8, tag: u32, since: Option<u32>, snr: i8, key: [u8; 32],
        whole: bool,
    ) {
        let request = DiscoverRequest { flags: 0x80 | low, type_filter, tag, since };
        round_trip(&Payload::Control(Control::DiscoverRequest(request)), Path::empty());
        let public_key = if whole { &key[..] } else { &key[..8] };
        let response = DiscoverResponse::new(NodeType::from_bits(low), snr, tag, public_key);
        round_trip(&Payload::Control(Control::DiscoverResponse(response)), Path::empty());
    }

    #[test]
    fn traces_round_trip(
        tag: u32, auth_code: u32, flags: u8, hops in 0usize..=21,
        bytes in vec(any::<u8>(), 168), snrs in vec(any::<u8>(), 0..=63),
    ) {
        let size = 1 << (flags & 3);
        let trace = Trace { tag, auth_code, flags, hashes: &bytes[..hops * size], snrs: &snrs };
        round_trip(&Payload::Trace(trace), trace.path().unwrap());
    }

    #[test]
    fn signed_adverts_round_trip_and_verify(
        seed: [u8; 32], timestamp: u32, app_data in vec(any::<u8>(), 0..=84), bit in 0usize..288,
    ) {
        let advert = Advert::sign(&Identity::from_seed(seed), timestamp, &app_data);
        round_trip(&Payload::Advert(advert), Path::empty());
        prop_assert!(advert.signature_valid());
        let mut signature = advert.signature;
        signature[bit / 8 % 64] ^= 1 << (bit % 8);
        let forged = Advert { signature, ..advert };
        prop_assert!(!forged.signature_valid());
    }

    #[test]
    fn app_data_round_trips(
        code in 0u8..16, position: Option<(i32, i32)>, feat1: Option<u16>, feat2: Option<u16>,
        name in "[^\0]{0,40}",
    ) {
        let mut data = AppData::new(NodeType::from_bits(code)).with_features(feat1, feat2);
        if let Some((lat_e6, lon_e6)) = position {
            data = data.with_location(lat_e6, lon_e6);
        }
        let name = cut_name(&name, data.room_for_name());
        let data = data.with_name(name);
        let bytes = data.encode().unwrap();
        prop_assert!(bytes.len() <= 32);
        assert_eq!(AppData::decode(&bytes), data);
    }

    #[test]
    fn texts_round_trip(
        timestamp: u32, attempt: u8, text in "[^\0]{0,40}", kind in 1u8..3, prefix: [u8; 4],
        sender in "[a-zA-Z0-9 ]{1,20}",
    ) {
        let plain = TextMessage::plain(timestamp, attempt, &text);
        assert_eq!(TextMessage::decode(&plain.encode().unwrap()), Ok(plain));
        let message = TextMessage {
            flags: kind << 2 | attempt & 3,
            sender_prefix: (kind == TextMessage::SIGNED).then_some(prefix),
            extended_attempt: None,
            ..plain
        };
        assert_eq!(TextMessage::decode(&message.encode().unwrap()), Ok(message));
        let line = format!("{sender}: {text}");
        prop_assert_eq!(split_sender(&line), (Some(sender.as_str()), text.as_str()));
        if line.len() <= 160 {
            let message = GroupMessage { timestamp, flags: 0, text: Some(line.as_bytes()) };
            assert_eq!(GroupMessage::decode(&message.encode().unwrap()), Ok(message));
        }
    }

    #[test]
    fn other_plaintexts_round_trip(
        timestamp: u32, data in vec(any::<u8>(), 0..=100), data_type: u16, extra_type_byte: u8,
        (size, path) in path(),
    ) {
        let request = Request { timestamp, data: &data };
        assert_eq!(Request::decode(&request.encode()), Ok(request));
        let response = Response { tag: timestamp, data: &data };
        assert_eq!(Response::decode(&response.encode()), Ok(response));
        let message = AnonMessage { timestamp, data: &data };
        assert_eq!(AnonMessage::decode(&message.encode()), Ok(message));
        let datagram = GroupDatagram { data_type, data: &data };
        assert_eq!(GroupDatagram::decode(&datagram.encode().unwrap()), Ok(datagram));
        let path = Path::new(size, &path).unwrap();
        let returned = ReturnedPath { path, extra_type_byte, extra: &data };
        assert_eq!(ReturnedPath::decode(&returned.encode()), Ok(returned));
    }

    #[test]
    fn envelopes_round_trip(secret: [u8; 32], plaintext in vec(any::<u8>(), 0..=176)) {
        let (mac, ciphertext) = envelope::seal(&secret, &plaintext);
        let opened = envelope::open(&secret, mac, &ciphertext).unwrap();
        prop_assert_eq!(opened.len(), plaintext.len().next_multiple_of(16));
        prop_assert!(opened.starts_with(&plaintext));
        prop_assert!(opened[plaintext.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn both_ends_agree_on_a_secret(a: [u8; 32], b: [u8; 32]) {
        let (a, b) = (Identity::from_seed(a), Identity::from_seed(b));
        let secret = a.shared_secret(&b.public_key());
        prop_assert!(secret.is_some());
        prop_assert_eq!(secret, b.shared_secret(&a.public_key()));
    }

    #[test]
    fn no_bytes_make_anything_panic(bytes in frame_like(), secret: [u8; 32]) {
        let fields = breakdown(&bytes);
        let covered: Vec<usize> = fields.iter().flat_map(Field::range).collect();
        prop_assert_eq!(covered, (0..bytes.len()).collect::<Vec<_>>());
        let Ok(frame) = Frame::decode(&bytes) else { return Ok(()) };
        let regions: RegionKeys = RegionKey::from_name("europe").into_iter().collect();
        let keys: ChannelKeys = [ChannelKey::public()].into_iter().collect();
        let analysis = Analysis::new(&frame, &keys);
        let inputs = Inputs { regions: Some(&regions), shared_secret: Some(&secret) };
        prop_assert!(serde_json::to_value(view(&frame, &analysis, &inputs)).is_ok());
        prop_assert!(!corescope::decoded_json_string(&frame, &analysis).is_empty());
        corescope::path_json(&frame, &analysis.payload);
        corescope::channel_hash(&analysis);
    }

    #[test]
    fn any_plaintext_can_be_shown(plaintext in vec(any::<u8>(), 0..=176)) {
        let channel = ChannelKey::public();
        let keys: ChannelKeys = [channel.clone()].into_iter().collect();
        let secret = channel.secret();
        let key = PublicKey([0x11; 32]);
        let pairwise = Encrypted::seal(&key, &key, secret, &plaintext).unwrap();
        let group = GroupEncrypted::seal(&channel, &plaintext).unwrap();
        for payload_type in PayloadType::ALL {
            let is_group =
                matches!(payload_type, PayloadType::GroupText | PayloadType::GroupData);
            let frame = Frame {
                route: Route::Flood,
                payload_type,
                transport_codes: None,
                path: Path::empty(),
                payload: if is_group { &group } else { &pairwise },
            };
            let analysis = Analysis::new(&frame, &keys);
            let inputs = Inputs { regions: None, shared_secret: Some(secret) };
            prop_assert!(serde_json::to_value(view(&frame, &analysis, &inputs)).is_ok());
            prop_assert!(!corescope::decoded_json_string(&frame, &analysis).is_empty());
        }
        if let Ok(request) = Request::decode(&plaintext) {
            let kind = request.kind();
            prop_assert!(kind.is_some() || plaintext.len() < 4 + 9);
        }
    }

    #[test]
    fn any_text_may_be_tried_as_a_key(text in "\\PC{0,70}|[0-9a-fA-F]{32}|[0-9a-fA-F]{64}") {
        prop_assert_eq!(text.parse::<PublicKey>().is_ok(), is_hex(&text, 64));
        prop_assert!(ChannelKey::parse("x", &text).is_ok() || !is_hex(&text, 32));
        prop_assert_eq!(
            RegionKey::from_name(&text).is_ok(),
            !text.is_empty() && !text.starts_with('$')
        );
    }
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.chars().all(|c| c.is_ascii_hexdigit())
}
