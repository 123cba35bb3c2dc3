//! A frame as a table for people.

use std::io::{self, Write};

use meshcore_packet::breakdown;
use meshcore_packet::view::FrameView;
use serde_json::Value;

/// Bytes in one row of the table.
const ROW: usize = 8;
/// Width of the column with their hex digits.
const HEX_WIDTH: usize = ROW * 3 - 1;

/// What people look for first in decrypted contents; the rest follows.
const CONTENTS: [&str; 5] = ["channel", "sender", "message", "text", "timestamp"];

/// Writes the head line, all fields, and what keys and signatures tell.
pub(super) fn frame(bytes: &[u8], view: &FrameView<'_>, out: &mut impl Write) -> io::Result<()> {
    let hops = match view.path_hash_count {
        1 => "1 hop".to_owned(),
        count => format!("{count} hops"),
    };
    let (name, route, len) = (view.payload_type_name, view.route, bytes.len());
    writeln!(
        out,
        "{name}, {route}, {hops}, {len} bytes, packet hash {}",
        view.packet_hash
    )?;
    fields(bytes, out)?;
    findings(view, out)
}

/// Writes a row for each field: offset, bytes, name, value.
pub(super) fn fields(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "  offset  {:HEX_WIDTH$}  {:17}  value",
        "bytes", "field"
    )?;
    for field in breakdown(bytes) {
        let covered = bytes.get(field.range()).unwrap_or(&[]);
        let mut rows = covered.chunks(ROW).map(spaced);
        let first = rows.next().unwrap_or_default();
        let (offset, name) = (field.offset, field.name);
        // Long hex is there already; only a key is worth copying in one piece.
        let is_repeated = covered.len() > ROW && field.value == hex::encode(covered);
        let value = if is_repeated && name != "public key" {
            ""
        } else {
            &field.value
        };
        let line = format!("  {offset:>6}  {first:HEX_WIDTH$}  {name:17}  {value}");
        writeln!(out, "{}", line.trim_end())?;
        for row in rows {
            writeln!(out, "  {:>6}  {row}", "")?;
        }
    }
    Ok(())
}

fn spaced(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

/// Writes what is not in the bytes as they are: scope, signature, decrypted contents, errors.
fn findings(view: &FrameView<'_>, out: &mut impl Write) -> io::Result<()> {
    if let Some(scope) = &view.scope {
        let name = scope.as_deref().unwrap_or("none of the given regions");
        row(out, "scope", name)?;
    }
    if let Some(error) = &view.payload_error {
        row(
            out,
            "payload error",
            &format!("{} ({})", error.message, error.kind),
        )?;
    }
    let payload = serde_json::to_value(&view.payload).unwrap_or_default();
    if let Some(valid) = payload.get("signature_valid").and_then(Value::as_bool) {
        row(out, "signature", if valid { "valid" } else { "NOT valid" })?;
    }
    if let Some(outcome) = payload.get("decryption").and_then(Value::as_str) {
        let meaning = match outcome {
            "ok" => "ok",
            "no_key" => "no key: none of the channels has this hash; give one with --channel",
            _ => "MAC mismatch: a key was tried, but it is not the right one",
        };
        row(out, "decryption", meaning)?;
    }
    let Some(decrypted) = payload.get("decrypted").and_then(Value::as_object) else {
        return Ok(());
    };
    let rank = |name: &str| CONTENTS.iter().position(|known| *known == name);
    let mut contents: Vec<_> = decrypted
        .iter()
        .filter(|(name, _)| *name != "text_hex")
        .collect();
    contents.sort_by_key(|(name, _)| rank(name).unwrap_or(CONTENTS.len()));
    for (name, value) in contents {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        row(out, &name.replace('_', " "), &text)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    // Texts come from the air: a control character must not reach the terminal.
    let printable: String = value
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    writeln!(out, "  {name:18} {printable}")
}
