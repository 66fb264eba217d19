//! The labels that Docker gives to the container of a task (moby `daemon/cluster/executor/container/container.go`).

use std::collections::{BTreeMap, BTreeSet};

use swarmscout_docker::engine::Task;

use crate::wire::cut;

/// The labels that dashboards and rules for containers use.
pub const DEFAULT_LABELS: [&str; 8] = [
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.stack.namespace",
    "com.docker.swarm.node.id",
    "com.docker.swarm.service.id",
    "com.docker.swarm.service.name",
    "com.docker.swarm.task.id",
    "com.docker.swarm.task.name",
];

/// The most further labels that a node may ask for.
const MOST: usize = 64;

/// The longest name of a label that a node may ask for, in bytes.
const LONGEST_NAME: usize = 256;

/// The names of the labels that a node gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedLabels(BTreeSet<String>);

impl Default for AllowedLabels {
    fn default() -> Self {
        Self(DEFAULT_LABELS.map(str::to_owned).into())
    }
}

impl AllowedLabels {
    /// The default ones, and these. The error says what is wrong with them.
    pub fn with<'a>(more: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut all = Self::default();
        let (mut count, names) = (0, more.into_iter().filter(|name| !name.is_empty()));
        for name in names {
            count += 1;
            if count > MOST || name.len() > LONGEST_NAME {
                return Err(format!(
                    "labels has at most {MOST} names of at most {LONGEST_NAME} bytes"
                ));
            }
            all.0.insert(name.to_owned());
        }
        Ok(all)
    }

    /// Those beyond the default ones, as a query has them: `a,b`. Empty if there are none.
    pub fn further(&self) -> String {
        let further = self.0.iter().filter(|name| !DEFAULT_LABELS.contains(&&***name));
        further.map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Whose container it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContainerIds<'a> {
    pub(crate) node: &'a str,
    pub(crate) service: &'a str,
    /// Empty if it is not known.
    pub(crate) service_name: &'a str,
    pub(crate) task: &'a str,
    /// 0 for global services.
    pub(crate) slot: i64,
}

impl<'a> ContainerIds<'a> {
    pub(crate) fn new(task: &'a Task, service_name: &'a str) -> Self {
        let Task { node, service, id, slot, .. } = task;
        Self { node, service, service_name, task: id, slot: *slot }
    }

    /// `web.2.xx27lnd5mm`, of global services `agent.<node>.xx27lnd5mm`, cut.
    pub(crate) fn name(&self) -> String {
        let Self { node, service_name, task, .. } = self;
        if service_name.is_empty() {
            return String::new();
        }
        cut(&match self.slot {
            0 => format!("{service_name}.{node}.{task}"),
            slot => format!("{service_name}.{slot}.{task}"),
        })
    }

    /// The allowed ones of the labels of the container, values cut: those of the service's author, which
    /// are `own`, and those of the Swarm. The latter win, as in Docker.
    pub(crate) fn labels<'l>(
        &self,
        own: impl Iterator<Item = (&'l str, &'l str)>,
        allowed: &AllowedLabels,
    ) -> BTreeMap<String, String> {
        let mut labels = of_author(own, allowed);
        for (key, value) in [
            ("com.docker.swarm.node.id", self.node),
            ("com.docker.swarm.service.id", self.service),
            ("com.docker.swarm.service.name", self.service_name),
            ("com.docker.swarm.task", ""),
            ("com.docker.swarm.task.id", self.task),
            ("com.docker.swarm.task.name", &self.name()),
        ] {
            let is_known = !value.is_empty() || key == "com.docker.swarm.task";
            if allowed.0.contains(key) && is_known {
                labels.insert(key.to_owned(), cut(value));
            }
        }
        labels
    }
}

/// The allowed ones of the labels that the service's author wrote, values cut.
pub(crate) fn of_author<'l>(
    own: impl Iterator<Item = (&'l str, &'l str)>,
    allowed: &AllowedLabels,
) -> BTreeMap<String, String> {
    let allowed = own.filter(|(key, _)| allowed.0.contains(*key));
    allowed.map(|(key, value)| (key.to_owned(), cut(value))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarmscout_docker::engine::LabelMap;

    use super::*;

    #[test]
    fn a_container_has_the_labels_that_docker_gives_it() {
        let own = [
            ("com.docker.stack.namespace", "shop"),
            ("com.docker.swarm.service.name", "not by its author"),
            ("team", "front"),
            ("password", "hunter2"),
            ("long", &"ä".repeat(1000)),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let task = Task {
            id: "t1".into(),
            service: "s1".into(),
            node: "n1".into(),
            slot: 2,
            labels: Arc::new(LabelMap::new(own.into())),
            ..Task::default()
        };
        let shown = |allowed: &AllowedLabels| {
            let labels = ContainerIds::new(&task, "shop_web").labels(task.labels.iter(), allowed);
            let lines = labels.iter().map(|(key, value)| format!("{key}={value}"));
            lines.collect::<Vec<_>>().join("\n") + "\n"
        };
        expect_test::expect![[r#"
            com.docker.stack.namespace=shop
            com.docker.swarm.node.id=n1
            com.docker.swarm.service.id=s1
            com.docker.swarm.service.name=shop_web
            com.docker.swarm.task.id=t1
            com.docker.swarm.task.name=shop_web.2.t1
        "#]]
        .assert_eq(&shown(&AllowedLabels::default()));
        let more = AllowedLabels::with(["team", "", "long", "com.docker.swarm.task"]).unwrap();
        let shown = shown(&more);
        assert!(shown.contains("team=front\n") && shown.contains("com.docker.swarm.task=\n"));
        assert!(!shown.contains("hunter2"), "{shown}");
        let long = shown.lines().find_map(|line| line.strip_prefix("long=")).unwrap();
        assert_eq!(long.len(), 1024);
        assert_eq!(more.further(), "com.docker.swarm.task,long,team");
        let global = Task { slot: 0, ..task.clone() };
        assert_eq!(ContainerIds::new(&global, "agent").name(), "agent.n1.t1");
    }

    #[test]
    fn the_allow_list_has_an_end() {
        let names: Vec<_> = (0..=64).map(|n| n.to_string()).collect();
        let all = || names.iter().map(String::as_str);
        assert!(AllowedLabels::with(all().take(64)).is_ok());
        assert!(AllowedLabels::with(all()).is_err());
        assert!(AllowedLabels::with(["x".repeat(257).as_str()]).is_err());
    }
}
