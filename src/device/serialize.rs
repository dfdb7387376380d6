//! How devices appear in JSON: each value is the text that messages and records show.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{MdevType, PciAddress, PciClass, PciId, Subsystem, Uuid, VgpuType};

macro_rules! as_text {
    ($($value:ty),*) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(|error| D::Error::custom(format_args!("{text:?}: {error}")))
            }
        }
    )*};
}

as_text!(MdevType, PciAddress, PciClass, PciId, Subsystem, Uuid, VgpuType);
