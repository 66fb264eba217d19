// Relabels the targets of ../relabel.json with Prometheus' own model/relabel and prints the CPU
// seconds it took and how many targets were kept.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"
)

const count = 100_000

func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var input struct {
		Rules  []json.RawMessage `json:"rules"`
		Labels map[string]string `json:"labels"`
	}
	if err := json.Unmarshal(text, &input); err != nil {
		panic(err)
	}
	var rules []*relabel.Config
	for _, raw := range input.Rules {
		rule := relabel.Config{}
		if err := yaml.Unmarshal(raw, &rule); err != nil {
			panic(err)
		}
		rule.NameValidationScheme = model.UTF8Validation
		rules = append(rules, &rule)
	}
	targets := make([]labels.Labels, count)
	for i := range targets {
		fill := strings.NewReplacer("{j}", strconv.Itoa(i/250), "{k}", strconv.Itoa(i%250), "{s}", strconv.Itoa(i%1000))
		set := map[string]string{}
		for name, value := range input.Labels {
			set[name] = fill.Replace(value)
		}
		targets[i] = labels.FromMap(set)
	}
	before := cpu()
	kept := 0
	builder := labels.NewBuilder(labels.EmptyLabels())
	results := make([]labels.Labels, 0, count)
	for _, target := range targets {
		builder.Reset(target)
		if relabel.ProcessBuilder(builder, rules...) {
			kept++
			results = append(results, builder.Labels())
		}
	}
	fmt.Printf("%.6f %d\n", cpu()-before, kept)
}
