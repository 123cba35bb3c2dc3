//! Names for nodes.

use crate::node::Role;
use crate::rng::Rng;

const PLACES: [&str; 40] = [
    "Mission Peak",
    "Twin Peaks",
    "Skyline",
    "Bernal Hill",
    "Mt Umunhum",
    "Coyote Ridge",
    "San Bruno Mtn",
    "Grizzly Peak",
    "Black Mtn",
    "Harbor",
    "Old Mill",
    "Cedar Hill",
    "North Ridge",
    "Water Tower",
    "Quarry",
    "Lighthouse",
    "Campus",
    "Airport Rd",
    "Windy Gap",
    "Redwood",
    "Eagle Rock",
    "Sunset",
    "Lakeview",
    "Foothill",
    "Station 7",
    "Granite",
    "Bayshore",
    "Pine St",
    "Orchard",
    "Summit",
    "Ferry Bldg",
    "Depot",
    "Sutro",
    "Loma Prieta",
    "Vista Point",
    "Marina",
    "Silo",
    "Castle Rock",
    "East Fork",
    "Ham Shack",
];

const PEOPLE: [&str; 40] = [
    "Ana", "Bo", "Chidi", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jun", "Kai", "Lena",
    "Mika", "Noor", "Olaf", "Pia", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Vito", "Wren", "Xenia",
    "Yuki", "Zoë", "K6ABC", "N7QRP", "W6LNK", "KJ6XYZ", "Andrés", "Børge", "Renée", "Jürg", "Owl",
    "Fox", "Badger", "Heron", "Otter", "Moth",
];

const DEVICES: [&str; 8] = ["", "", " T1000", " V3", " Wio", " RAK", " mobile", " 📱"];

/// A name for a node. Numbers follow when the lists run out, so that names stay apart.
pub(crate) fn node_name(rng: &mut Rng, role: Role, number: usize) -> String {
    let (list, suffix) = match role {
        Role::Companion => (&PEOPLE, rng.pick(&DEVICES).copied().unwrap_or("")),
        Role::Repeater => (&PLACES, if rng.chance(0.4) { " Repeater" } else { "" }),
        Role::Room => (&PLACES, " Room"),
        Role::Sensor => (&PLACES, " Weather"),
    };
    // A stride that shares no factor with the length visits every name once.
    let name = list
        .get(number * 13 % list.len())
        .copied()
        .unwrap_or("Node");
    match number / list.len() {
        0 => format!("{name}{suffix}"),
        round => format!("{name} {}{suffix}", round + 1),
    }
}
