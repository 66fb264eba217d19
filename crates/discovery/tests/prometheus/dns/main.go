// Writes what Prometheus' own DNS discovery makes of answers: see ../README.md.
//
// It reads /etc/resolv.conf and asks at port 53, and nothing can change that: so this program wants
// mount and network namespaces of its own, where both are its.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery"
	promdns "github.com/prometheus/prometheus/discovery/dns"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

// entry is one line of the table.
type entry struct {
	What       string   `json:"what"`
	ResolvConf string   `json:"resolv_conf"`
	Names      []string `json:"names"`
	Type       string   `json:"type"`
	// Recorded says which line of answers.jsonl the only server answers with.
	Recorded string `json:"recorded,omitempty"`
	// Answers are all others.
	Answers []answer `json:"answers,omitempty"`
	// Asked holds server, protocol and name of each question, in order; sorted where there are
	// several names, which are looked up at the same time.
	Asked []string `json:"asked"`
	// Groups holds the targets of each name. One that failed is not in it.
	Groups map[string][]map[string]string `json:"groups"`
}

// answer is what a server says of a name, without the ID, in hex. Empty: nothing.
type answer struct {
	Server string `json:"server"`
	Name   string `json:"name"`
	UDP    string `json:"udp"`
	TCP    string `json:"tcp"`
}

const port = 8080

var servers = []string{"127.0.0.1", "127.0.0.2"}

// current is the entry that is being answered.
var current struct {
	sync.Mutex
	*entry
}

func main() {
	for _, ip := range servers {
		serve(ip)
	}
	resolvConf := filepath.Join(os.TempDir(), "resolv.conf")
	check(os.WriteFile(resolvConf, nil, 0o644))
	check(syscall.Mount(resolvConf, "/etc/resolv.conf", "", syscall.MS_BIND, ""))
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, e := range append(recorded(os.Args[1]), cases()...) {
		// Prometheus reads it anew for each name.
		check(os.WriteFile(resolvConf, []byte(e.ResolvConf), 0o644))
		run(&e)
		if e.Recorded != "" {
			e.Answers = nil
		}
		check(out.Encode(e))
	}
}

// recorded makes an entry of each recorded answer.
func recorded(path string) []entry {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	var entries []entry
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			answer
			Type string `json:"type"`
		}
		check(json.Unmarshal(lines.Bytes(), &line))
		what := fmt.Sprintf("%s %s %s", line.Server, line.Name, line.Type)
		if line.UDP == "" {
			continue
		}
		line.Server = servers[0]
		entries = append(entries, entry{
			What: what, Recorded: what, ResolvConf: "nameserver 127.0.0.1\n",
			Names: []string{line.Name}, Type: line.Type, Answers: []answer{line.answer},
		})
	}
	check(lines.Err())
	return entries
}

func run(e *entry) {
	e.Asked, e.Groups = []string{}, map[string][]map[string]string{}
	current.Lock()
	current.entry = e
	current.Unlock()
	config := promdns.SDConfig{Names: e.Names, Type: e.Type, Port: port, RefreshInterval: promdns.DefaultSDConfig.RefreshInterval}
	registry := prometheus.NewRegistry()
	metrics := config.NewDiscovererMetrics(registry, discovery.NewRefreshMetrics(registry))
	discoverer, err := config.NewDiscoverer(discovery.DiscovererOptions{
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics, SetName: "record",
	})
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	found := make(chan []*targetgroup.Group)
	go discoverer.Run(ctx, found)
	for _, group := range <-found {
		targets := []map[string]string{}
		for _, target := range group.Targets {
			labels := map[string]string{}
			for name, value := range group.Labels.Merge(target) {
				// Prometheus drops empty labels where it reads the group.
				if value != "" {
					labels[string(name)] = string(value)
				}
			}
			targets = append(targets, labels)
		}
		sort.Slice(targets, func(a, b int) bool { return text(targets[a]) < text(targets[b]) })
		e.Groups[group.Source] = targets
	}
	current.Lock()
	current.entry = nil
	current.Unlock()
	if len(e.Names) > 1 {
		sort.Strings(e.Asked)
	}
}

func text(labels map[string]string) string {
	bytes, err := json.Marshal(labels)
	check(err)
	return string(bytes)
}

// serve answers at port 53 of an address, for as long as the program runs.
func serve(ip string) {
	udp, err := net.ListenPacket("udp", ip+":53")
	check(err)
	tcp, err := net.Listen("tcp", ip+":53")
	check(err)
	go func() {
		question := make([]byte, 4096)
		for {
			length, client, err := udp.ReadFrom(question)
			check(err)
			if answer := reply(ip, "udp", question[:length]); answer != nil {
				_, err = udp.WriteTo(answer, client)
				check(err)
			}
		}
	}()
	go func() {
		for {
			connection, err := tcp.Accept()
			check(err)
			var length uint16
			check(binary.Read(connection, binary.BigEndian, &length))
			question := make([]byte, length)
			_, err = io.ReadFull(connection, question)
			check(err)
			if answer := reply(ip, "tcp", question); answer != nil {
				frame := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
				_, err = connection.Write(append(frame, answer...))
				check(err)
			}
			connection.Close()
		}
	}()
}

func reply(ip, protocol string, question []byte) []byte {
	var message dns.Msg
	check(message.Unpack(question))
	name := message.Question[0].Name
	current.Lock()
	defer current.Unlock()
	if current.entry == nil {
		return nil
	}
	current.Asked = append(current.Asked, fmt.Sprintf("%s %s %s", ip, protocol, name))
	for _, answer := range current.Answers {
		if answer.Server == ip && answer.Name == name {
			bytes := answer.UDP
			if protocol == "tcp" {
				bytes = answer.TCP
			}
			if bytes == "" {
				return nil
			}
			rest, err := hex.DecodeString(bytes)
			check(err)
			return append(question[:2:2], rest...)
		}
	}
	return nil
}

// says makes the answer of a server to a question for addresses, from a code and records as in a
// zone file.
func says(server, name string, code int, records ...string) answer {
	message := reading(name, code, records...)
	return answer{server, name, packed(message), packed(message)}
}

func reading(name string, code int, records ...string) *dns.Msg {
	message := new(dns.Msg)
	message.SetQuestion(name, dns.TypeA)
	message.Response, message.RecursionAvailable, message.Rcode = true, true, code
	for _, record := range records {
		rr, err := dns.NewRR(record)
		check(err)
		message.Answer = append(message.Answer, rr)
	}
	return message
}

func packed(message *dns.Msg) string {
	bytes, err := message.Pack()
	check(err)
	return hex.EncodeToString(bytes[2:])
}

// edited changes the bytes of a message, ID included.
func edited(message *dns.Msg, edit func([]byte) []byte) string {
	bytes, err := message.Pack()
	check(err)
	return hex.EncodeToString(edit(bytes)[2:])
}

const (
	one  = "nameserver 127.0.0.1\n"
	both = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n"
	a, b = "127.0.0.1", "127.0.0.2"
)

func cases() []entry {
	const ok, no, fail, refused = dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused
	web := func(server string) answer { return says(server, "web.", ok, "web. 5 A 10.0.0.1") }
	search := one + "search one.example two.example\n"
	root := reading(".", ok, ". 5 NS A.ROOT-SERVERS.NET.")
	root.Question[0].Qtype = dns.TypeNS
	entries := []entry{
		// Which names are asked for.
		{What: "an end of the list that knows the name", ResolvConf: search, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", no), says(a, "web.two.example.", ok, "web.two.example. 5 A 10.0.0.2"), web(a)}},
		{What: "no record at an end ends the search", ResolvConf: search, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", ok), says(a, "web.two.example.", ok, "web.two.example. 5 A 10.0.0.2"), web(a)}},
		{What: "no end knows the name", ResolvConf: search, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", no), says(a, "web.two.example.", no), says(a, "web.", no)}},
		{What: "a failure among ends that do not know the name", ResolvConf: search, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", no), says(a, "web.two.example.", fail), says(a, "web.", no)}},
		{What: "a failure before an end that knows the name", ResolvConf: search, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", refused), says(a, "web.two.example.", ok, "web.two.example. 5 A 10.0.0.2")}},
		{What: "a name with dots is tried as it is first", ResolvConf: search, Names: []string{"tasks.web"}, Answers: []answer{
			says(a, "tasks.web.", no), says(a, "tasks.web.one.example.", no), says(a, "tasks.web.two.example.", no)}},
		{What: "a complete name is not completed", ResolvConf: search, Names: []string{"web."}, Answers: []answer{says(a, "web.", no)}},
		{What: "ndots:0", ResolvConf: search + "options ndots:0\n", Names: []string{"web"}, Answers: []answer{
			says(a, "web.", no), says(a, "web.one.example.", no), says(a, "web.two.example.", no)}},
		{What: "ndots:2", ResolvConf: search + "options ndots:2\n", Names: []string{"tasks.web", "x.tasks.web"}, Answers: []answer{
			says(a, "tasks.web.", no), says(a, "tasks.web.one.example.", no), says(a, "tasks.web.two.example.", ok),
			says(a, "x.tasks.web.", ok)}},
		{What: "ndots:99", ResolvConf: "search one.example\noptions ndots:99 rotate\n" + one, Names: []string{"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16"}, Answers: []answer{
			says(a, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.one.example.", ok), says(a, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.", ok)}},
		{What: "domain", ResolvConf: "domain one.example\n" + one, Names: []string{"web"}, Answers: []answer{says(a, "web.one.example.", ok, "web.one.example. 5 A 10.0.0.1")}},
		{What: "the last of search and domain counts", ResolvConf: "search x.example\ndomain y.example z.example\n" + one, Names: []string{"web"}, Answers: []answer{
			says(a, "web.y.example.", no), web(a)}},
		{What: "search without ends", ResolvConf: "search x.example\nsearch\n" + one, Names: []string{"web"}, Answers: []answer{web(a)}},
		{What: "an end with its final dot", ResolvConf: "search one.example.\n" + one, Names: []string{"web"}, Answers: []answer{
			says(a, "web.one.example.", ok, "web.one.example. 5 A 10.0.0.1")}},
		{What: "odd lines", ResolvConf: "# nameserver 127.0.0.2\n; search x\n\n\tnameserver\t127.0.0.1\r\nnameserver\nsortlist 1.2.3.4\nNAMESERVER 127.0.0.2\noptions ndots:x\n", Names: []string{"web"}, Answers: []answer{web(a)}},
		{What: "search .", ResolvConf: "search .\n" + one, Names: []string{"web"}, Answers: []answer{says(a, "web.", no)}},
		{What: "escapes in a name", ResolvConf: search, Names: []string{`x\.y`}, Answers: []answer{
			says(a, `x\.y.one.example.`, ok, `x\.y.one.example. 5 A 10.0.0.1`)}},
		{What: "names that are none", ResolvConf: search, Names: []string{"a..b", strings.Repeat("x", 64), ".a", "web."}, Answers: []answer{web(a)}},
		{What: "a name twice", ResolvConf: one, Names: []string{"web.", "web."}, Answers: []answer{web(a)}},
		{What: "the root", ResolvConf: one, Names: []string{"."}, Type: "NS", Answers: []answer{{a, ".", packed(root), packed(root)}}},

		// Which servers are asked.
		{What: "NXDOMAIN of the first counts", ResolvConf: both, Names: []string{"web."}, Answers: []answer{says(a, "web.", no), web(b)}},
		{What: "no record at the first counts", ResolvConf: both, Names: []string{"web."}, Answers: []answer{says(a, "web.", ok), web(b)}},
		{What: "the first is silent", ResolvConf: both, Names: []string{"web."}, Answers: []answer{web(b)}},
		{What: "all are silent", ResolvConf: both, Names: []string{"web."}},
		{What: "one name fails and another does not", ResolvConf: one, Names: []string{"web.", "api."}, Answers: []answer{web(a), says(a, "api.", fail)}},
		{What: "nobody listens at the first", ResolvConf: "nameserver 127.0.0.9\nnameserver 127.0.0.2\n", Names: []string{"web."}, Answers: []answer{web(b)}},
		{What: "no server is named", ResolvConf: "", Names: []string{"web."}, Answers: []answer{web(a)}},
	}
	for _, code := range []int{dns.RcodeFormatError, fail, dns.RcodeNotImplemented, refused, dns.RcodeYXDomain, dns.RcodeNotAuth} {
		entries = append(entries, entry{What: dns.RcodeToString[code] + " of the first", ResolvConf: both, Names: []string{"web."},
			Answers: []answer{says(a, "web.", code), web(b)}})
	}

	// What is made of messages.
	badVersion := reading("web.", ok)
	badVersion.SetEdns0(1232, false)
	badVersion.IsEdns0().SetVersion(0)
	badVersion.Rcode = dns.RcodeBadVers
	cut := reading("web.", ok, "web. 5 A 10.0.0.1")
	cut.Truncated = true
	whole := reading("web.", ok, "web. 5 A 10.0.0.1", "web. 5 A 10.0.0.2")
	withAuthority := reading("web.", ok, "web. 5 A 10.0.0.1")
	withAuthority.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "web.", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.web."}}
	message := func(what, udp, tcp string) entry {
		return entry{What: what, ResolvConf: both, Names: []string{"web."}, Answers: []answer{{a, "web.", udp, tcp}, says(b, "web.", no)}}
	}
	same := func(what, bytes string) entry { return message(what, bytes, bytes) }
	entries = append(entries,
		same("BADVERS", packed(badVersion)),
		message("truncated, whole over TCP", packed(cut), packed(whole)),
		message("truncated, NXDOMAIN over TCP", packed(cut), packed(reading("web.", no))),
		message("truncated, SERVFAIL over TCP", packed(cut), packed(reading("web.", fail))),
		message("truncated, nothing over TCP", packed(cut), ""),
		message("truncated, over TCP too", packed(cut), packed(cut)),
		message("truncated without records, whole over TCP", edited(cut, func(m []byte) []byte { m[7] = 0; return m[:21] }), packed(whole)),
		same("a header alone", edited(whole, func(m []byte) []byte { return m[:12] })),
		same("REFUSED in a header alone", edited(reading("web.", refused), func(m []byte) []byte { m[5] = 0; return m[:12] })),
		same("less than a header", edited(whole, func(m []byte) []byte { return m[:11] })),
		same("fewer records than announced", edited(whole, func(m []byte) []byte { m[7] = 3; return m })),
		same("more than announced", edited(whole, func(m []byte) []byte { m[7] = 1; return m })),
		same("bytes behind the message", edited(whole, func(m []byte) []byte { return append(m, "more"...) })),
		same("half a record", edited(whole, func(m []byte) []byte { return m[:len(m)-6] })),
		same("half a record of authority", edited(withAuthority, func(m []byte) []byte { return m[:len(m)-3] })),
		same("an address of three bytes", edited(reading("web.", ok, "web. 5 A 10.0.0.1"), func(m []byte) []byte { m[len(m)-5] = 3; return m[:len(m)-1] })),
		same("a name that points to itself", edited(reading("web.", ok, "web. 5 A 10.0.0.1"), func(m []byte) []byte {
			return append(m[:21:21], append([]byte{0xc0, 21}, m[26:]...)...)
		})),
		same("another question", packed(reading("wob.", ok, "wob. 5 A 10.0.0.1"))),
		same("no answer but a question", edited(whole, func(m []byte) []byte { m[2] &= 0x7f; return m })),
		same("another class", packed(reading("web.", ok, "web. 5 CH A 10.0.0.1"))),
		same("another owner", packed(reading("web.", ok, "api. 5 A 10.0.0.1"))),
		same("an alias", packed(reading("web.", ok, "web. 5 CNAME web-1.", "web-1. 5 A 10.0.0.1"))),
		same("an alias of nothing", packed(reading("web.", ok, "web. 5 CNAME web-1."))),
		same("a record twice", packed(reading("web.", ok, "web. 5 A 10.0.0.1", "web. 5 A 10.0.0.1"))),
		same("records of all types", packed(reading("web.", ok,
			"web. 5 A 10.0.0.1", "web. 5 AAAA 2001:db8::1", "web. 5 SRV 1 2 9100 host.", "web. 5 MX 5 mail.", "web. 5 NS ns.",
			"web. 5 TXT x", "web. 5 DNAME x.", "web. 5 SOA ns. host. 1 2 3 4 5", `web. 5 TYPE65280 \# 1 00`))),
		same("names that people do not write", packed(reading("web.", ok,
			"web. 5 SRV 0 0 1 .", "web. 5 SRV 0 0 0 Node-1.Example.", `web. 5 NS a\.b.example.`, `web. 5 NS a\032b\000\255.`,
			`web. 5 NS \"\(\)\;\@\\.`, `web. 5 NS a\'b.`, `web. 5 NS a$b!c*d_e.`, "web. 5 NS a:b.", "web. 5 MX 0 .", `web. 5 MX 0 a\..`))),
		same("IPv6 addresses", packed(reading("web.", ok, addresses()...))),
	)
	for i := range entries {
		e := &entries[i]
		if e.Type == "" {
			e.Type = "A"
		}
	}
	return entries
}

func addresses() []string {
	var records []string
	for _, ip := range []string{
		"::", "::1", "1::", "fe80::1", "2001:db8::1:0:0:1", "2001:db8:0:0:1:0:0:1", "2001:db8:0:1:1:1:1:1", "1:0:1:0:1:0:1:0",
		"0:0:1::", "::1.2.3.4", "64:ff9b::1.2.3.4", "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
	} {
		records = append(records, "web. 5 AAAA "+ip)
	}
	// A zone file cannot say this one.
	return append(records, `web. 5 TYPE28 \# 16 00000000000000000000ffff01020304`)
}

func check(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("record: %w", err))
	}
}
