//! The query parameter `filters`, and which objects it lets through.
//!
//! Values of one filter are alternatives, filters of different names must all hold; of labels all
//! values must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::containers::Summary;
use super::{Release, Standing, json};
use crate::swarm::objects::Json;
use crate::swarm::{Map, Network, NodeRole, Service, State, Stored, Task, TaskState};

/// Filters by name, with their values.
pub(super) struct Filters {
    release: Release,
    values: BTreeMap<String, BTreeSet<String>>,
}

/// `{"name":{"value":true}}`
type Sets = BTreeMap<String, Option<BTreeMap<String, bool>>>;

/// `{"name":["value"]}`
type Lists = BTreeMap<String, Option<Vec<String>>>;

/// Why there is no list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

/// The objects of a list, as JSON.
type Selected = Result<Vec<Box<[u8]>>, Refusal>;

impl Filters {
    /// Reads `{"name":{"value":true}}`, or the older `{"name":["value"]}`.
    pub(super) fn read(release: Release, text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or_default();
        if text.is_empty() {
            return Ok(Self { release, values: BTreeMap::new() });
        }
        let sets = serde_json::from_str::<Option<Sets>>(text).map(|sets| {
            let sets = sets.unwrap_or_default().into_iter();
            sets.map(|(k, v)| (k, v.unwrap_or_default().into_keys().collect())).collect()
        });
        let values = sets.or_else(|_| {
            serde_json::from_str::<Lists>(text).map(|lists| {
                let lists = lists.into_iter();
                lists.map(|(k, v)| (k, v.unwrap_or_default().into_iter().collect())).collect()
            })
        });
        match values {
            Ok(values) => Ok(Self { release, values }),
            Err(_) if release.api >= 42 => refuse(400, "invalid filter"),
            Err(error) => refuse(500, go_error(text, &error)),
        }
    }

    pub(super) fn nodes(&self, state: &State) -> Selected {
        self.validate(&["name", "id", "label", "role", "membership", "node.label"])?;
        self.one_of("role", &["WORKER", "MANAGER"])?;
        self.one_of("membership", &["PENDING", "ACCEPTED"])?;
        let nodes = state.nodes.values().filter(|node| {
            let role = match node.spec.role {
                NodeRole::Worker => "worker",
                NodeRole::Manager => "manager",
            };
            self.starts("name", &node.description.hostname)
                && self.starts("id", &node.meta.id)
                && self.labelled("label", &node.description.engine.labels)
                && self.labelled("node.label", &node.spec.labels)
                && self.is("role", role)
                && self.is("membership", "accepted")
        });
        Ok(nodes.map(|node| node.json().into()).collect())
    }

    pub(super) fn services(&self, state: &State, status: bool) -> Selected {
        self.validate(&["name", "id", "label", "mode", "runtime"])?;
        let services = state.services.values().filter(|service| {
            service.spec.task_template.is_container()
                && self.starts("name", &service.spec.name)
                && self.starts("id", &service.meta.id)
                && self.labelled("label", &service.spec.labels)
                && self.is("mode", service.spec.mode.name())
                && (self.of("runtime").is_none() || self.is("runtime", "container"))
        });
        let json = |service: &Stored<Service>| {
            if status { with_status(service, state) } else { service.json().into() }
        };
        Ok(services.map(json).collect())
    }

    pub(super) fn tasks(&self, state: &State) -> Selected {
        self.validate(&[
            "name",
            "id",
            "label",
            "service",
            "node",
            "desired-state",
            "_up-to-date",
            "runtime",
        ])?;
        let states = TaskState::ALL.map(|state| format!("{state:?}").to_uppercase());
        self.one_of("desired-state", &states.each_ref().map(String::as_str))?;
        let known = state.services.values();
        let known: Vec<_> = known.map(|s| (s.meta.id.as_str(), s.spec.name.as_str())).collect();
        let services = self.resolve("service", &known)?;
        let known = state.nodes.values();
        let known: Vec<_> =
            known.map(|n| (n.meta.id.as_str(), n.description.hostname.as_str())).collect();
        let nodes = self.resolve("node", &known)?;
        let tasks = state.tasks.values().filter(|task| {
            let service = state.services.get(&task.service_id);
            let desired = format!("{:?}", task.desired_state).to_lowercase();
            task.spec.is_container()
                && self.is("desired-state", &desired)
                && services.as_ref().is_none_or(|ids| ids.contains(task.service_id.as_str()))
                && nodes.as_ref().is_none_or(|ids| ids.contains(task.node_id.as_str()))
                && self.starts("id", &task.meta.id)
                && self.starts("name", &task_name(task, service.map(|s| s.spec.name.as_str())))
                && service.is_none_or(|service| self.labelled("label", &service.spec.labels))
        });
        Ok(tasks.map(|task| task.json().into()).collect())
    }

    pub(super) fn networks(&self, state: &State, node: &str, standing: Standing) -> Selected {
        self.validate(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        let known = |network: &&Stored<Network>| match standing {
            Standing::Manager | Standing::NoQuorum => true,
            // A worker knows the networks of its own tasks.
            Standing::Worker => state.tasks.values().any(|task| {
                let mut attachments = task.networks_attachments.iter();
                task.node_id == node
                    && task.is_live()
                    && attachments.any(|attachment| attachment.of.meta.id == network.meta.id)
            }),
            Standing::Standalone | Standing::Locked => false,
        };
        let swarm = state.networks.values().filter(|network| network.driver == "overlay");
        let swarm = swarm.filter(known).filter(|network| {
            self.matches("name", &network.name)
                && self.matches("id", &network.meta.id)
                && self.labelled("label", &network.labels)
                && self.is("driver", network.driver)
                && self.is("scope", "swarm")
                && self.is("type", "custom")
        });
        let local = state.engines.get(node).into_iter().flat_map(|engine| &engine.networks);
        let local = local.filter(|network| {
            let member = |name| member(network, name);
            let builtin = ["bridge", "host", "none"].contains(&member("Name").as_str());
            self.matches("name", &member("Name"))
                && self.matches("id", &member("Id"))
                && self.labelled("label", &Map::new())
                && self.is("driver", &member("Driver"))
                && self.is("scope", "local")
                && self.is("type", if builtin { "builtin" } else { "custom" })
        });
        let listed = swarm.map(|network| network.listed()).chain(local.cloned());
        Ok(listed.map(|network| network.text().as_bytes().into()).collect())
    }

    /// Configs or secrets.
    pub(super) fn files(&self, files: &[Json]) -> Selected {
        self.validate(&["id", "label", "name", "names"])?;
        let files = files.iter().filter(|file| {
            let file: serde_json::Value = serde_json::from_str(file.text()).unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            self.starts("id", &text(&file["ID"]))
                && self.matches("name", &text(&file["Spec"]["Name"]))
        });
        Ok(files.map(|file| file.text().as_bytes().into()).collect())
    }

    pub(super) fn containers(&self, containers: &[Summary], all: bool) -> Selected {
        self.validate(&[
            "ancestor",
            "before",
            "exited",
            "expose",
            "health",
            "id",
            "is-task",
            "isolation",
            "label",
            "name",
            "network",
            "publish",
            "since",
            "status",
            "volume",
        ])?;
        let all = all || self.of("status").is_some();
        let containers = containers.iter().filter(|container| {
            let task = container.labels.contains_key("com.docker.swarm.task.id");
            (all || container.state == "running")
                && self.starts("id", &container.id)
                && container.names.iter().any(|name| self.matches("name", name))
                && self.labelled("label", &container.labels)
                && self.is("status", container.state)
                && self.is("is-task", if task { "true" } else { "false" })
                && self.of("network").is_none_or(|values| {
                    let mut networks = container.networks();
                    networks.any(|(name, id)| {
                        values.iter().any(|value| value == name || id.starts_with(value))
                    })
                })
        });
        let json = containers.map(|container| {
            let mut text = Vec::new();
            json::append(&mut text, container);
            text.into()
        });
        Ok(json.collect())
    }

    /// Whether an event is reported (moby `daemon/events/filter.go`). Unknown filters hold. Those
    /// that name an object read ID and name of whatever the event is about.
    pub(super) fn event(
        &self,
        kind: &str,
        action: &str,
        scope: &str,
        id: &str,
        name: &str,
        attributes: &Map,
    ) -> bool {
        let exactly =
            |filter: &str, value: &str| self.of(filter).is_none_or(|values| values.contains(value));
        let objects = ["container", "network", "node", "service"];
        exactly("event", action)
            && exactly("type", kind)
            && exactly("scope", scope)
            && objects.iter().all(|filter| self.starts(filter, id) || self.starts(filter, name))
            && self.labelled("label", attributes)
    }

    fn of(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.values.get(name).filter(|values| !values.is_empty())
    }

    fn validate(&self, accepted: &[&str]) -> Result<(), Refusal> {
        match self.values.keys().find(|name| !accepted.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => refuse(400, self.release.unknown_filter(name)),
        }
    }

    /// Values of an enumeration, in upper case. Any other fails with 500, as it does in moby.
    fn one_of(&self, name: &str, accepted: &[&str]) -> Result<(), Refusal> {
        let mut values = self.of(name).into_iter().flatten();
        let known =
            |value: &str| value.is_empty() || accepted.contains(&value.to_uppercase().as_str());
        match values.find(|value| !known(value)) {
            None => Ok(()),
            Some(value) => refuse(500, format!("Invalid {name} filter: '{value}'")),
        }
    }

    /// The IDs of what is named by ID, name, or the beginning of an ID.
    fn resolve(
        &self,
        kind: &str,
        known: &[(&str, &str)],
    ) -> Result<Option<BTreeSet<String>>, Refusal> {
        let Some(values) = self.of(kind) else { return Ok(None) };
        let find = |value: &String| {
            let select = |is: &dyn Fn(&(&str, &str)) -> bool| {
                let found = known.iter().filter(|object| is(object));
                found.map(|(id, _)| (*id).to_owned()).collect::<Vec<_>>()
            };
            let mut found = select(&|(id, _)| id == value);
            if found.is_empty() {
                found = select(&|(_, name)| name == value);
            }
            if found.is_empty() {
                found = select(&|(id, _)| id.starts_with(value.as_str()));
            }
            match &found[..] {
                [] => refuse(404, format!("{kind} {value} not found")),
                [id] => Ok(id.clone()),
                _ => {
                    let count = found.len();
                    refuse(400, format!("{kind} {value} is ambiguous ({count} matches found)"))
                }
            }
        };
        values.iter().map(find).collect::<Result<_, _>>().map(Some)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.of(name)
            .is_none_or(|values| values.iter().any(|wanted| wanted.eq_ignore_ascii_case(value)))
    }

    fn starts(&self, name: &str, value: &str) -> bool {
        self.of(name)
            .is_none_or(|values| values.iter().any(|start| value.starts_with(start.as_str())))
    }

    /// What is an unanchored regular expression for the Engine is text here, except for `^` and `$`
    /// around it.
    fn matches(&self, name: &str, value: &str) -> bool {
        self.of(name).is_none_or(|patterns| patterns.iter().any(|pattern| contains(pattern, value)))
    }

    /// `key`, or `key=value`, each of them.
    fn labelled(&self, name: &str, labels: &Map) -> bool {
        self.of(name).is_none_or(|wanted| {
            wanted.iter().all(|wanted| match wanted.split_once('=') {
                None | Some((_, "")) => {
                    labels.contains_key(wanted.strip_suffix('=').unwrap_or(wanted))
                }
                Some((key, value)) => labels.get(key).is_some_and(|is| is == value),
            })
        })
    }
}

fn refuse<T>(status: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, message: message.into() })
}

fn contains(pattern: &str, value: &str) -> bool {
    let value = value.strip_prefix('/').unwrap_or(value);
    let text = pattern.trim_start_matches('^').trim_end_matches('$').trim_start_matches('/');
    match (pattern.starts_with('^'), pattern.ends_with('$')) {
        (true, true) => value == text,
        (true, false) => value.starts_with(text),
        (false, true) => value.ends_with(text),
        (false, false) => value.contains(text),
    }
}

/// swarmkit `api/naming`: the name of a task.
pub(super) fn task_name(task: &Task, service: Option<&str>) -> String {
    let place = if task.slot == 0 { task.node_id.clone() } else { task.slot.to_string() };
    format!("{}.{place}.{}", service.unwrap_or_default(), task.meta.id)
}

/// A member of a listed network that is a string.
fn member(network: &Json, name: &str) -> String {
    let members: serde_json::Value = serde_json::from_str(network.text()).unwrap_or_default();
    members[name].as_str().unwrap_or_default().to_owned()
}

/// A service as `?status=true` shows it.
fn with_status(service: &Stored<Service>, state: &State) -> Box<[u8]> {
    let tasks = || state.tasks.values().filter(|task| task.service_id == service.meta.id);
    let running = tasks().filter(|task| task.status.state == TaskState::Running).count();
    let desired = tasks().filter(|task| task.desired_state <= TaskState::Running).count();
    let completed = tasks().filter(|task| task.status.state == TaskState::Complete).count();
    let mut json = service.json().to_vec();
    json.pop();
    json.extend(
        format!(
            r#","ServiceStatus":{{"RunningTasks":{running},"DesiredTasks":{desired},"CompletedTasks":{completed}}}}}"#
        )
        .bytes(),
    );
    json.into()
}

/// The text of `encoding/json` for what is no JSON.
fn go_error(text: &str, error: &serde_json::Error) -> String {
    let bytes = text.as_bytes();
    let place = error.column().saturating_sub(1);
    match bytes.get(place) {
        Some(&byte) if error.is_syntax() => {
            let before = bytes[..place].trim_ascii_end().last();
            let expected = match before {
                Some(b'{' | b',') => "object key string",
                _ => "value",
            };
            format!("invalid character '{}' looking for beginning of {expected}", char::from(byte))
        }
        _ if error.is_data() => {
            "json: cannot unmarshal string into Go value of type map[string][]string".to_owned()
        }
        _ => "unexpected end of JSON input".to_owned(),
    }
}
