// Records what Prometheus makes of YAML. See README.md.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns"
	_ "github.com/prometheus/prometheus/discovery/file"
	_ "github.com/prometheus/prometheus/discovery/http"
	_ "github.com/prometheus/prometheus/discovery/moby"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"go.yaml.in/yaml/v2"
)

// What is recorded of a text.
type answer struct {
	// A configuration file, or a file of file_sd_configs.
	Config *string `json:"config,omitempty"`
	List   *string `json:"list,omitempty"`
	// Why it is refused, and the lines that the error names.
	Error string `json:"error,omitempty"`
	Lines []int  `json:"lines,omitempty"`
	// The file as Prometheus shows it, without what is there by default.
	Shown any `json:"shown,omitempty"`
	// The groups of a list.
	Groups []group `json:"groups,omitempty"`
}

type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// Errors of the grammar name the line before the one that they mean.
var grammar = regexp.MustCompile(`line (\d+): (did not find expected|found duplicate %|found incompatible|found undefined)`)

// Errors of the scanner have these words too.
var scanner = regexp.MustCompile(`did not find expected (alphabetic|comment|hexdecimal|digit|version|whitespace|tag|'!')`)

var line = regexp.MustCompile(`line (\d+): `)

func (a *answer) refused(err error) {
	a.Error = err.Error()
	offset := 0
	if grammar.MatchString(a.Error) && !scanner.MatchString(a.Error) {
		offset = 1
	}
	for _, found := range line.FindAllStringSubmatch(a.Error, -1) {
		number, err := strconv.Atoi(found[1])
		must(err)
		a.Lines = append(a.Lines, number+offset)
	}
	// The rest is for people.
	a.Error = strings.ToValidUTF8(a.Error[:min(len(a.Error), 160)], "")
}

func load(text string) (a answer) {
	a.Config = &text
	defer func() {
		if problem := recover(); problem != nil {
			a.refused(fmt.Errorf("panic: %v", problem))
		}
	}()
	cfg, err := config.Load(text, promslog.NewNopLogger())
	if err == nil {
		_, err = cfg.GetScrapeConfigs()
	}
	if err != nil {
		a.refused(err)
		return a
	}
	shown, err := yaml.Marshal(cfg)
	must(err)
	var tree any
	if err := yaml.Unmarshal(shown, &tree); err != nil {
		// What Prometheus writes it cannot always read: a label that is called "<<".
		a.Shown = "unreadable"
		return a
	}
	a.Shown = plain(tree)
	return a
}

func list(text string) (a answer) {
	a.List = &text
	var groups []*targetgroup.Group
	if err := yaml.UnmarshalStrict([]byte(text), &groups); err != nil {
		a.refused(err)
		return a
	}
	for _, g := range groups {
		if g == nil {
			a.Error = "nil target group item found"
			return a
		}
		made := group{Targets: []string{}, Labels: map[string]string{}}
		for _, target := range g.Targets {
			made.Targets = append(made.Targets, string(target["__address__"]))
		}
		for name, value := range g.Labels {
			made.Labels[string(name)] = string(value)
		}
		a.Groups = append(a.Groups, made)
	}
	return a
}

// plain makes JSON of a tree. What JSON has no number for is a string.
func plain(tree any) any {
	switch tree := tree.(type) {
	case map[any]any:
		out := map[string]any{}
		for key, value := range tree {
			out[fmt.Sprint(key)] = plain(value)
		}
		return out
	case []any:
		out := []any{}
		for _, value := range tree {
			out = append(out, plain(value))
		}
		return out
	case float64:
		if math.IsInf(tree, 0) || math.IsNaN(tree) {
			return fmt.Sprint(tree)
		}
		return tree
	}
	return tree
}

// without takes away what is there by default. What is missing is null.
func without(tree, defaults map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range tree {
		if !reflect.DeepEqual(value, defaults[key]) {
			out[key] = value
		}
	}
	for key := range defaults {
		if _, ok := tree[key]; !ok {
			out[key] = nil
		}
	}
	return out
}

func (a *answer) prune(defaults map[string]any) {
	tree, ok := a.Shown.(map[string]any)
	if !ok {
		return
	}
	out := without(tree, defaults)
	if global, ok := out["global"].(map[string]any); ok {
		out["global"] = without(global, defaults["global"].(map[string]any))
	}
	if jobs, ok := out["scrape_configs"].([]any); ok {
		job := defaults["scrape_configs"].([]any)[0].(map[string]any)
		for i := range jobs {
			jobs[i] = without(jobs[i].(map[string]any), job)
		}
	}
	a.Shown = out
}

// mutated is a text with a few edits.
func mutated(random *rand.Rand, text string) string {
	for range 1 + random.Intn(2) {
		at := random.Intn(len(text) + 1)
		switch random.Intn(4) {
		case 0:
			if at < len(text) {
				text = text[:at] + text[at+1:]
			}
		case 1:
			end := min(len(text), at+1+random.Intn(6))
			text = text[:end] + text[at:]
		default:
			text = text[:at] + fragments[random.Intn(len(fragments))] + text[at:]
		}
	}
	return strings.ToValidUTF8(text, "?")
}

func main() {
	// `$` in external labels is looked up in the environment.
	os.Clearenv()
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	first := load("scrape_configs:\n- job_name: a\n")
	must(out.Encode(first))
	defaults := first.Shown.(map[string]any)
	seen := map[string]bool{}
	record := func(text string, read func(string) answer) {
		if seen[text] {
			return
		}
		seen[text] = true
		a := read(text)
		a.prune(defaults)
		must(out.Encode(a))
	}
	random := rand.New(rand.NewSource(1))
	for _, place := range places {
		for _, value := range append(scalars, place.more...) {
			record(strings.ReplaceAll(place.text, "$", value), load)
		}
	}
	for _, text := range documents {
		record(text, load)
	}
	for range 600 {
		record(mutated(random, documents[random.Intn(len(documents))]), load)
	}
	for _, text := range lists {
		record(text, list)
	}
	for range 300 {
		record(mutated(random, lists[random.Intn(len(lists))]), list)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
