//! The web configuration file.

use std::path::Path;

use swarmscout_config::Errors;
use swarmscout_web_config::{Identity, Principal, Right, Rights, WebConfig, parse, testing};

/// Any file. One that is read says the same again, and lets no client in without proof, unless it
/// says so. One that is not read says why, and where.
pub fn file(text: &[u8]) {
    let path = Path::new("/etc/web.yml");
    let (config, warnings) = match parse(text, path) {
        Ok(read) => read,
        Err(errors) => {
            say_what(&errors);
            return;
        }
    };
    for warning in &warnings {
        says_what(&warning.to_string());
    }
    let (again, _) = parse(text, path).expect("what was read can be read again");
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
    for (name, hash) in &config.users {
        assert!(!name.is_empty() && !name.contains(':'), "user {name:?}");
        let shown = format!("{hash:?}");
        assert!(shown.starts_with("PasswordHash { cost: ") && shown.len() < 40, "{shown}");
    }
    assert!(config.rate_limit.as_ref().is_none_or(|limit| limit.burst > 0));
    rights(&config);
    if let Some(Err(errors)) = testing::load_inline(text) {
        say_what(&errors);
    }
}

fn say_what(errors: &Errors) {
    for error in errors {
        says_what(&error.to_string());
    }
}

/// A finding is one line. It has a place, and says what is wrong there.
fn says_what(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
    let said = text.strip_prefix("/etc/web.yml").or_else(|| text.strip_prefix("web.yml"));
    assert!(said.is_some_and(|said| said.contains(": ") && !said.ends_with(": ")), "{text:?}");
}

/// A client without proof has those rights only that are for anyone.
fn rights(config: &WebConfig) {
    const ALL: [Right; 6] =
        [Right::Lists, Right::Metrics, Right::Nodes, Right::Read, Right::Change, Right::Health];
    let rights = Rights::new(config.authorization.clone(), !config.users.is_empty());
    let is_open = match &config.authorization {
        None => config.users.is_empty(),
        Some(written) => written.0.values().flatten().any(|who| *who == Principal::Anyone),
    };
    let stranger = Identity::default();
    for right in ALL {
        let by_default = right == Right::Health && config.authorization.is_some();
        if rights.allow(right, &stranger) {
            assert!(is_open || by_default, "{right} without proof");
        }
    }
}
