//! The area that the mesh is in, and what becomes of adverts from outside it.

use serde::Serialize;

use super::error::Findings;
use super::raw::{RawForeignAdverts, RawGeoFilter};

/// What becomes of adverts from outside the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ForeignAdverts {
    /// Stored, and the node is marked as foreign.
    Flag,
    /// Not stored.
    Drop,
}

impl ForeignAdverts {
    pub(super) fn resolve(raw: RawForeignAdverts, findings: &mut Findings) -> Self {
        let RawForeignAdverts { mode } = raw;
        match mode.as_deref() {
            None | Some("" | "flag") => Self::Flag,
            Some("drop") => Self::Drop,
            Some(_) => {
                findings.problem("foreignAdverts.mode", "must be flag or drop");
                Self::Flag
            }
        }
    }
}

/// The area that the mesh is in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GeoFilter {
    /// A polygon, closed by itself.
    #[serde(rename_all = "camelCase")]
    Polygon {
        /// At least three corners: latitude and longitude in degrees.
        corners: Vec<[f64; 2]>,
        /// How far outside still counts as inside.
        buffer_km: f64,
    },
    /// Between two latitudes and two longitudes, in degrees.
    #[serde(rename_all = "camelCase")]
    Box {
        /// South to north.
        latitude: [f64; 2],
        /// West to east.
        longitude: [f64; 2],
    },
}

impl GeoFilter {
    pub(super) fn resolve(raw: RawGeoFilter, findings: &mut Findings) -> Option<Self> {
        let path = "geo_filter";
        let RawGeoFilter {
            polygon,
            buffer_km,
            lat_min,
            lat_max,
            lon_min,
            lon_max,
        } = raw;
        let buffer_km = findings.ranged("geo_filter.bufferKm", buffer_km, 0.0..=20_000.0, 0.0);
        let corners = polygon.unwrap_or_default();
        let is_on_globe =
            |[lat, lon]: &[f64; 2]| (-90.0..=90.0).contains(lat) && (-180.0..=180.0).contains(lon);
        if let Some(at) = corners.iter().position(|corner| !is_on_globe(corner)) {
            findings.problem(
                format!("{path}.polygon[{at}]"),
                "must be [latitude, longitude] with -90 to 90 and -180 to 180",
            );
            return None;
        }
        match (corners.len(), lat_min, lat_max, lon_min, lon_max) {
            (3.., ..) => Some(Self::Polygon { corners, buffer_km }),
            (_, Some(south), Some(north), Some(west), Some(east)) => {
                let is_box = is_on_globe(&[south, west]) && is_on_globe(&[north, east]);
                if !is_box || south > north || west > east {
                    findings.problem(path, "latMin, latMax, lonMin and lonMax are no area");
                    return None;
                }
                Some(Self::Box {
                    latitude: [south, north],
                    longitude: [west, east],
                })
            }
            (0, None, None, None, None) => None,
            _ => {
                let message = "needs a polygon of at least three corners, or all of latMin, latMax, \
                               lonMin and lonMax";
                findings.problem(path, message);
                None
            }
        }
    }
}
