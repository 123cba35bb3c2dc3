//! What to simulate, and the checks on it.

use jiff::Timestamp;
use thiserror::Error;

/// IATA code, latitude, longitude and scope name of the regions that have a place.
const KNOWN: [(&str, f64, f64, &str); 12] = [
    ("SJC", 37.33, -121.89, "#southbay"),
    ("SFO", 37.70, -122.42, "#sanfrancisco"),
    ("OAK", 37.82, -122.24, "#eastbay"),
    ("MRY", 36.60, -121.88, "#monterey"),
    ("SMF", 38.58, -121.49, "#sacramento"),
    ("SEA", 47.61, -122.33, "#seattle"),
    ("PDX", 45.52, -122.67, "#portland"),
    ("LHR", 51.51, -0.13, "#london"),
    ("ZRH", 47.37, 8.54, "#zurich"),
    ("BRN", 46.95, 7.45, "#bern"),
    ("BER", 52.52, 13.40, "#berlin"),
    ("SYD", -33.87, 151.21, "#sydney"),
];

/// A place with nodes and observers, named by an airport as feeders do.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Three capital letters; the second level of the feed's topics.
    pub iata: String,
    /// Latitude of the centre in degrees, north positive.
    pub lat_deg: f64,
    /// Longitude of the centre in degrees, east positive.
    pub lon_deg: f64,
    /// Name of the region scope that floods may be limited to, with its `#`.
    pub scope: String,
}

impl Region {
    /// The region of an airport. One that this library does not know gets a place at sea, always
    /// the same, and a scope named after it.
    pub fn named(iata: &str) -> Self {
        let known = KNOWN.iter().find(|(code, ..)| *code == iata);
        let (lat_deg, lon_deg, scope) = known.map_or_else(
            || unknown_place(iata),
            |(_, lat_deg, lon_deg, scope)| (*lat_deg, *lon_deg, (*scope).to_owned()),
        );
        Self {
            iata: iata.to_owned(),
            lat_deg,
            lon_deg,
            scope,
        }
    }
}

/// A place that follows from the letters alone.
fn unknown_place(iata: &str) -> (f64, f64, String) {
    let number = iata
        .bytes()
        .fold(0, |sum: u32, byte| (sum * 31 + u32::from(byte)) % 9_000);
    let lat_deg = -40.0 + f64::from(number / 100) * 0.4;
    let lon_deg = -160.0 + f64::from(number % 100) * 0.4;
    (lat_deg, lon_deg, format!("#{}", iata.to_lowercase()))
}

/// What to simulate. The defaults are a mesh of 60 nodes and 8 observers around the San Francisco
/// Bay, with 5 receptions per second.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationOptions {
    /// Everything random follows from this number.
    pub seed: u64,
    /// The moment that offset 0 stands for. Adverts, texts and feed timestamps count from it.
    pub start: Timestamp,
    /// Number of nodes, 2 to 5,000. Of ten nodes three are repeaters, one is a room server and
    /// one a sensor; the others are companions.
    pub nodes: usize,
    /// Number of observers, 1 to `nodes`; each one is also a node of the mesh.
    pub observers: usize,
    /// The regions over which nodes and observers are spread, in turn. At least one.
    pub regions: Vec<Region>,
    /// Receptions per second of simulated time, over all observers, in the long run. Above 0.
    pub receptions_per_second: f64,
    /// About how many receptions a well-heard packet has, over all observers. At least 1.
    pub receptions_per_packet: f64,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            // 2026-01-01T00:00:00Z.
            start: Timestamp::constant(1_767_225_600, 0),
            nodes: 60,
            observers: 8,
            regions: ["SJC", "SFO", "OAK"].map(Region::named).to_vec(),
            receptions_per_second: 5.0,
            receptions_per_packet: 7.0,
        }
    }
}

impl SimulationOptions {
    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        if !(2..=5_000).contains(&self.nodes) {
            return Err(OptionsError::Nodes(self.nodes));
        }
        if !(1..=self.nodes).contains(&self.observers) {
            return Err(OptionsError::Observers {
                observers: self.observers,
                nodes: self.nodes,
            });
        }
        if self.regions.is_empty() {
            return Err(OptionsError::NoRegion);
        }
        for region in &self.regions {
            let is_iata =
                region.iata.len() == 3 && region.iata.bytes().all(|byte| byte.is_ascii_uppercase());
            if !is_iata {
                return Err(OptionsError::Iata(region.iata.clone()));
            }
        }
        let rate = self.receptions_per_second;
        if !(rate.is_finite() && rate > 0.0) {
            return Err(OptionsError::Rate(rate));
        }
        let copies = self.receptions_per_packet;
        if !(copies.is_finite() && copies >= 1.0) {
            return Err(OptionsError::Copies(copies));
        }
        Ok(())
    }
}

/// An option that cannot be simulated.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The number of nodes is out of range.
    #[error("a mesh has 2 to 5000 nodes, not {0}")]
    Nodes(usize),
    /// There are no observers, or more than nodes.
    #[error("{observers} observers do not fit: there must be 1 to {nodes}, the number of nodes")]
    Observers {
        /// Observers asked for.
        observers: usize,
        /// Nodes asked for.
        nodes: usize,
    },
    /// There is no region.
    #[error("there must be at least one region")]
    NoRegion,
    /// A region is not named by an airport.
    #[error("\"{0}\" is not a region: give the three capital letters of an airport, such as SJC")]
    Iata(String),
    /// The rate is not a positive number.
    #[error("the rate must be above 0 receptions per second, not {0}")]
    Rate(f64),
    /// The number of receptions per packet is below 1.
    #[error("a packet has at least 1 reception, not {0}")]
    Copies(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(SimulationOptions::default().check(), Ok(()));
    }

    #[test]
    fn each_option_is_checked() {
        let with = |change: fn(&mut SimulationOptions)| {
            let mut options = SimulationOptions::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(with(|options| options.nodes = 1).contains("2 to 5000"));
        assert!(with(|options| options.observers = 61).contains("1 to 60"));
        assert!(with(|options| options.regions.clear()).contains("one region"));
        assert!(with(|options| options.regions = vec![Region::named("sjc")]).contains("SJC"));
        assert!(with(|options| options.receptions_per_second = f64::NAN).contains("rate"));
        assert!(with(|options| options.receptions_per_packet = 0.5).contains("reception"));
    }

    #[test]
    fn an_unknown_airport_has_a_lasting_place() {
        let region = Region::named("QQX");
        assert_eq!(region, Region::named("QQX"));
        assert_eq!(region.scope, "#qqx");
        assert!(region.lat_deg.abs() < 60.0 && region.lon_deg.abs() < 170.0);
    }
}
