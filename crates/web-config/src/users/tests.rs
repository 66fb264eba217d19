use std::net::Ipv4Addr;

use futures_util::future::join_all;

use super::*;

/// Of the password `secret`, cost 4.
const SECRET: &str = "$2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK";

/// Of the same, cost 5.
const SECRET_5: &str = "$2b$05$59pn6qFNYK3DziOrB/V3YeH0WAJqH.32M/srrruZEHka74j2lc.a2";

fn users(hashes: &[(&str, &str)]) -> Users {
    let parse = |hash: &str| PasswordHash::parse(hash).unwrap();
    Users::new(&hashes.iter().map(|(name, hash)| ((*name).to_owned(), parse(hash))).collect())
}

fn client(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

async fn check(users: &Users, name: &str, password: &str) -> Verdict {
    users.check(name, password.as_bytes(), Some(client(1)), &Arc::default()).await
}

/// Recorded from golang.org/x/crypto/bcrypt: each hash, and those of the passwords that it matches.
#[tokio::test]
async fn matches_what_go_matches() {
    let long = |length: usize| "a".repeat(length);
    let passwords = [
        "secret",
        "",
        "pässwörd",
        &long(71),
        &long(72),
        "with:colon",
        "a\0b",
        &long(73),
        &long(80),
        "Secret",
        "a\0b\0a\0b",
        "a",
    ];
    for (hash, expected) in [
        (SECRET, &["secret"][..]),
        ("$2a$04$Nfgjfc97Bps2sGSXo0.X5u6iF.5IV0z7gZ/h6IAoNs63zb7BCqmwq", &[""]),
        ("$2a$04$d0z8nwS.hekMhwEY/CxJje8UVPeWulS.fGzx2e/OwbqRZ.c/EVbei", &["pässwörd"]),
        ("$2a$04$HFyaZ7j5PCIXqZ0rW3euOOVqPhc/GtFsQYhtqc.OVl6q.rCqDN9IC", &[&long(71)]),
        (
            "$2a$04$TpH4xu0g7.BW8axpnQdKBuLw9/wTUwkYZ3oASJtXafx2hEfdGI43y",
            &[&long(72), &long(73), &long(80)],
        ),
        ("$2a$04$yC8kEtrN6B5DJWOs1EaEKuGwggwTga/Dpv0/6vQQUpGG3zuxDAn8e", &["with:colon"]),
        ("$2a$04$xxgNsXH9mLnWfMkLnnC66OPPTNGnOUNNm1.FWxuZAVkou3nHZl1Gm", &["a\0b", "a\0b\0a\0b"]),
        // The last character of the salt has more bits than the salt.
        ("$2a$04$S4eJ/7GLDFeFpln6WOAhEDpfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK", &["secret"]),
        ("$2b$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK", &["secret"]),
        ("$2y$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK", &["secret"]),
        // Made by Python.
        (SECRET_5, &["secret"]),
    ] {
        let users = users(&[("alice", hash)]);
        let mut good = Vec::new();
        for password in passwords {
            if check(&users, "alice", password).await == Verdict::Good {
                good.push(password);
            }
        }
        assert_eq!(good, expected, "{hash}");
    }
}

#[test]
fn a_broken_hash_is_refused_with_what_to_do() {
    let rest = &SECRET[4..];
    for (hash, expected) in [
        (format!("$2x${rest}"), "hashes of version $2x$ are not supported"),
        (format!("$2${rest}"), "hashes of version $2$ are not supported"),
        (format!("$1a${rest}"), "not a bcrypt hash"),
        (format!("{SECRET}x"), "not a bcrypt hash"),
        (SECRET[..59].to_owned(), "not a bcrypt hash"),
        (format!("$2a$03${}", &SECRET[7..]), "cost 03 is not 04 to 18"),
        (format!("$2a$32${}", &SECRET[7..]), "cost 32 is not 04 to 18"),
        (
            format!("$2a$19${}", &SECRET[7..]),
            "cost 19: one check of this password would take about",
        ),
        (
            format!("$2a$31${}", &SECRET[7..]),
            "cost 31: one check of this password would take about",
        ),
        (format!("$2a$4${}", &SECRET[7..]), "not a bcrypt hash"),
        (SECRET.replace("pln6", "pl!6"), "not a bcrypt hash"),
        (SECRET.replace("3PY4", "3P!4"), "not a bcrypt hash"),
        (SECRET.replace("S4eJ/7", "S4eJü"), "not a bcrypt hash"),
        // It would never match.
        (SECRET.replace("0tK", "0tL"), "not a bcrypt hash"),
        (String::new(), "not a bcrypt hash"),
        ("secret".to_owned(), "not a bcrypt hash"),
    ] {
        let error = PasswordHash::parse(&hash).unwrap_err();
        assert!(error.contains(expected), "{hash}: {error}");
        assert!(hash.is_empty() || !error.contains(&hash), "{error}");
    }
}

#[test]
fn warns_of_a_cost_that_takes_seconds() {
    let of_cost = |cost: &str| {
        PasswordHash::parse(&SECRET.replace("$04$", &format!("${cost}$"))).unwrap().warning()
    };
    assert_eq!(of_cost("13"), None);
    let warning = of_cost("18").unwrap();
    assert!(warning.starts_with("bcrypt cost 18: one check of this password takes"), "{warning}");
}

#[tokio::test]
async fn only_the_right_password_of_a_known_user_is_good() {
    let users = users(&[("alice", SECRET), ("bob", SECRET_5)]);
    for (name, password, expected) in [
        ("alice", "secret", Verdict::Good),
        ("bob", "secret", Verdict::Good),
        ("alice", "Secret", Verdict::Bad),
        ("carol", "secret", Verdict::Bad),
        ("", "", Verdict::Bad),
        ("Alice", "secret", Verdict::Bad),
    ] {
        assert_eq!(check(&users, name, password).await, expected, "{name} {password}");
    }
}

#[test]
fn a_wrong_password_costs_the_same_for_each_user() {
    for highest in 4..=MAX_COST {
        for cost in 4..=highest {
            let work = 1_u64 << cost;
            let all = work + missing(cost, highest).map(|cost| 1_u64 << cost).sum::<u64>();
            assert_eq!(all, 1 << highest, "{cost}");
        }
    }
    let users = users(&[("alice", SECRET), ("bob", SECRET_5)]);
    assert_eq!(users.0.unknown.cost, 5);
}

#[tokio::test]
async fn a_known_password_never_waits() {
    let users = users(&[("alice", SECRET)]);
    let queue = Arc::new(PasswordQueue::default());
    assert_eq!(users.check("alice", b"secret", Some(client(1)), &queue).await, Verdict::Good);
    let _full: Vec<_> = (0..MAX_WAITING - KEPT).map(|i| place(&queue, i)).collect();
    assert_eq!(users.check("alice", b"secret", Some(client(9)), &queue).await, Verdict::Good);
    let busy = users.check("alice", b"Secret", Some(client(8)), &queue).await;
    assert!(matches!(busy, Verdict::Busy(_)), "{busy:?}");
}

/// The new user may have another password since.
#[tokio::test]
async fn a_client_that_was_admitted_finds_a_place_among_many_that_guess() {
    let queue = Arc::new(PasswordQueue::default());
    let before = users(&[("alice", SECRET)]);
    assert_eq!(before.check("alice", b"secret", Some(client(1)), &queue).await, Verdict::Good);
    let _guesses: Vec<_> = (0..MAX_WAITING - KEPT).map(|i| place(&queue, i)).collect();
    assert!(queue.enter(Some(client(100))).is_err());
    let after = users(&[("alice", SECRET_5)]);
    assert_eq!(after.check("alice", b"secret", Some(client(1)), &queue).await, Verdict::Good);
}

#[test]
fn a_client_is_known_for_a_day_and_few_are() {
    let queue = PasswordQueue::default();
    let now = Instant::now();
    queue.admitted(None, now.checked_sub(LATELY + NOTED).unwrap());
    assert!(!queue.is_known(None));
    queue.admitted(None, now);
    assert!(queue.is_known(None));
    for i in 0..u32::try_from(MAX_KNOWN).unwrap() {
        queue.admitted(Some(IpAddr::V4(i.into())), now + Duration::from_millis(1));
    }
    assert!(!queue.is_known(None), "the oldest one is forgotten");
    assert_eq!(lock(&queue.known).len(), MAX_KNOWN);
}

/// Of as many clients as fill it.
fn place(queue: &Arc<PasswordQueue>, i: usize) -> Place {
    queue.enter(Some(client(u8::try_from(10 + i / MAX_OF_CLIENT).unwrap()))).unwrap()
}

#[tokio::test]
async fn one_client_cannot_fill_the_queue() {
    let users = users(&[("alice", SECRET)]);
    let queue = Arc::new(PasswordQueue::default());
    let places: Vec<_> =
        (0..MAX_OF_CLIENT).map(|_| queue.enter(Some(client(1))).unwrap()).collect();
    let busy = users.check("alice", b"secret", Some(client(1)), &queue).await;
    assert!(matches!(busy, Verdict::Busy(_)), "{busy:?}");
    assert_eq!(users.check("alice", b"secret", Some(client(2)), &queue).await, Verdict::Good);
    drop(places);
    assert_eq!(users.check("bob", b"secret", Some(client(1)), &queue).await, Verdict::Bad);
    assert!(lock(&queue.waiting).is_empty());
}

#[test]
fn clients_of_one_ipv6_network_are_one() {
    for (a, b, is_same) in [
        ("2001:db8::1", "2001:db8::ffff:1", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("10.0.0.1", "::ffff:10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false),
    ] {
        let network = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(network(a) == network(b), is_same, "{a} {b}");
    }
}

#[tokio::test]
async fn requests_with_the_same_password_wait_for_one_check() {
    let users = users(&[("alice", SECRET)]);
    let queue = Arc::new(PasswordQueue::default());
    let all = (0..100).map(|i| users.check("alice", b"secret", Some(client(i)), &queue));
    assert!(join_all(all).await.iter().all(|verdict| *verdict == Verdict::Good));
    let all = (0..100).map(|i| users.check("alice", b"guess", Some(client(i)), &queue));
    assert!(join_all(all).await.iter().all(|verdict| *verdict == Verdict::Bad));
}

#[tokio::test]
async fn a_new_version_of_the_file_remembers_users_with_the_same_hash_only() {
    let old = users(&[("alice", SECRET), ("bob", SECRET), ("carol", SECRET)]);
    for name in ["alice", "bob", "carol"] {
        assert_eq!(check(&old, name, "secret").await, Verdict::Good);
    }
    let other = "$2a$04$yC8kEtrN6B5DJWOs1EaEKuGwggwTga/Dpv0/6vQQUpGG3zuxDAn8e";
    let new = users(&[("alice", SECRET), ("bob", other), ("dave", SECRET)]).remembering(&old);
    let known = |name: &str| {
        let digest = new.0.digest(name, &Password::new(b"secret"));
        new.0.knows(name, &digest)
    };
    assert_eq!(["alice", "bob", "carol", "dave"].map(known), [true, false, false, false]);
    for (name, expected) in
        [("alice", Verdict::Good), ("bob", Verdict::Bad), ("carol", Verdict::Bad)]
    {
        assert_eq!(check(&new, name, "secret").await, expected, "{name}");
    }
}

#[test]
fn shows_no_hash() {
    let users = users(&[("alice", SECRET)]);
    let shown = format!("{users:?} {:?}", PasswordHash::parse(SECRET).unwrap());
    assert_eq!(shown, r#"{"alice"} PasswordHash { cost: 4, .. }"#);
}
