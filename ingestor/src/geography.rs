//! Whether a node is within the area that the mesh is in.

use crate::config::GeoFilter;

/// Kilometres of one degree of latitude.
const KM_PER_DEGREE: f64 = 111.2;

/// Whether a position in degrees is inside the area, or near enough.
pub(crate) fn contains(area: &GeoFilter, (lat, lon): (f64, f64)) -> bool {
    match area {
        GeoFilter::Box {
            latitude,
            longitude,
        } => {
            (latitude[0]..=latitude[1]).contains(&lat)
                && (longitude[0]..=longitude[1]).contains(&lon)
        }
        GeoFilter::Polygon { corners, buffer_km } => {
            is_inside(corners, lat, lon) || distance_km(corners, lat, lon) <= *buffer_km
        }
    }
}

/// The corners pairwise, the last with the first.
fn edges(corners: &[[f64; 2]]) -> impl Iterator<Item = ([f64; 2], [f64; 2])> + '_ {
    corners
        .iter()
        .copied()
        .zip(corners.iter().copied().cycle().skip(1))
}

/// Even-odd rule: a ray to the east crosses the border an odd number of times.
fn is_inside(corners: &[[f64; 2]], lat: f64, lon: f64) -> bool {
    edges(corners)
        .filter(|([lat_a, lon_a], [lat_b, lon_b])| {
            (*lat_a > lat) != (*lat_b > lat)
                && lon < (lon_b - lon_a) * (lat - lat_a) / (lat_b - lat_a) + lon_a
        })
        .count()
        % 2
        == 1
}

/// The distance to the border, on a plane that touches the earth at the position.
fn distance_km(corners: &[[f64; 2]], lat: f64, lon: f64) -> f64 {
    let shrink = lat.to_radians().cos();
    let flat = |[a, b]: [f64; 2]| {
        (
            (b - lon) * KM_PER_DEGREE * shrink,
            (a - lat) * KM_PER_DEGREE,
        )
    };
    edges(corners)
        .map(|(a, b)| {
            let ((ax, ay), (bx, by)) = (flat(a), flat(b));
            let (dx, dy) = (bx - ax, by - ay);
            let length = dx * dx + dy * dy;
            let along = if length > 0.0 {
                (-(ax * dx + ay * dy) / length).clamp(0.0, 1.0)
            } else {
                0.0
            };
            (ax + along * dx).hypot(ay + along * dy)
        })
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_outside_and_near() {
        let square = vec![[50.0, 10.0], [50.0, 11.0], [51.0, 11.0], [51.0, 10.0]];
        let area = |buffer_km| GeoFilter::Polygon {
            corners: square.clone(),
            buffer_km,
        };
        assert!(contains(&area(0.0), (50.5, 10.5)));
        assert!(!contains(&area(0.0), (50.5, 11.1)));
        // A tenth of a degree of longitude is about 7 km here.
        assert!(contains(&area(8.0), (50.5, 11.1)));
        assert!(!contains(&area(6.0), (50.5, 11.1)));
        let bounds = GeoFilter::Box {
            latitude: [50.0, 51.0],
            longitude: [10.0, 11.0],
        };
        assert!(contains(&bounds, (50.0, 11.0)));
        assert!(!contains(&bounds, (49.9, 10.5)));
    }
}
