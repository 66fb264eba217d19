//! All metric families, in the order of the exposition.

use swarmscout_exposition::pieces::Kind;

/// What a family is about. Its series live as long as such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The Swarm.
    Cluster,
    /// A node.
    Node,
    /// A service.
    Service,
    /// The current task of a slot.
    Task,
    /// A network.
    Network,
    /// A config.
    Config,
    /// A secret.
    Secret,
    /// A stack.
    Stack,
    /// A classic Swarm.
    Classic,
    /// A master of a classic Swarm.
    ClassicMaster,
    /// A node of a classic Swarm.
    ClassicNode,
}

macro_rules! families {
    ($($subject:ident $prefix:literal { $($family:ident $kind:ident $name:literal $help:literal)* })*) => {
        /// A metric family.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Family {
            $($(#[doc = $help] $family,)*)*
        }

        impl Family {
            /// All of them, in the order of the exposition.
            pub const ALL: &[Self] = &[$($(Self::$family,)*)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$family => concat!($prefix, $name),)*)* }
            }

            /// What it says, in one line.
            pub const fn help(self) -> &'static str {
                match self { $($(Self::$family => $help,)*)* }
            }

            /// What it is.
            pub const fn kind(self) -> Kind {
                match self { $($(Self::$family => Kind::$kind,)*)* }
            }

            /// What it is about.
            pub const fn subject(self) -> Subject {
                match self { $($(Self::$family => Subject::$subject,)*)* }
            }
        }
    };
}

families! {
    Cluster "dockerswarm_" {
        Up Gauge "up" "Whether the last refresh of the Swarm succeeded"
        LastRefresh Gauge "last_refresh_timestamp_seconds" "When the Swarm last confirmed its state"
        ListUp Gauge "list_up" "Whether this list could be read at the last refresh"
        Info Gauge "info" "The Swarm"
        Created Gauge "created_timestamp_seconds" "When the Swarm was created"
        RootRotation Gauge "root_rotation_in_progress" "Whether the root certificate of the Swarm is being replaced"
        RootExpiry Gauge "root_certificate_expiry_timestamp_seconds" "When the root certificate of the Swarm expires"
        Managers Gauge "managers" "Number of managers, by their reachability for the others"
        HasLeader Gauge "has_leader" "Whether one of the managers leads"
        Nodes Gauge "nodes" "Number of nodes, by role, availability and state"
        UnknownReasons Gauge "unknown_reasons" "Number of current tasks that wait with a text that Swarmscout does not know"
    }
    Node "dockerswarm_" {
        NodeInfo Gauge "node_info" "A node"
        NodeCreated Gauge "node_created_timestamp_seconds" "When the node joined"
        NodeUpdated Gauge "node_updated_timestamp_seconds" "When the node last changed"
        NodeState Gauge "node_state" "Whether the node is in this state, as the managers see it"
        NodeAvailability Gauge "node_availability" "Whether the node has this availability"
        NodeLeader Gauge "node_manager_leader" "Whether the manager leads"
        NodeReachable Gauge "node_manager_reachable" "Whether the other managers reach it"
        ManagerCertificateStart Gauge "manager_certificate_not_before_timestamp_seconds" "From when the certificate that the manager shows to others is valid"
        ManagerCertificateExpiry Gauge "manager_certificate_expiry_timestamp_seconds" "When the certificate that the manager shows to others expires"
        NodeCpus Gauge "node_cpus" "Number of CPUs of the node"
        NodeMemory Gauge "node_memory_bytes" "Memory of the node"
        NodeReservedCpus Gauge "node_reserved_cpus" "CPUs that the tasks on the node reserve"
        NodeReservedMemory Gauge "node_reserved_memory_bytes" "Memory that the tasks on the node reserve"
        NodeGeneric Gauge "node_generic_resources" "Generic resources of the node, by kind"
        NodeReservedGeneric Gauge "node_reserved_generic_resources" "Generic resources of the node that its tasks reserve, by kind"
        NodeTasks Gauge "node_tasks" "Number of tasks that are assigned to the node and have not ended"
        NodeLabels Gauge "node_labels" "Labels of the node, as far as they are allowed"
        NodeThreshold Gauge "node_alert_threshold" "Threshold for alerts from a label of the node"
        NodeIgnored Gauge "node_alert_ignored" "An alert that a label of the node switches off"
    }
    Service "dockerswarm_" {
        ServiceInfo Gauge "service_info" "A service"
        ServiceCreated Gauge "service_created_timestamp_seconds" "When the service was created"
        ServiceUpdated Gauge "service_updated_timestamp_seconds" "When the service was last changed"
        ServiceDesired Gauge "service_desired_tasks" "Number of tasks that should run: replicas; of a global service the nodes that its scheduler would use; of a job its completions"
        ServiceRunning Gauge "service_running_tasks" "Number of current tasks that run on a ready node"
        ServiceSchedulable Gauge "service_schedulable_tasks" "How many of the desired tasks have a node or would get one now"
        ServiceAtDesired Gauge "service_at_desired" "Whether as many tasks run as should, or the service runs on a schedule"
        ServiceTasks Gauge "service_tasks" "Number of current tasks, by state"
        ServiceWaiting Gauge "service_waiting_tasks" "Number of current tasks that do not run, by reason"
        ServiceImages Gauge "service_running_images" "Number of different images among the running tasks"
        ServiceMostOnOneNode Gauge "service_most_tasks_on_one_node" "Number of running tasks on the node that has the most of them"
        ServiceUpdateState Gauge "service_update_state" "State of the last update; none before the first one"
        ServiceUpdateStarted Gauge "service_update_started_timestamp_seconds" "When the last update began"
        ServiceUpdateCompleted Gauge "service_update_completed_timestamp_seconds" "When the last update ended"
        ServiceLimitCpus Gauge "service_task_limit_cpus" "CPUs that each task may use"
        ServiceLimitMemory Gauge "service_task_limit_memory_bytes" "Memory that each task may use"
        ServiceReservedCpus Gauge "service_task_reserved_cpus" "CPUs that each task reserves"
        ServiceReservedMemory Gauge "service_task_reserved_memory_bytes" "Memory that each task reserves"
        ServiceReservedGeneric Gauge "service_task_reserved_generic_resources" "Generic resources that each task reserves, by kind"
        ServicePort Gauge "service_published_port" "A published port"
        ServiceNetwork Gauge "service_network" "A network of the service"
        ServiceCompleted Gauge "service_completed_tasks" "Number of tasks of the present run of a job that ended well"
        ServiceLastSuccess Gauge "service_last_success_timestamp_seconds" "When a task of the service last ended well"
        ServiceLabels Gauge "service_labels" "Labels of the service, as far as they are allowed"
        ServiceThreshold Gauge "service_alert_threshold" "Threshold for alerts from a label of the service"
        ServiceIgnored Gauge "service_alert_ignored" "An alert that a label of the service switches off"
        ServiceFailures Counter "service_task_failures_total" "Tasks that failed or were rejected"
        ServiceFailuresBy Counter "service_task_failures_by_reason_total" "Tasks that failed or were rejected, by reason and exit code"
        ServiceRestarts Counter "service_task_restarts_total" "Tasks that took the place of one that had ended by itself"
    }
    Task "dockerswarm_" {
        TaskInfo Gauge "task_info" "The current task of a slot"
        TaskState Gauge "task_state" "State of the current task"
        TaskStateSince Gauge "task_state_since_timestamp_seconds" "When the task got into its state"
        TaskCreated Gauge "task_created_timestamp_seconds" "When the task was created"
    }
    Network "dockerswarm_" {
        NetworkInfo Gauge "network_info" "A network of the Swarm"
        NetworkCreated Gauge "network_created_timestamp_seconds" "When the network was created"
        NetworkAddresses Gauge "network_addresses" "Number of addresses for containers, virtual IPs and load balancers"
        NetworkAddressesUsed Gauge "network_addresses_used" "Addresses in use, as far as tasks and services show them"
    }
    Config "dockerswarm_" {
        ConfigInfo Gauge "config_info" "A config"
        ConfigCreated Gauge "config_created_timestamp_seconds" "When the config was created"
        ConfigServices Gauge "config_services" "Number of services that use the config"
    }
    Secret "dockerswarm_" {
        SecretInfo Gauge "secret_info" "A secret"
        SecretCreated Gauge "secret_created_timestamp_seconds" "When the secret was created"
        SecretServices Gauge "secret_services" "Number of services that use the secret"
    }
    Stack "dockerswarm_" {
        StackServices Gauge "stack_services" "Number of services of the stack"
        StackAtDesired Gauge "stack_services_at_desired" "Number of services of the stack that run as they should"
    }
    Classic "classicswarm_" {
        ClassicUp Gauge "up" "Whether the last refresh of the classic Swarm succeeded"
        ClassicLastRefresh Gauge "last_refresh_timestamp_seconds" "When a master last confirmed the state of the classic Swarm"
        ClassicInfo Gauge "info" "The classic Swarm"
        ClassicHasPrimary Gauge "has_primary" "Whether one of the masters is the primary"
        ClassicNodes Gauge "nodes" "Number of nodes, by status"
    }
    ClassicMaster "classicswarm_" {
        ClassicMasterUp Gauge "master_up" "Whether the master answered when it was last asked"
        ClassicMasterPrimary Gauge "master_primary" "Whether the master answers and is the primary"
    }
    ClassicNode "classicswarm_" {
        ClassicNodeInfo Gauge "node_info" "A node"
        ClassicNodeStatus Gauge "node_status" "Whether the node has this status for its master"
        ClassicNodeUpdated Gauge "node_updated_timestamp_seconds" "When the master last received a report of the node"
        ClassicNodeContainers Gauge "node_containers" "Number of containers on the node"
        ClassicNodeContainersBy Gauge "node_containers_by_state" "Number of containers on the node, by state, as far as the master reports them"
        ClassicNodeCpus Gauge "node_cpus" "Number of CPUs of the node"
        ClassicNodeMemory Gauge "node_memory_bytes" "Memory of the node"
        ClassicNodeReservedCpus Gauge "node_reserved_cpus" "CPUs that the containers on the node reserve"
        ClassicNodeReservedMemory Gauge "node_reserved_memory_bytes" "Memory that the containers on the node reserve"
        ClassicNodeLabels Gauge "node_labels" "Labels of the Engine of the node, as far as they are allowed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Prometheus naming guide: base units, `_total` for counters alone.
    #[test]
    fn names_follow_the_guide() {
        for family in Family::ALL {
            let (name, help) = (family.name(), family.help());
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind() == Kind::Counter, "{name}");
            assert!(help.starts_with(|first: char| first.is_uppercase()), "{name}: {help}");
            assert!(!help.ends_with('.'), "{name}: {help}");
        }
        let mut names: Vec<_> = Family::ALL.iter().map(|family| family.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Family::ALL.len());
        assert!(Family::ALL.is_sorted_by_key(|family| family.subject()));
    }
}
