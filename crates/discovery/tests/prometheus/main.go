// Writes what Prometheus' own Docker discovery makes of recorded answers: see README.md.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"sort"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/moby"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"go.yaml.in/yaml/v2"
)

// entry is one line of the table.
type entry struct {
	Fixture string `json:"fixture"`
	// Lists names the file of each list, relative to the folder crates.
	Lists map[string]string `json:"lists"`
	// Kind is the block it would stand in, dockerswarm or docker.
	Kind string `json:"kind"`
	// Config holds what differs from the defaults, without the host.
	Config map[string]any `json:"config"`
	// Withheld tells that virtual IPs without an address were left out of the answer, because the
	// services role fails whole on them.
	Withheld bool `json:"withheld,omitempty"`
	// Error is what Prometheus logs; then there are no targets.
	Error   string              `json:"error,omitempty"`
	Targets []map[string]string `json:"targets"`
}

// fixtures are the recorded answers: of each the folder, and the name of each list's file where it
// is not that of the list.
var fixtures = []struct {
	name, folder string
	lists        map[string]string
}{
	{"3-nodes", recorded + "3-nodes/", lists("nodes", "services", "tasks", "networks", "containers")},
	{"3-nodes, worker", recorded + "3-nodes/", map[string]string{
		"networks": "worker-networks", "containers": "worker-containers",
	}},
	{"3-nodes, one drained and down", recorded + "3-nodes-one-drained-and-down/", map[string]string{
		"nodes": "nodes", "services": "services", "tasks": "tasks", "networks": "../3-nodes/networks",
	}},
	{"6-nodes, leader", recorded + "6-nodes/", map[string]string{
		"nodes": "nodes-leader", "services": "services-leader", "tasks": "tasks-leader",
		"networks": "networks-leader",
	}},
	{"6-nodes, follower", recorded + "6-nodes/", map[string]string{
		"nodes": "nodes-follower", "services": "services-follower", "tasks": "tasks-follower",
		"networks": "networks-follower",
	}},
	{"6-nodes, after a leader change", recorded + "6-nodes/", map[string]string{
		"nodes": "nodes-after-leader-change",
	}},
	{"empty", recorded + "empty/", lists("nodes", "services", "tasks", "networks")},
	{"empty, a worker joined again", recorded + "empty/", map[string]string{
		"nodes": "nodes-worker-rejoined",
	}},
	{"moby v2", recorded + "3-nodes-moby-v2.0.0-beta.24/", lists("nodes")},
	{"awkward", "discovery/tests/fixtures/awkward/",
		lists("nodes", "services", "tasks", "networks", "containers")},
}

const recorded = "simulator/fixtures/swarm-mode/"

func lists(names ...string) map[string]string {
	files := map[string]string{}
	for _, name := range names {
		files[name] = name
	}
	return files
}

func main() {
	crates := os.Args[1]
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, fixture := range fixtures {
		files := map[string]string{}
		for list, name := range fixture.lists {
			files[list] = path.Join(fixture.folder, name+".json")
		}
		for _, e := range entries(files) {
			e.Fixture, e.Lists = fixture.name, files
			run(crates, &e)
			check(out.Encode(e))
		}
	}
}

// entries lists what can be asked of a fixture with these lists.
func entries(files map[string]string) []entry {
	has := func(lists ...string) bool {
		for _, list := range lists {
			if files[list] == "" {
				return false
			}
		}
		return true
	}
	swarm := func(role string, port int, withheld bool) entry {
		config := map[string]any{"role": role, "port": port}
		return entry{Kind: "dockerswarm", Config: config, Withheld: withheld}
	}
	var all []entry
	if has("nodes") {
		all = append(all, swarm("nodes", 9323, false))
	}
	if has("services", "networks") {
		all = append(all, swarm("services", 80, false), swarm("services", 80, true))
	}
	if has("tasks", "services", "nodes", "networks") {
		all = append(all, swarm("tasks", 8080, false))
	}
	if has("containers", "networks") {
		all = append(all,
			entry{Kind: "docker", Config: map[string]any{}},
			entry{Kind: "docker", Config: map[string]any{
				"match_first_network": false, "port": 8080, "host_networking_host": "box",
			}})
	}
	return all
}

func run(crates string, e *entry) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := path.Base(r.URL.Path)
		switch list {
		case "_ping":
			w.Header().Set("Api-Version", "1.41")
			return
		case "json":
			list = "containers"
		}
		file, known := e.Lists[list]
		if !known {
			http.NotFound(w, r)
			return
		}
		body, err := os.ReadFile(filepath.Join(crates, file))
		check(err)
		if list == "services" && e.Withheld {
			body = withhold(body)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	defer server.Close()

	settings := map[string]any{"host": server.URL}
	for key, value := range e.Config {
		settings[key] = value
	}
	text, err := yaml.Marshal(settings)
	check(err)
	var config discovery.Config
	if e.Kind == "docker" {
		docker := moby.DockerSDConfig{}
		check(yaml.UnmarshalStrict(text, &docker))
		config = &docker
	} else {
		swarm := moby.DockerSwarmSDConfig{}
		check(yaml.UnmarshalStrict(text, &swarm))
		config = &swarm
	}

	registry := prometheus.NewRegistry()
	metrics := config.NewDiscovererMetrics(registry, discovery.NewRefreshMetrics(registry))
	check(metrics.Register())
	var logged bytes.Buffer
	discoverer, err := config.NewDiscoverer(discovery.DiscovererOptions{
		Logger:  slog.New(slog.NewJSONHandler(&logged, nil)),
		Metrics: metrics,
		SetName: "record",
	})
	check(err)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	groups := make(chan []*targetgroup.Group, 1)
	done := make(chan struct{})
	go func() { discoverer.Run(ctx, groups); close(done) }()
	e.Targets = []map[string]string{}
	select {
	case found := <-groups:
		cancel()
		<-done
		for _, group := range found {
			for _, target := range group.Targets {
				labels := map[string]string{}
				for name, value := range group.Labels.Merge(target) {
					// Prometheus drops empty labels where it reads the group.
					if value != "" {
						labels[string(name)] = string(value)
					}
				}
				e.Targets = append(e.Targets, labels)
			}
		}
		sort.Slice(e.Targets, func(a, b int) bool { return sortKey(e.Targets[a]) < sortKey(e.Targets[b]) })
	case <-done:
		var line struct{ Err string }
		check(json.Unmarshal(logged.Bytes(), &line))
		e.Error = line.Err
	}
}

// withhold leaves out the virtual IPs on which the services role fails.
func withhold(body []byte) []byte {
	var services []map[string]any
	check(json.Unmarshal(body, &services))
	for _, service := range services {
		endpoint, ok := service["Endpoint"].(map[string]any)
		if !ok {
			continue
		}
		kept := []any{}
		ips, _ := endpoint["VirtualIPs"].([]any)
		for _, ip := range ips {
			if address, _ := ip.(map[string]any)["Addr"].(string); address != "" {
				kept = append(kept, ip)
			}
		}
		endpoint["VirtualIPs"] = kept
	}
	body, err := json.Marshal(services)
	check(err)
	return body
}

func sortKey(labels map[string]string) string {
	text, err := json.Marshal(labels)
	check(err)
	return string(text)
}

func check(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("record: %w", err))
	}
}
