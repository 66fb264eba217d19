// Records what Prometheus makes of relabeling rules and of targets. See README.md.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/scrape"
	"go.yaml.in/yaml/v2"
)

// A rule as it is written: keys to values, null included.
type rule map[string]any

type set map[string]string

// What is recorded of a list of rules, and of one label set that they are applied to.
type answer struct {
	Legacy bool   `json:"legacy,omitempty"`
	Rules  []rule `json:"rules"`
	Labels set    `json:"labels,omitempty"`
	// The first rule that is refused, and why.
	Error string `json:"error,omitempty"`
	// The rules in Prometheus' API.
	Shown []any `json:"shown,omitempty"`
	// Whether each rule has a regex when it is written to a file.
	Regex []bool `json:"regex,omitempty"`
	// How many rules passed before the target was dropped.
	Dropped *int `json:"dropped,omitempty"`
	Output  set  `json:"output,omitempty"`
}

// What is recorded of a target.
type target struct {
	Job        set                 `json:"job,omitempty"`
	Params     map[string][]string `json:"params,omitempty"`
	Rules      []rule              `json:"rules,omitempty"`
	Target     set                 `json:"target"`
	Group      set                 `json:"group,omitempty"`
	Discovered set                 `json:"discovered"`
	Error      string              `json:"error,omitempty"`
	Labels     set                 `json:"labels,omitempty"`
	Public     set                 `json:"public,omitempty"`
	URL        string              `json:"url,omitempty"`
}

func scheme(legacy bool) model.ValidationScheme {
	if legacy {
		return model.LegacyValidation
	}
	return model.UTF8Validation
}

// compile reads rules as Prometheus reads them from a file. JSON is YAML.
func compile(rules []rule, legacy bool) ([]*relabel.Config, error) {
	var compiled []*relabel.Config
	for _, r := range rules {
		text, err := json.Marshal(r)
		must(err)
		c := &relabel.Config{}
		if err := yaml.UnmarshalStrict(text, c); err != nil {
			return nil, err
		}
		if err := c.Validate(scheme(legacy)); err != nil {
			return nil, err
		}
		compiled = append(compiled, c)
	}
	return compiled, nil
}

func process(rules []rule, in set, legacy bool) answer {
	a := answer{Legacy: legacy, Rules: rules, Labels: in}
	compiled, err := compile(rules, legacy)
	if err != nil {
		a.Error = err.Error()
		return a
	}
	lb := labels.NewBuilder(labels.FromMap(in))
	for i, c := range compiled {
		text, err := json.Marshal(c)
		must(err)
		var shown any
		must(json.Unmarshal(text, &shown))
		a.Shown = append(a.Shown, shown)
		text, err = yaml.Marshal(c)
		must(err)
		a.Regex = append(a.Regex, strings.Contains("\n"+string(text), "\nregex:"))
		if a.Dropped == nil && !relabel.ProcessBuilder(lb, c) {
			a.Dropped = &i
		}
	}
	if a.Dropped == nil {
		a.Output = lb.Labels().Map()
	}
	return a
}

func populate(t target) target {
	compiled, err := compile(t.Rules, false)
	must(err)
	duration := func(key string, otherwise time.Duration) model.Duration {
		if t.Job[key] == "" {
			return model.Duration(otherwise)
		}
		d, err := model.ParseDuration(t.Job[key])
		must(err)
		return d
	}
	text := func(key, otherwise string) string {
		if value, ok := t.Job[key]; ok {
			return value
		}
		return otherwise
	}
	flag := func(key string) *bool {
		value := t.Job[key] == "true"
		return &value
	}
	cfg := &config.ScrapeConfig{
		JobName:                        text("job_name", "job"),
		ScrapeInterval:                 duration("scrape_interval", time.Minute),
		ScrapeTimeout:                  duration("scrape_timeout", 10*time.Second),
		MetricsPath:                    text("metrics_path", "/metrics"),
		Scheme:                         text("scheme", "http"),
		Params:                         t.Params,
		ConvertClassicHistogramsToNHCB: flag("convert_classic_histograms_to_nhcb"),
		AlwaysScrapeClassicHistograms:  flag("always_scrape_classic_histograms"),
		ScrapeNativeHistograms:         flag("scrape_native_histograms"),
		RelabelConfigs:                 compiled,
	}
	names := func(s set) model.LabelSet {
		out := model.LabelSet{}
		for name, value := range s {
			out[model.LabelName(name)] = model.LabelValue(value)
		}
		return out
	}
	lb := labels.NewBuilder(labels.EmptyLabels())
	scrape.PopulateDiscoveredLabels(lb, cfg, names(t.Target), names(t.Group))
	t.Discovered = lb.Labels().Map()
	lset, err := scrape.PopulateLabels(lb, cfg, names(t.Target), names(t.Group))
	if err != nil {
		t.Error = err.Error()
	} else if !lset.IsEmpty() {
		made := scrape.NewTarget(lset, cfg, nil, nil)
		t.Labels = lset.Map()
		t.Public = made.Labels(lb).Map()
		t.URL = made.URL().String()
	}
	return t
}

// The pools of which random rules and labels are made. Few words, so that they meet.
var (
	names     = []string{"a", "b", "c", "job", "__address__", "__meta_x_a", "__meta_x_b", "é", "a b", "a-b", "__tmp_a"}
	values    = []string{"", "a", "b", "ab", "A", "host:80", "host", "1", "é", "a;b", "a\nb", "$1", "ß", "80"}
	regexes   = []string{"", "a", "(.*)", ".*", ".+", "(.+)", "a|b", "([^:]+)(?::\\d+)?", "(.*);(.*)", "(a)|(b)", "__meta_x_(.+)", "__.*", "[ab]", "(?i)a", "(?P<n>.).*", "a|b)|(?:c", "(a*)(b*)", "\\w+", "é.*", "(.)"}
	templates = []string{"", "$1", "${1}", "$0", "a", "x_$1", "$1:9100", "${1}_$2", "$n", "$$", "$", "b", "é", "a b", "$2$1", "c-$1"}
	actions   = []string{"replace", "replace", "replace", "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"}
)

func pick[T any](random *rand.Rand, from []T) T { return from[random.Intn(len(from))] }

func randomRule(random *rand.Rand) rule {
	r := rule{"action": pick(random, actions)}
	often, seldom := random.Intn(8) > 0, random.Intn(12) == 0
	uses := func(actions string) bool { return strings.Contains(actions, r["action"].(string)) == often || seldom }
	if uses("replace keep drop keepequal dropequal hashmod lowercase uppercase") {
		var from []string
		for range random.Intn(4) {
			from = append(from, pick(random, names))
		}
		r["source_labels"] = from
	}
	if uses("replace keep drop labelmap labeldrop labelkeep") && random.Intn(5) > 0 {
		r["regex"] = pick(random, regexes)
	}
	if uses("replace keepequal dropequal hashmod lowercase uppercase") {
		r["target_label"] = pick(random, append(names, templates...))
	}
	if uses("replace labelmap") && random.Intn(3) > 0 {
		r["replacement"] = pick(random, templates)
	}
	if uses("hashmod") {
		r["modulus"] = pick(random, []int{0, 1, 2, 7, 1000})
	}
	if random.Intn(15) == 0 {
		r["separator"] = pick(random, []string{"", ";", ",", "é"})
	}
	return r
}

func randomSet(random *rand.Rand) set {
	s := set{}
	for range random.Intn(7) {
		s[pick(random, names)] = pick(random, values[1:])
	}
	return s
}

// oneToOne tells whether no `labelmap` writes one name twice, which upstream leaves to chance.
func oneToOne(a answer) bool {
	for _, r := range a.Rules {
		if r["action"] == "labelmap" {
			return len(a.Rules) == 1
		}
	}
	return true
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, c := range ruleCases {
		a := process(c.rules, c.labels, c.legacy)
		must(out.Encode(a))
	}
	random := rand.New(rand.NewSource(1))
	for worked := 0; worked < 700; {
		var rules []rule
		for range 1 + random.Intn(3) {
			rules = append(rules, randomRule(random))
		}
		a := process(rules, randomSet(random), random.Intn(5) == 0)
		if a.Error == "" && oneToOne(a) {
			worked++
			must(out.Encode(a))
		} else if a.Error != "" && random.Intn(4) == 0 {
			must(out.Encode(a))
		}
	}
	for _, t := range targetCases {
		must(out.Encode(populate(t)))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
