//! What umnet remembers of a device, and the names by which people call one: what is
//! understood says the same when it is written and read again.

use umnet::host::DeviceSpec;
use umnet::host::state::DeviceState;

/// Runs one input, a text.
pub fn run(data: &[u8]) {
    if let Ok(state) = serde_json::from_slice::<DeviceState>(data) {
        let again = serde_json::to_vec(&state).expect("a record can be written");
        let read: DeviceState = serde_json::from_slice(&again).expect("what was written");
        assert_eq!(read, state);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(spec) = text.parse::<DeviceSpec>() {
        assert_eq!(spec.to_string().parse(), Ok(spec.clone()), "{spec}");
        let stem = spec.file_stem();
        assert!(!stem.contains('/') && stem.len() <= 255, "{stem}");
    }
}
