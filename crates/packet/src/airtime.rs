//! How long a frame occupies the channel, and how well it was received (section 11).

use thiserror::Error;

/// LoRa settings with explicit header and CRC, as MeshCore uses them. The preamble is 32 symbols
/// up to spreading factor 8, and 16 above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoraParams {
    sf: u8,
    bw_hz: u32,
    cr: u8,
}

/// LoRa settings outside of what radios can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoraParamsError {
    /// The spreading factor is not 5 to 12.
    #[error("the spreading factor is 5 to 12, not {sf}")]
    SpreadingFactor {
        /// The value given.
        sf: u8,
    },
    /// The bandwidth is not 1 kHz to 2 MHz.
    #[error("the bandwidth is 1 kHz to 2 MHz, not {bw_hz} Hz")]
    Bandwidth {
        /// The value given, in Hz.
        bw_hz: u32,
    },
    /// The coding rate denominator is not 5 to 8.
    #[error("the coding rate denominator is 5 to 8, not {cr}")]
    CodingRate {
        /// The value given.
        cr: u8,
    },
}

impl LoraParams {
    /// Settings by spreading factor (5 to 12), bandwidth in Hz (62,500 for 62.5 kHz) and
    /// denominator of the coding rate (5 to 8).
    ///
    /// # Errors
    ///
    /// When a value is outside of its range.
    pub fn new(sf: u8, bw_hz: u32, cr: u8) -> Result<Self, LoraParamsError> {
        if !(5..=12).contains(&sf) {
            return Err(LoraParamsError::SpreadingFactor { sf });
        }
        if !(1_000..=2_000_000).contains(&bw_hz) {
            return Err(LoraParamsError::Bandwidth { bw_hz });
        }
        if !(5..=8).contains(&cr) {
            return Err(LoraParamsError::CodingRate { cr });
        }
        Ok(Self { sf, bw_hz, cr })
    }

    /// Spreading factor, 5 to 12.
    pub fn sf(&self) -> u8 {
        self.sf
    }

    /// Bandwidth in Hz.
    pub fn bw_hz(&self) -> u32 {
        self.bw_hz
    }

    /// Denominator of the coding rate, 5 to 8.
    pub fn cr(&self) -> u8 {
        self.cr
    }

    /// Duration of one symbol in whole microseconds.
    pub fn symbol_us(&self) -> u64 {
        // The bandwidth enters in units of 100 Hz, so that 62.5 kHz is a whole number.
        (10_000 << self.sf) / u64::from(self.bw_hz / 100)
    }

    /// Symbols in the preamble.
    pub fn preamble_symbols(&self) -> u64 {
        if self.sf <= 8 { 32 } else { 16 }
    }
}

/// Time on air of a whole frame of `len` bytes, in microseconds.
///
/// ```
/// use meshcore_packet::airtime::{LoraParams, airtime_us};
///
/// let params = LoraParams::new(8, 62_500, 5)?;
/// assert_eq!(airtime_us(100, &params), 713_728);
/// # Ok::<(), meshcore_packet::airtime::LoraParamsError>(())
/// ```
pub fn airtime_us(len: usize, params: &LoraParams) -> u64 {
    let sf = u64::from(params.sf);
    let symbol_us = params.symbol_us();
    let (quarters, header_bits) = if params.sf <= 6 { (25, 0) } else { (17, 8) };
    let bits_per_block = if symbol_us >= 16_000 {
        4 * (sf - 2)
    } else {
        4 * sf
    };
    // No frame is near a length that could overflow; a wrong one must not panic.
    let frame_bits = u64::try_from(len).unwrap_or(u64::MAX).min(0xffff) * 8;
    let bits = (frame_bits + 16 + header_bits + 20).saturating_sub(4 * sf);
    let blocks = bits.div_ceil(bits_per_block);
    let payload_quarters = blocks * u64::from(params.cr) * 4;
    symbol_us * ((params.preamble_symbols() + 8) * 4 + quarters + payload_quarters) / 4
}

/// The firmware's reception score of a frame of `len` bytes: 0 (lost) to 1. Feeders publish it
/// times 1,000. Below spreading factor 7 the firmware gives 0.
pub fn reception_score(snr_db: f64, sf: u8, len: usize) -> f64 {
    let Some(steps) = sf.checked_sub(7).filter(|steps| *steps <= 5) else {
        return 0.0;
    };
    let limit_db = -7.5 - 2.5 * f64::from(steps);
    if snr_db.is_nan() || snr_db < limit_db {
        return 0.0;
    }
    let len = u32::try_from(len).map_or(256.0, f64::from);
    ((snr_db - limit_db) / 10.0 * (1.0 - len / 256.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples_of_section_11() {
        for (len, sf, bw_hz, cr, us) in [
            (20, 8, 62_500, 5, 304_128),
            (100, 8, 62_500, 5, 713_728),
            (20, 7, 62_500, 5, 162_304),
            (100, 10, 250_000, 5, 545_792),
            (255, 11, 250_000, 5, 2_156_544),
            (50, 12, 125_000, 8, 3_547_136),
        ] {
            let params = LoraParams::new(sf, bw_hz, cr).unwrap();
            assert_eq!(airtime_us(len, &params), us, "{len} {params:?}");
        }
    }

    #[test]
    fn impossible_settings_are_refused() {
        assert!(LoraParams::new(4, 125_000, 5).is_err());
        assert!(LoraParams::new(13, 125_000, 5).is_err());
        assert!(LoraParams::new(7, 0, 5).is_err());
        assert!(LoraParams::new(7, 125_000, 4).is_err());
        assert!(airtime_us(usize::MAX, &LoraParams::new(5, 1_000, 8).unwrap()) > 0);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "all values are exact in binary")]
    fn the_score_runs_from_the_limit_to_ten_db_above_it() {
        assert_eq!(reception_score(-10.1, 8, 0), 0.0);
        assert_eq!(reception_score(-10.0, 8, 0), 0.0);
        assert_eq!(reception_score(-5.0, 8, 0), 0.5);
        assert_eq!(reception_score(-5.0, 8, 128), 0.25);
        assert_eq!(reception_score(12.0, 12, 0), 1.0);
        assert_eq!(reception_score(12.0, 6, 0), 0.0);
        assert_eq!(reception_score(f64::NAN, 8, 10), 0.0);
        assert_eq!(reception_score(12.0, 8, 300), 0.0);
    }
}
