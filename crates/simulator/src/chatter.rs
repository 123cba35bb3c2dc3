//! What people write.

use crate::rng::Rng;

const CHANNEL: [&str; 32] = [
    "good morning mesh ☀️",
    "test",
    "test from {place}",
    "Ping",
    "pong, {n} hops",
    "copy, {n} dB here",
    "anyone on near {place}?",
    "new repeater up at {place}, please report",
    "I hear you fine via {place}",
    "antenna is {n} m up now, huge difference",
    "battery at {n}%, solar is keeping up",
    "who runs the repeater at {place}?",
    "heading to {place}, back in {n} min",
    "net tonight at 19:{n}",
    "got {n} repeats on that one",
    "switched to 2-byte paths, looks good",
    "can somebody trace {place} for me?",
    "fog is rolling in at {place}",
    "thanks! 73",
    "¿alguien en {place}?",
    "Grüezi zäme, {n} Knoten heute",
    "firmware 1.17 is out, updating {place}",
    "lost {place} around noon, back now",
    "ack",
    "hello from a hike, {n} km from {place}",
    "weather station says {n} °C",
    "is the room server at {place} down?",
    "nice signal, SNR {n}",
    "QSL",
    "welcome to the mesh!",
    "road closed near {place}, take the other side",
    "lunch? 🍜",
];

const DIRECT: [&str; 12] = [
    "hey, are you home?",
    "on my way, {n} min",
    "got your message via {place}",
    "can you check the antenna at {place}?",
    "ok",
    "yes, at {n}",
    "bring the spare battery please",
    "did that arrive?",
    "👍",
    "meet at {place}",
    "the node at {place} shows {n}%",
    "call me later",
];

const PLACES: [&str; 10] = [
    "Twin Peaks",
    "the harbor",
    "Mission Peak",
    "Skyline",
    "Sutro",
    "the campus",
    "Coyote Ridge",
    "the water tower",
    "Black Mtn",
    "Grizzly Peak",
];

/// A line for a channel.
pub(crate) fn channel_text(rng: &mut Rng) -> String {
    fill(rng, &CHANNEL)
}

/// A line from one person to another.
pub(crate) fn direct_text(rng: &mut Rng) -> String {
    fill(rng, &DIRECT)
}

fn fill(rng: &mut Rng, templates: &[&str]) -> String {
    let template = rng.pick(templates).copied().unwrap_or("test");
    let place = rng.pick(&PLACES).copied().unwrap_or("home");
    let number = rng.between(10, 59).to_string();
    template.replace("{place}", place).replace("{n}", &number)
}
