//! What an Engine answers.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use swarmscout_discovery::config::{OverlayPort, Role};
use swarmscout_discovery::source::{docker, dockerswarm};
use swarmscout_docker::engine::{
    ApiVersion, EventParser, Fault, Info, Listed, Lists, MAX_DEPTH, MAX_ELEMENT, Memo, Object,
    Reader, ScanError,
};
use swarmscout_docker::testing::{self, elements};
use swarmscout_swarm::{Filters, Snapshot};

use crate::checks;

/// Stands between the lists of [`roles`].
pub const NEXT_LIST: &[u8] = b"\n---\n";

/// `/nodes`.
pub fn nodes(json: &[u8]) {
    list(json, |nodes| Lists { nodes, ..Lists::default() });
}

/// `/services`.
pub fn services(json: &[u8]) {
    list(json, |services| Lists { services, ..Lists::default() });
}

/// `/tasks`.
pub fn tasks(json: &[u8]) {
    list(json, |tasks| Lists { tasks, ..Lists::default() });
}

/// `/networks`.
pub fn networks(json: &[u8]) {
    list(json, |networks| Lists { networks, ..Lists::default() });
}

/// `/containers/json`.
pub fn containers(json: &[u8]) {
    list(json, |containers| Lists { containers, ..Lists::default() });
}

/// All lists of one refresh, in the order of [`Lists`].
pub fn roles(text: &[u8]) {
    let mut rest = Some(text);
    let mut next = || {
        let text = rest?;
        let end = text.windows(NEXT_LIST.len()).position(|window| window == NEXT_LIST);
        rest = end.map(|end| &text[end + NEXT_LIST.len()..]);
        Some(&text[..end.unwrap_or(text.len())])
    };
    let lists = Lists {
        nodes: objects(next()),
        services: objects(next()),
        tasks: objects(next()),
        networks: objects(next()),
        containers: objects(next()),
        ..Lists::default()
    };
    targets(&lists, text.len());
}

/// What is read from `/events`: whole and in small pieces, and as serde_json reads it.
pub fn events(stream: &[u8]) {
    let reported = |size: usize| {
        let mut parser = EventParser::default();
        let done = stream.chunks(size).try_for_each(|piece| parser.push(piece));
        (parser.take_events(), parser.take_problems(), done)
    };
    let whole = reported(stream.len().max(1));
    assert_eq!(whole, reported(7), "another in pieces");
    let (events, problems, done) = whole;
    checks::problems(&problems, stream.len());
    let values = serde_json::Deserializer::from_slice(stream).into_iter::<Map<String, Value>>();
    let Ok(values) = values.collect::<Result<Vec<_>, _>>() else { return };
    match done {
        Ok(()) => {
            let mut ids = values.iter().map(|value| value.get("Actor")?.get("ID")?.as_str());
            let in_order = events.iter().all(|event| ids.any(|id| id == Some(&*event.id)));
            assert!(in_order, "other events than serde_json finds");
        }
        Err(error) => assert!(matches!(error, ScanError::TooDeep { .. }), "{error}"),
    }
}

/// One list, whole and in small pieces, and what becomes of it without the others. What is
/// remembered of it changes nothing.
fn list<T: Object + PartialEq + Debug>(json: &[u8], lists: impl FnOnce(Vec<Arc<T>>) -> Lists) {
    let whole = read::<T>([json]);
    assert_eq!(whole, read::<T>(json.chunks(7)), "another in pieces");
    let mut memo = Memo::default();
    let sizes = [json.len().max(1), json.len().max(1), 7, json.len() / 2 + 1];
    for size in sizes {
        assert_eq!(whole, remember(&mut memo, json.chunks(size)), "another from memory");
    }
    // Another answer, with a byte missing.
    let other = [&json[..json.len() / 2], json.get(json.len() / 2 + 1..).unwrap_or_default()];
    let expected = read::<T>([&other.concat()[..]]);
    assert_eq!(expected, remember(&mut memo, other), "another with the memory of another");
    assert_eq!(whole, remember(&mut memo, [json]), "another after another");
    if let Ok((objects, problems)) = whole {
        checks::problems(&problems, json.len());
        targets(&lists(objects), json.len());
    }
}

fn remember<'a, T: Object>(
    memo: &mut Memo<T>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Listed<T>, ScanError> {
    let mut reader = memo.reader();
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

fn objects<T: Object>(json: Option<&[u8]>) -> Vec<Arc<T>> {
    read(json).map(|(objects, _)| objects).unwrap_or_default()
}

fn read<'a, T: Object>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Listed<T>, ScanError> {
    testing::objects(pieces, MAX_ELEMENT)
}

/// The targets of every role: the same ones again where nothing has changed, and in whatever order
/// the lists are. Where an ID stands twice, as no Engine lists it, they are as they are reported.
fn targets(lists: &Lists, input: usize) {
    let other_order = reversed(lists);
    for role in [Role::Nodes, Role::Services, Role::Tasks] {
        for (match_first_network, overlay_port) in
            [(true, OverlayPort::Published), (false, OverlayPort::Target)]
        {
            let options =
                dockerswarm::Options { role, port: 80, match_first_network, overlay_port };
            let mut finder = dockerswarm::Finder::new(options, Filters::new(role, &[]));
            let mut find = || finder.find(&Snapshot::from(lists)).expect("nothing is filtered");
            let (groups, problems) = find();
            checks::each_group(&groups, checks::discovered);
            checks::problems(&problems, input);
            let again = find();
            assert_eq!(again, (groups.clone(), problems.clone()));
            if let Some(lists) = &other_order {
                checks::groups(&groups);
                let same =
                    again.0.iter().zip(&groups).all(|(again, group)| Arc::ptr_eq(again, group));
                assert!(same, "other groups of the same lists");
                assert_eq!(dockerswarm::find(lists, options), (groups, problems), "{role:?}");
            }
        }
    }
    for match_first_network in [true, false] {
        let host_networking_host = String::from("localhost");
        let options = docker::Options { port: 80, host_networking_host, match_first_network };
        let (groups, problems) = docker::find(lists, &options);
        checks::each_group(&groups, checks::discovered);
        checks::problems(&problems, input);
        if let Some(lists) = &other_order {
            checks::groups(&groups);
            assert_eq!(docker::find(lists, &options), (groups, problems));
        }
    }
}

/// The lists in another order, unless an ID stands twice: then the order decides.
fn reversed(lists: &Lists) -> Option<Lists> {
    fn reverse<T>(list: &[Arc<T>], id: fn(&T) -> &Arc<str>) -> Option<Vec<Arc<T>>> {
        let mut ids: Vec<_> = list.iter().map(|object| id(object)).collect();
        ids.sort();
        let distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
        distinct.then(|| list.iter().rev().cloned().collect())
    }
    Some(Lists {
        nodes: reverse(&lists.nodes, |node| &node.id)?,
        services: reverse(&lists.services, |service| &service.id)?,
        tasks: reverse(&lists.tasks, |task| &task.id)?,
        networks: reverse(&lists.networks, |network| &network.id)?,
        configs: reverse(&lists.configs, |config| &config.id)?,
        secrets: reverse(&lists.secrets, |secret| &secret.id)?,
        containers: reverse(&lists.containers, |container| &container.id)?,
    })
}

/// `/info`, the versions, and the body of a refusal.
pub fn info(body: &[u8]) {
    if let Ok(info) = Info::read(body) {
        assert!(info.managers.is_sorted(), "{:?}", info.managers);
    }
    let (message, version) = testing::read_refusal(body);
    assert!(message.chars().count() <= 301, "{message}");
    if let Some(version) = version {
        assert_eq!(ApiVersion::parse(&version.to_string()), Some(version));
    }
}

/// The elements of a list as they were sent: the whole at once, in pieces of the sizes that the
/// first bytes say, and as serde_json cuts them.
pub fn scan(data: &[u8]) {
    let Some((sizes, json)) = data.split_first_chunk::<4>() else { return };
    for max in [MAX_ELEMENT, usize::from(sizes[3])] {
        let mut rest = json;
        let pieces = sizes.iter().cycle().map_while(|size| {
            let size = usize::from(*size % 32) + 1;
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        assert_eq!(elements([json], max), elements(pieces, max), "another in pieces");
    }
    let whole = elements([json], MAX_ELEMENT);
    // It knows what the scanner leaves to the reader, so what it takes we must take, but not the
    // reverse. Of nothing but white space around a value the two may think differently.
    if let Ok(expected) = serde_json::from_slice::<Option<Vec<Box<RawValue>>>>(json) {
        match whole {
            Ok(found) => {
                let found = found.iter().map(|(text, ..)| &text[..]);
                let expected = expected.iter().flatten().map(|value| value.get().as_bytes());
                assert!(found.eq(expected), "other elements than serde_json finds");
            }
            Err(error) => assert!(matches!(error, ScanError::TooDeep { .. }), "{error}"),
        }
    }
}

/// Any value, as our reader and as serde_json read it.
pub fn json_reader(json: &[u8]) {
    let mut reader = Reader::new(json);
    let read = value(&mut reader, 0).and_then(|value| reader.end().map(|()| value));
    let skipped = Reader::new(json).skip();
    let Ok(mut expected) = serde_json::from_slice::<Value>(json) else { return };
    assert_eq!(skipped, Ok(json.trim_ascii()), "serde_json reads what we cannot skip");
    if depth(&expected) <= MAX_DEPTH {
        forget_fractions(&mut expected);
        assert_eq!(read, Ok(expected), "another than serde_json reads");
    }
}

fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Nothing that we read is a number that is not whole. Among them is `-0`.
fn forget_fractions(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(forget_fractions),
        Value::Object(map) => map.values_mut().for_each(forget_fractions),
        Value::Number(number) if number.is_f64() => *value = Value::Null,
        _ => {}
    }
}

/// Reads a value of one type.
type Way<'a> = &'a dyn Fn(&mut Reader<'_>) -> Result<Value, Fault>;

/// Reads a value of any type, by trying one after the other; `null` in place of a fraction.
fn value(reader: &mut Reader<'_>, depth: u32) -> Result<Value, Fault> {
    if reader.is_null()? {
        return Ok(Value::Null);
    }
    if depth > MAX_DEPTH {
        return reader.skip().map(|_| Value::Null);
    }
    let object = |reader: &mut Reader<'_>| {
        let mut map = Map::new();
        reader.map(|reader, key| {
            map.insert(key.into_owned(), value(reader, depth + 1)?);
            Ok(())
        })?;
        Ok(Value::Object(map))
    };
    let array = |reader: &mut Reader<'_>| {
        let mut list = Vec::new();
        reader.array(|reader| {
            list.push(value(reader, depth + 1)?);
            Ok(())
        })?;
        Ok(Value::Array(list))
    };
    let number = |reader: &mut Reader<'_>| {
        let written = reader.clone().skip()?;
        let number: serde_json::Number = match reader.clone().unsigned() {
            Ok(number) => number.into(),
            Err(_) => reader.clone().signed()?.into(),
        };
        reader.skip()?;
        Ok(if written == b"-0" { Value::Null } else { Value::Number(number) })
    };
    let boolean = |reader: &mut Reader<'_>| reader.boolean().map(Value::Bool);
    let string = |reader: &mut Reader<'_>| Ok(Value::String(reader.string()?.into_owned()));
    let ways: [Way<'_>; 5] = [&object, &array, &number, &boolean, &string];
    for way in ways {
        let mut ahead = reader.clone();
        match way(&mut ahead) {
            Ok(value) => {
                *reader = ahead;
                return Ok(value);
            }
            Err(Fault::Type { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    reader.skip().map(|_| Value::Null)
}
