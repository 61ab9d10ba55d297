//! This file is what a sidecar says of its machine.

use serde::{Deserialize, Serialize};

use super::ToHub;
use crate::json::Json;
use crate::time::Wall;

/// How a machine is doing, in the words of the original. What is not known is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// How busy its processors are, in thousandths; on the wire a percentage with one decimal.
    #[serde(
        rename = "cpu_percent",
        with = "percent",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub cpu_per_mille: Option<u32>,
    /// Memory that programs cannot have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_used_bytes: Option<u64>,
    /// Its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_total_bytes: Option<u64>,
    /// Memory in use of its graphics cards, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vram_used_bytes: Option<u64>,
    /// The memory of its graphics cards, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vram_total_bytes: Option<u64>,
}

impl Figures {
    /// The frame that tells a hub what was measured at a time.
    ///
    /// # Panics
    ///
    /// Never: numbers serialise, and six of them are short.
    #[must_use]
    pub fn frame(self, at: Wall) -> ToHub {
        #[derive(Serialize)]
        struct Measured {
            #[serde(flatten)]
            figures: Figures,
            timestamp: Wall,
        }
        let measured = Measured { figures: self, timestamp: at };
        ToHub::ResourceReport { figures: Json::of(&measured).expect("figures serialise") }
    }
}

/// A percentage with one decimal, kept as thousandths: nothing is decided with fractions.
mod percent {
    use alloc::format;
    use alloc::string::ToString as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::Number;

    pub(super) fn serialize<S: Serializer>(
        per_mille: &Option<u32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = per_mille.map(|it| format!("{}.{}", it / 10, it % 10));
        text.and_then(|text| text.parse::<Number>().ok()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u32>, D::Error> {
        let number = Option::<Number>::deserialize(deserializer)?;
        Ok(number.and_then(|number| per_mille(&number.to_string())))
    }

    /// Nothing for what is no percentage: one below zero, or with an exponent.
    fn per_mille(text: &str) -> Option<u32> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let tenths: u32 = part.get(..1)?.parse().ok()?;
        let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
        let whole: u32 = whole.parse().ok().filter(|_| is_plain)?;
        Some(whole.saturating_mul(10).saturating_add(tenths))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::super::{read_to_hub, write};
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn figures_travel_in_the_words_of_the_original_and_come_back() {
        let figures = Figures {
            cpu_per_mille: Some(123),
            ram_used_bytes: Some(3 * GIB),
            ram_total_bytes: Some(16 * GIB),
            vram_used_bytes: Some(GIB),
            vram_total_bytes: Some(8 * GIB),
        };
        let text = write(&figures.frame(Wall(1_700_000_000_000)));
        expect_test::expect![[r#"{"type":"resource_report","cpu_percent":12.3,"ram_total_bytes":17179869184,"ram_used_bytes":3221225472,"timestamp":1700000000000,"vram_total_bytes":8589934592,"vram_used_bytes":1073741824}"#]]
            .assert_eq(&text);
        let frame = read_to_hub(&text).unwrap();
        assert_eq!(write(&frame), text);
        let ToHub::ResourceReport { figures: kept } = frame else { panic!("{frame:?}") };
        assert!(!kept.as_str().contains("type"), "{kept}");
        assert_eq!(kept.read::<Figures>().unwrap(), figures);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = write(&Figures { cpu_per_mille: Some(0), ..Figures::default() }.frame(Wall(9)));
        assert_eq!(text, r#"{"type":"resource_report","cpu_percent":0.0,"timestamp":9}"#);
    }

    #[test]
    fn a_share_is_read_from_any_number_that_is_one() {
        let read = |number: &str| {
            let text = format!(r#"{{"cpu_percent":{number},"vram_total_bytes":null}}"#);
            Json::parse(&text).unwrap().read::<Figures>().unwrap().cpu_per_mille
        };
        assert_eq!(
            ["7", "3.5", "99.99", "100.0", "null"].map(read),
            [Some(70), Some(35), Some(999), Some(1000), None]
        );
        assert_eq!(["-1", "-0.5", "5.5e-7", "1e300"].map(read), [None; 4]);
    }
}
