//! Sizes that the protocol fixes (section 1 of the protocol document).

/// Longest payload of a frame, in bytes (`MAX_PACKET_PAYLOAD`).
pub const MAX_PAYLOAD_LEN: usize = 184;
/// Longest path of a frame, in bytes (`MAX_PATH_SIZE`).
pub const MAX_PATH_LEN: usize = 64;
/// Most entries a path can hold; the count has six bits.
pub const MAX_PATH_COUNT: usize = 63;
/// Longest legal frame: header, transport codes, path length byte, path and payload.
pub const MAX_FRAME_LEN: usize = 1 + 4 + 1 + MAX_PATH_LEN + MAX_PAYLOAD_LEN;
/// Longest app data of an advert that counts, in bytes (`MAX_ADVERT_DATA_SIZE`).
pub const MAX_APP_DATA_LEN: usize = 32;
/// Longest text of one message in bytes; in a channel that includes the `name: ` prefix.
pub const MAX_TEXT_LEN: usize = 160;
/// Longest data of a group datagram, in bytes.
pub const MAX_GROUP_DATA_LEN: usize = 165;
/// Size of a cipher block, in bytes.
pub const CIPHER_BLOCK_LEN: usize = 16;
