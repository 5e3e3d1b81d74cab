//! JSON and YAML are read back by readers of this language as well; `tests/reference` has the others.

use proptest::prelude::*;
use sikkerkey_protocol::sync::Format;

use crate::bench::{Secrets, file, input};

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        text in proptest::collection::vec(any::<char>(), 0..20),
        nasty in "[\\\\\"'#:\n\r\t \0\u{85}\u{2028}\u{feff}\u{7f}-]{0,12}|no|0123|1e3|~|null|<<",
        name in "[a-z0-9][a-z0-9.-]{0,5}",
        field in "[A-Za-z0-9_.-]{1,5}",
    ) {
        let text: String = text.into_iter().collect();
        let secrets = Secrets::default().plain(&name, &text).structured("structured", &[(&field, &nasty)]);
        let inputs = vec![input(&name, None, None), input("structured", None, Some("Z_"))];
        let expected = serde_json::json!({&name: text, "Z_": {&field: nasty}});
        let json = secrets.text(&file(Format::Json, inputs.clone()));
        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json).unwrap(), &expected);
        let yaml = secrets.text(&file(Format::Yaml, inputs));
        prop_assert_eq!(&serde_yaml::from_str::<serde_json::Value>(&yaml).unwrap(), &expected);
        let ends_well = json.ends_with("}\n") && yaml.ends_with("\"\n");
        prop_assert!(ends_well);
    }
}
