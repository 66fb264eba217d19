module swarmscout/bench/relabel-peer

go 1.26

require (
	github.com/prometheus/prometheus v0.314.0
	go.yaml.in/yaml/v2 v2.4.4
)
