//! `basic_auth_users`.

/// Why a text is not a bcrypt hash. The reason does not show the text.
pub(crate) fn check_hash(hash: &str) -> Result<(), String> {
    let reason = "not a bcrypt hash: make one by htpasswd -nBC 10 \"\" | tr -d ':\\n'";
    let is_digit = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'/');
    let well_formed = hash.split('$').collect::<Vec<_>>();
    let ["", "2" | "2a" | "2b" | "2x" | "2y", cost, digits] = well_formed[..] else {
        return Err(reason.to_owned());
    };
    if cost.len() != 2 || digits.len() != 53 || !digits.bytes().all(is_digit) {
        return Err(reason.to_owned());
    }
    match cost.parse::<u32>() {
        Ok(4..=31) => Ok(()),
        _ => Err(format!("bcrypt cost {cost} is not 04 to 31")),
    }
}
