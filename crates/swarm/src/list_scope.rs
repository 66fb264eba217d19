//! The lists that the readers of a snapshot need, and so the lists that are requested. If all readers
//! filter a list in the same way, the Engine filters it.

use std::sync::Arc;

use swarmscout_docker::engine::List;

use super::filter::Filters;
use crate::Role;

/// Which lists are read, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListScope {
    /// `/nodes`.
    pub nodes: ListFilter,
    /// `/services`.
    pub services: ListFilter,
    /// `/tasks`.
    pub tasks: ListFilter,
    /// `/networks`.
    pub networks: ListFilter,
    /// `/configs` and `/secrets`. They are beside the replica: no feed reports their changes, and no
    /// other list depends on them.
    pub files: bool,
    /// What managers know of the addresses of each network, which is asked for one by one.
    pub network_status: bool,
}

/// How much of a list is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListFilter {
    /// Nothing of it.
    #[default]
    Nothing,
    /// What these filters let through: the JSON of the query's parameter.
    Filtered(Arc<str>),
    /// The whole list.
    All,
}

/// What reads a replica, and which lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    lists: Vec<List>,
    /// Applied to the first of the lists. The others are read whole, to explain what it refers to.
    filters: Option<Filters>,
    files: bool,
    network_status: bool,
}

impl Reader {
    /// Reads these lists, each as a whole.
    pub fn of_lists(lists: impl Into<Vec<List>>) -> Self {
        Self { lists: lists.into(), filters: None, files: false, network_status: false }
    }

    /// Reads everything, each list as a whole, configs and secrets too.
    pub fn of_everything() -> Self {
        let lists = [List::Tasks, List::Services, List::Nodes, List::Networks];
        Self { files: true, ..Self::of_lists(lists) }
    }

    /// Also reads what managers know of the addresses of each network, if `wanted`.
    #[must_use]
    pub fn with_network_status(self, wanted: bool) -> Self {
        Self { network_status: wanted, ..self }
    }

    /// Reads the lists that a role needs; of its own list what these filters let through.
    pub fn of_role(filters: Filters) -> Self {
        let lists = match filters.role() {
            Role::Nodes => vec![List::Nodes],
            Role::Services => vec![List::Services, List::Networks],
            Role::Tasks => vec![List::Tasks, List::Services, List::Nodes, List::Networks],
        };
        Self { filters: Some(filters), ..Self::of_lists(lists) }
    }

    /// The lists that it needs. `alone`: there is no other kind of reader.
    fn scope(&self, alone: bool) -> ListScope {
        let Self { files, network_status, .. } = *self;
        let mut scope = ListScope { files, network_status, ..ListScope::default() };
        for (place, list) in self.lists.iter().enumerate() {
            let filters = self.filters.as_ref().filter(|_| place == 0);
            let filters = filters.map(|filters| filters.for_engine(alone)).unwrap_or_default();
            scope.set(
                *list,
                match filters {
                    all if all.is_empty() => ListFilter::All,
                    some => ListFilter::Filtered(some.into()),
                },
            );
        }
        scope
    }
}

impl ListFilter {
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, part) | (part, Self::Nothing) => part,
            (a, b) if a == b => a,
            _ => Self::All,
        }
    }

    /// Whether it has all objects that `needed` selects: each filter that was applied is one of those
    /// that are needed.
    fn covers(&self, needed: &Self) -> bool {
        match (self, needed) {
            (_, Self::Nothing) | (Self::All, _) => true,
            (Self::Filtered(applied), Self::Filtered(needed)) => {
                applied == needed || {
                    let needed = terms(needed);
                    terms(applied).iter().all(|(name, values)| needed.get(name) == Some(values))
                }
            }
            (Self::Filtered(_), Self::All) | (Self::Nothing, _) => false,
        }
    }

    /// The filters of the request; `None` without a request.
    fn query(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Filtered(filters) => Some(filters),
            Self::All => Some(""),
        }
    }
}

/// The filters of a query.
fn terms(filters: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(filters).unwrap_or_default()
}

impl ListScope {
    /// All lists, whole.
    pub fn everything() -> Self {
        let [nodes, services, tasks, networks] = [const { ListFilter::All }; 4];
        Self { nodes, services, tasks, networks, files: false, network_status: false }
    }

    /// The lists that these readers need together. The Engine applies a filter only if that makes no
    /// difference to any of them.
    pub fn of<'a>(readers: impl IntoIterator<Item = &'a Reader>) -> Self {
        let readers: Vec<_> = readers.into_iter().collect();
        let alone = readers.windows(2).all(|two| two[0] == two[1]);
        readers.into_iter().fold(Self::default(), |scope, reader| scope.or(reader.scope(alone)))
    }

    /// The same lists, unfiltered.
    #[must_use]
    pub fn unfiltered(self) -> Self {
        let whole = |part| if part == ListFilter::Nothing { part } else { ListFilter::All };
        Self {
            nodes: whole(self.nodes),
            services: whole(self.services),
            tasks: whole(self.tasks),
            networks: whole(self.networks),
            files: self.files,
            network_status: self.network_status,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.or(other.nodes),
            services: self.services.or(other.services),
            tasks: self.tasks.or(other.tasks),
            networks: self.networks.or(other.networks),
            files: self.files || other.files,
            network_status: self.network_status || other.network_status,
        }
    }

    /// How much of a list is read.
    pub fn filter(&self, list: List) -> &ListFilter {
        match list {
            List::Nodes => &self.nodes,
            List::Services => &self.services,
            List::Tasks => &self.tasks,
            List::Networks => &self.networks,
            List::Configs | List::Secrets | List::Containers => &ListFilter::Nothing,
        }
    }

    /// The same without these lists.
    #[must_use]
    pub fn without(mut self, lists: impl IntoIterator<Item = List>) -> Self {
        for list in lists {
            self.set(list, ListFilter::Nothing);
        }
        self
    }

    fn set(&mut self, list: List, filter: ListFilter) {
        match list {
            List::Nodes => self.nodes = filter,
            List::Services => self.services = filter,
            List::Tasks => self.tasks = filter,
            List::Networks => self.networks = filter,
            List::Configs | List::Secrets | List::Containers => {}
        }
    }

    /// Whether a snapshot of this scope has everything that `needed` selects.
    pub fn covers(&self, needed: &Self) -> bool {
        self.nodes.covers(&needed.nodes)
            && self.services.covers(&needed.services)
            && self.tasks.covers(&needed.tasks)
            && self.networks.covers(&needed.networks)
    }

    /// The lists to request, each with its filters. First the one that refers to the others: an object
    /// that it refers to is then never older.
    pub fn lists(&self) -> Vec<(List, &str)> {
        let parts = [
            (List::Tasks, &self.tasks),
            (List::Services, &self.services),
            (List::Nodes, &self.nodes),
            (List::Networks, &self.networks),
        ];
        parts.into_iter().filter_map(|(list, part)| Some((list, part.query()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarmscout_docker::Filter;

    fn filters(role: Role, filters: &[(&str, &str)]) -> Reader {
        let filters = filters.iter().map(|(name, value)| Filter {
            name: (*name).to_owned(),
            values: vec![(*value).to_owned()],
        });
        Reader::of_role(Filters::new(role, &filters.collect::<Vec<_>>()))
    }

    /// Readers, and the lists that are requested.
    fn check(readers: &[Reader], expected: &[(List, &str)]) {
        assert_eq!(ListScope::of(readers).lists(), expected);
    }

    /// State metrics and the like read lists, and have no filters.
    #[test]
    fn a_reader_of_lists_reads_them_whole() {
        let lists = Reader::of_lists([List::Tasks, List::Nodes]);
        check(std::slice::from_ref(&lists), &[(List::Tasks, ""), (List::Nodes, "")]);
        let running = filters(Role::Tasks, &[("desired-state", "running")]);
        let all = [List::Tasks, List::Services, List::Nodes, List::Networks];
        check(&[running, lists], &all.map(|list| (list, "")));
    }

    const RUNNING: &str = r#"{"desired-state":{"running":true}}"#;

    #[test]
    fn a_list_without_a_reader_is_not_requested() {
        check(&[], &[]);
        check(&[filters(Role::Nodes, &[])], &[(List::Nodes, "")]);
        let services = filters(Role::Services, &[("mode", "global")]);
        let expected = [(List::Services, r#"{"mode":{"global":true}}"#), (List::Networks, "")];
        check(&[services], &expected);
    }

    #[test]
    fn the_engine_filters_where_all_want_the_same() {
        let running = || filters(Role::Tasks, &[("desired-state", "running")]);
        let others = [(List::Services, ""), (List::Nodes, ""), (List::Networks, "")];
        let asked = |tasks| [&[(List::Tasks, tasks)][..], &others].concat();
        check(&[running()], &asked(RUNNING));
        check(&[running(), running(), filters(Role::Nodes, &[])], &asked(RUNNING));
        check(&[running(), filters(Role::Tasks, &[])], &asked(""));
        // Nodes are needed whole by tasks.
        check(&[running(), filters(Role::Nodes, &[("role", "manager")])], &asked(RUNNING));
    }

    #[test]
    fn what_the_engine_may_refuse_it_is_only_asked_for_one_reader() {
        let web = || filters(Role::Tasks, &[("service", "web"), ("desired-state", "running")]);
        let lists = ListScope::of(&[web()]);
        let expected = r#"{"desired-state":{"running":true},"service":{"web":true}}"#;
        assert_eq!(lists.lists()[0], (List::Tasks, expected));
        let lists = ListScope::of(&[web(), filters(Role::Nodes, &[])]);
        assert_eq!(lists.lists()[0], (List::Tasks, RUNNING));
    }

    #[test]
    fn what_we_read_otherwise_than_the_engine_it_is_not_asked_for() {
        let lists = ListScope::of(&[filters(Role::Tasks, &[("node", "self"), ("label", "a=b")])]);
        assert_eq!(lists.lists()[0], (List::Tasks, ""));
        let lists = ListScope::of(&[filters(Role::Services, &[("label", "a=b")])]);
        assert_eq!(lists.lists()[0], (List::Services, r#"{"label":{"a=b":true}}"#));
    }

    #[test]
    fn the_whole_covers_its_parts() {
        let part = ListScope::of(&[filters(Role::Tasks, &[("desired-state", "running")])]);
        let whole = part.clone().unfiltered();
        assert!(whole.covers(&part) && !part.covers(&whole) && part.covers(&part));
        assert!(!part.covers(&ListScope::of(&[filters(Role::Tasks, &[("id", "x")])])));
        assert!(whole.covers(&ListScope::default()) && !ListScope::default().covers(&part));
    }

    #[test]
    fn what_is_asked_for_together_covers_what_each_needs() {
        let web = filters(Role::Tasks, &[("service", "web"), ("desired-state", "running")]);
        let all =
            [web, filters(Role::Nodes, &[]), filters(Role::Tasks, &[("desired-state", "running")])];
        for readers in [&all[..], &all[..2], &all[..1], &all[1..]] {
            let together = ListScope::of(readers);
            for reader in readers {
                assert!(together.covers(&ListScope::of([reader])), "{reader:?} of {readers:?}");
            }
        }
    }
}
