//! The Engine's JSON, as far as it is read: each field names its member by the path to it.
//!
//! What has no name here is skipped: environment, command, content of secrets and configs. Of mounts
//! only the volume driver is read.

use serde::Deserialize;

use super::de::{Raw, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Node<'a> {
    #[serde(rename = "ID")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Version.Index")]
    pub(super) version: u64,
    #[serde(rename = "CreatedAt")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "UpdatedAt")]
    pub(super) updated: Raw<'a>,
    #[serde(rename = "Spec.Role")]
    pub(super) role: Text<'a>,
    #[serde(rename = "Spec.Availability")]
    pub(super) availability: Text<'a>,
    #[serde(rename = "Spec.Labels")]
    pub(super) labels: Raw<'a>,
    #[serde(rename = "Description.Hostname")]
    pub(super) hostname: Text<'a>,
    #[serde(rename = "Description.Platform.Architecture")]
    pub(super) architecture: Text<'a>,
    #[serde(rename = "Description.Platform.OS")]
    pub(super) os: Text<'a>,
    #[serde(rename = "Description.Engine.EngineVersion")]
    pub(super) engine_version: Text<'a>,
    #[serde(rename = "Description.Engine.Labels")]
    pub(super) engine_labels: Raw<'a>,
    #[serde(rename = "Description.Engine.Plugins")]
    pub(super) plugins: Raw<'a>,
    #[serde(rename = "Status.State")]
    pub(super) state: Text<'a>,
    #[serde(rename = "Status.Message")]
    pub(super) message: Text<'a>,
    #[serde(rename = "Description.Resources.NanoCPUs")]
    pub(super) nano_cpus: i64,
    #[serde(rename = "Description.Resources.MemoryBytes")]
    pub(super) memory_bytes: i64,
    #[serde(rename = "Description.Resources.GenericResources")]
    pub(super) generic: Raw<'a>,
    #[serde(rename = "Status.Addr")]
    pub(super) address: Text<'a>,
    #[serde(rename = "ManagerStatus")]
    pub(super) manager: Option<ManagerStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ManagerStatus<'a> {
    #[serde(rename = "Leader")]
    pub(super) leader: bool,
    #[serde(rename = "Reachability")]
    pub(super) reachability: Text<'a>,
    #[serde(rename = "Addr")]
    pub(super) address: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Service<'a> {
    #[serde(rename = "ID")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Version.Index")]
    pub(super) version: u64,
    #[serde(rename = "CreatedAt")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "UpdatedAt")]
    pub(super) updated: Raw<'a>,
    #[serde(rename = "Spec.Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Spec.Labels")]
    pub(super) labels: Raw<'a>,
    #[serde(rename = "Spec.Mode.Global")]
    pub(super) global: Option<Raw<'a>>,
    #[serde(rename = "Spec.Mode.Replicated")]
    pub(super) replicated: Option<Replicated>,
    #[serde(rename = "Spec.Mode.GlobalJob")]
    pub(super) global_job: Option<Raw<'a>>,
    #[serde(rename = "Spec.Mode.ReplicatedJob")]
    pub(super) replicated_job: Option<ReplicatedJob>,
    #[serde(rename = "Spec.TaskTemplate.Placement.Constraints")]
    pub(super) constraints: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.Placement.Platforms")]
    pub(super) platforms: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.Placement.MaxReplicas")]
    pub(super) max_replicas: u64,
    #[serde(rename = "Spec.TaskTemplate.Resources.Reservations.NanoCPUs")]
    pub(super) nano_cpus: i64,
    #[serde(rename = "Spec.TaskTemplate.Resources.Reservations.MemoryBytes")]
    pub(super) memory_bytes: i64,
    #[serde(rename = "Spec.TaskTemplate.Resources.Reservations.GenericResources")]
    pub(super) generic: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.Resources.Limits.NanoCPUs")]
    pub(super) most_nano_cpus: i64,
    #[serde(rename = "Spec.TaskTemplate.Resources.Limits.MemoryBytes")]
    pub(super) most_memory_bytes: i64,
    #[serde(rename = "Spec.TaskTemplate.RestartPolicy.Condition")]
    pub(super) restart_condition: Text<'a>,
    #[serde(rename = "Spec.TaskTemplate.Networks")]
    pub(super) networks: Raw<'a>,
    /// Of services that were made before Docker 1.13.
    #[serde(rename = "Spec.Networks")]
    pub(super) old_networks: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.ContainerSpec.Hostname")]
    pub(super) hostname: Text<'a>,
    #[serde(rename = "Spec.TaskTemplate.ContainerSpec.Image")]
    pub(super) image: Text<'a>,
    #[serde(rename = "Spec.TaskTemplate.ContainerSpec.Configs")]
    pub(super) configs: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.ContainerSpec.Secrets")]
    pub(super) secrets: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.ContainerSpec.Mounts")]
    pub(super) mounts: Raw<'a>,
    #[serde(rename = "Spec.TaskTemplate.LogDriver.Name")]
    pub(super) log_driver: Text<'a>,
    #[serde(rename = "JobStatus.JobIteration.Index")]
    pub(super) job_iteration: u64,
    #[serde(rename = "JobStatus.LastExecution")]
    pub(super) job_started: Raw<'a>,
    #[serde(rename = "UpdateStatus.State")]
    pub(super) update_state: Text<'a>,
    #[serde(rename = "UpdateStatus.StartedAt")]
    pub(super) update_started: Raw<'a>,
    #[serde(rename = "UpdateStatus.CompletedAt")]
    pub(super) update_completed: Raw<'a>,
    #[serde(rename = "UpdateStatus.Message")]
    pub(super) update_message: Text<'a>,
    #[serde(rename = "Endpoint.Spec.Mode")]
    pub(super) endpoint_mode: Text<'a>,
    #[serde(rename = "Endpoint.Ports")]
    pub(super) ports: Raw<'a>,
    #[serde(rename = "Endpoint.VirtualIPs")]
    pub(super) virtual_ips: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Replicated {
    #[serde(rename = "Replicas")]
    pub(super) replicas: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReplicatedJob {
    #[serde(rename = "MaxConcurrent")]
    pub(super) max_concurrent: u64,
    #[serde(rename = "TotalCompletions")]
    pub(super) completions: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Platform<'a> {
    #[serde(rename = "Architecture")]
    pub(super) architecture: Text<'a>,
    #[serde(rename = "OS")]
    pub(super) os: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct GenericResource<'a> {
    #[serde(rename = "NamedResourceSpec.Kind")]
    pub(super) named: Text<'a>,
    #[serde(rename = "DiscreteResourceSpec.Kind")]
    pub(super) discrete: Text<'a>,
    #[serde(rename = "DiscreteResourceSpec.Value")]
    pub(super) count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Plugin<'a> {
    #[serde(rename = "Type")]
    pub(super) kind: Text<'a>,
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Mount<'a> {
    #[serde(rename = "Type")]
    pub(super) kind: Text<'a>,
    #[serde(rename = "VolumeOptions.DriverConfig.Name")]
    pub(super) driver: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct FileReference<'a> {
    #[serde(rename = "ConfigID")]
    pub(super) config: Text<'a>,
    #[serde(rename = "SecretID")]
    pub(super) secret: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkTarget<'a> {
    #[serde(rename = "Target")]
    pub(super) target: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Port<'a> {
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Protocol")]
    pub(super) protocol: Text<'a>,
    #[serde(rename = "TargetPort")]
    pub(super) target: u32,
    #[serde(rename = "PublishedPort")]
    pub(super) published: u32,
    #[serde(rename = "PublishMode")]
    pub(super) mode: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct VirtualIp<'a> {
    #[serde(rename = "NetworkID")]
    pub(super) network: Text<'a>,
    #[serde(rename = "Addr")]
    pub(super) address: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Task<'a> {
    #[serde(rename = "ID")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Version.Index")]
    pub(super) version: u64,
    #[serde(rename = "UpdatedAt")]
    pub(super) updated: Raw<'a>,
    #[serde(rename = "ServiceID")]
    pub(super) service: Text<'a>,
    #[serde(rename = "NodeID")]
    pub(super) node: Text<'a>,
    #[serde(rename = "Slot")]
    pub(super) slot: i64,
    #[serde(rename = "Spec.ContainerSpec.Labels")]
    pub(super) labels: Raw<'a>,
    #[serde(rename = "Spec.ContainerSpec.Image")]
    pub(super) image: Text<'a>,
    #[serde(rename = "Spec.Resources.Reservations.NanoCPUs")]
    pub(super) nano_cpus: i64,
    #[serde(rename = "Spec.Resources.Reservations.MemoryBytes")]
    pub(super) memory_bytes: i64,
    #[serde(rename = "Spec.Resources.Reservations.GenericResources")]
    pub(super) generic: Raw<'a>,
    #[serde(rename = "JobIteration.Index")]
    pub(super) job_iteration: u64,
    #[serde(rename = "DesiredState")]
    pub(super) desired_state: Text<'a>,
    #[serde(rename = "Status.State")]
    pub(super) state: Text<'a>,
    #[serde(rename = "CreatedAt")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "Status.Timestamp")]
    pub(super) state_since: Raw<'a>,
    #[serde(rename = "Status.Message")]
    pub(super) message: Text<'a>,
    #[serde(rename = "Status.Err")]
    pub(super) error: Text<'a>,
    #[serde(rename = "Status.ContainerStatus.ExitCode")]
    pub(super) exit_code: i64,
    #[serde(rename = "Status.ContainerStatus.ContainerID")]
    pub(super) container: Text<'a>,
    #[serde(rename = "Status.ContainerStatus.PID")]
    pub(super) pid: i64,
    #[serde(rename = "Status.PortStatus.Ports")]
    pub(super) host_ports: Raw<'a>,
    #[serde(rename = "NetworksAttachments")]
    pub(super) attachments: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Attachment<'a> {
    #[serde(rename = "Network.ID")]
    pub(super) network: Text<'a>,
    #[serde(rename = "Network.Spec.Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Network.Spec.Ingress")]
    pub(super) ingress: bool,
    #[serde(rename = "Network.DriverState.Name")]
    pub(super) driver: Text<'a>,
    #[serde(rename = "Addresses")]
    pub(super) addresses: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Network<'a> {
    #[serde(rename = "Id")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Created")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "IPAM.Config")]
    pub(super) pools: Raw<'a>,
    #[serde(rename = "Scope")]
    pub(super) scope: Text<'a>,
    #[serde(rename = "Driver")]
    pub(super) driver: Text<'a>,
    #[serde(rename = "Attachable")]
    pub(super) attachable: bool,
    #[serde(rename = "Internal")]
    pub(super) internal: bool,
    #[serde(rename = "Ingress")]
    pub(super) ingress: bool,
    #[serde(rename = "Labels")]
    pub(super) labels: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct AddressPool<'a> {
    #[serde(rename = "Subnet")]
    pub(super) subnet: Text<'a>,
    #[serde(rename = "IPRange")]
    pub(super) range: Text<'a>,
}

/// What a network says of its addresses, if it is asked for by its ID.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkStatus<'a> {
    #[serde(rename = "Status.IPAM.Subnets")]
    pub(super) subnets: Raw<'a>,
    #[serde(rename = "Services")]
    pub(super) services: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubnetStatus {
    #[serde(rename = "DynamicIPsAvailable")]
    pub(super) free: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ServiceOnNetwork<'a> {
    #[serde(rename = "VIP")]
    pub(super) address: Text<'a>,
    #[serde(rename = "Tasks")]
    pub(super) tasks: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct TaskOnNetwork<'a> {
    #[serde(rename = "EndpointIP")]
    pub(super) address: Text<'a>,
}

/// A config, or a secret. Its content is not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct StoredFile<'a> {
    #[serde(rename = "ID")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Version.Index")]
    pub(super) version: u64,
    #[serde(rename = "CreatedAt")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "UpdatedAt")]
    pub(super) updated: Raw<'a>,
    #[serde(rename = "Spec.Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Spec.Labels")]
    pub(super) labels: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Container<'a> {
    #[serde(rename = "Id")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Names")]
    pub(super) names: Raw<'a>,
    #[serde(rename = "Image")]
    pub(super) image: Text<'a>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: Text<'a>,
    #[serde(rename = "Labels")]
    pub(super) labels: Raw<'a>,
    #[serde(rename = "Ports")]
    pub(super) ports: Raw<'a>,
    #[serde(rename = "HostConfig.NetworkMode")]
    pub(super) network_mode: Text<'a>,
    #[serde(rename = "NetworkSettings.Networks")]
    pub(super) networks: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerPort<'a> {
    #[serde(rename = "PrivatePort")]
    pub(super) private: u16,
    #[serde(rename = "PublicPort")]
    pub(super) public: u16,
    #[serde(rename = "Type")]
    pub(super) protocol: Text<'a>,
    #[serde(rename = "IP")]
    pub(super) ip: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Endpoint<'a> {
    #[serde(rename = "NetworkID")]
    pub(super) network: Text<'a>,
    #[serde(rename = "IPAddress")]
    pub(super) ipv4: Text<'a>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) ipv6: Text<'a>,
}

/// A container of `/containers/json`, for those who ask for each of them anyway.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ListedContainer<'a> {
    #[serde(rename = "Id")]
    pub(super) id: Text<'a>,
    #[serde(rename = "State")]
    pub(super) state: Text<'a>,
}

/// `/containers/ID/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerDetail<'a> {
    #[serde(rename = "Id")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Created")]
    pub(super) created: Raw<'a>,
    #[serde(rename = "State.Status")]
    pub(super) state: Text<'a>,
    #[serde(rename = "State.Pid")]
    pub(super) pid: i64,
    #[serde(rename = "State.StartedAt")]
    pub(super) started: Raw<'a>,
    #[serde(rename = "State.FinishedAt")]
    pub(super) finished: Raw<'a>,
    #[serde(rename = "State.ExitCode")]
    pub(super) exit_code: i64,
    #[serde(rename = "State.OOMKilled")]
    pub(super) out_of_memory: bool,
    #[serde(rename = "State.Health.Status")]
    pub(super) health: Text<'a>,
    #[serde(rename = "HostConfig.NetworkMode")]
    pub(super) network_mode: Text<'a>,
    #[serde(rename = "NetworkSettings.Networks")]
    pub(super) networks: Raw<'a>,
    #[serde(rename = "Config.Image")]
    pub(super) image: Text<'a>,
    #[serde(rename = "Config.Labels")]
    pub(super) labels: Raw<'a>,
}

/// An event of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerEvent<'a> {
    #[serde(rename = "Type")]
    pub(super) kind: Text<'a>,
    #[serde(rename = "Action")]
    pub(super) action: Text<'a>,
    #[serde(rename = "Actor.ID")]
    pub(super) id: Text<'a>,
    #[serde(rename = "Actor.Attributes")]
    pub(super) attributes: Raw<'a>,
    #[serde(rename = "timeNano")]
    pub(super) time_nano: i64,
}

/// `/system/df`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct DiskUsage<'a> {
    #[serde(rename = "LayersSize")]
    pub(super) layers: i64,
    #[serde(rename = "Images")]
    pub(super) images: Raw<'a>,
    #[serde(rename = "Volumes")]
    pub(super) volumes: Raw<'a>,
    #[serde(rename = "BuildCache")]
    pub(super) build_cache: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageUsage {
    #[serde(rename = "Containers")]
    pub(super) containers: i64,
}

#[derive(Debug, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct VolumeUsage<'a> {
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "Labels")]
    pub(super) labels: Raw<'a>,
    #[serde(rename = "UsageData.Size")]
    pub(super) size: i64,
}

/// No size is one that is not known.
impl Default for VolumeUsage<'_> {
    fn default() -> Self {
        Self { name: Text::default(), labels: Raw::default(), size: -1 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BuildRecord {
    #[serde(rename = "Size")]
    pub(super) size: i64,
    #[serde(rename = "Shared")]
    pub(super) shared: bool,
}

/// `/info`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Info<'a> {
    #[serde(rename = "Containers")]
    pub(super) containers: Option<i64>,
    #[serde(rename = "Name")]
    pub(super) name: Text<'a>,
    #[serde(rename = "SystemStatus")]
    pub(super) system_status: Raw<'a>,
    #[serde(rename = "DriverStatus")]
    pub(super) driver_status: Raw<'a>,
    #[serde(rename = "Swarm.NodeID")]
    pub(super) node: Text<'a>,
    #[serde(rename = "Swarm.LocalNodeState")]
    pub(super) state: Text<'a>,
    #[serde(rename = "Swarm.Error")]
    pub(super) error: Text<'a>,
    #[serde(rename = "Swarm.ControlAvailable")]
    pub(super) manager: bool,
    #[serde(rename = "ServerVersion")]
    pub(super) engine_version: Text<'a>,
    #[serde(rename = "Swarm.Cluster.CreatedAt")]
    pub(super) cluster_created: Raw<'a>,
    #[serde(rename = "Swarm.Cluster.RootRotationInProgress")]
    pub(super) root_rotation: bool,
    #[serde(rename = "Swarm.Cluster.ID")]
    pub(super) cluster: Text<'a>,
    #[serde(rename = "Swarm.Cluster.TLSInfo.TrustRoot")]
    pub(super) trust_root: Text<'a>,
    #[serde(rename = "Swarm.RemoteManagers")]
    pub(super) managers: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct RemoteManager<'a> {
    #[serde(rename = "Addr")]
    pub(super) address: Text<'a>,
}
