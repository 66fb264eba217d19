// Records which requests Go's httpproxy sends around a proxy; README.md says what for.
package main

import (
	"encoding/json"
	"math/rand"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Every list is tried on these.
var urls = []string{
	"http://localhost/", "https://localhost:8443/", "http://LOCALHOST/", "http://localhost./",
	"http://a.localhost/", "http://127.0.0.1:9090/", "http://127.8.9.10/", "http://[::1]:9090/",
	"http://[::ffff:127.0.0.1]/", "http://[::ffff:10.1.2.3]/", "http://10.1.2.3/",
	"https://10.1.2.3/", "http://10.1.2.3:443/", "http://10.200.0.1:8080/", "http://192.168.1.1/",
	"http://192.168.1.128/", "http://0.0.0.0/", "http://255.255.255.255/", "http://[fe80::1]/",
	"http://[2001:db8::1]/", "https://[2001:db8::1]/", "https://[2001:db8:ffff::1]:8443/",
	"http://[::]/", "http://example.com/", "https://example.com/", "http://example.com:8080/",
	"http://EXAMPLE.com/", "http://www.example.com/", "https://a.b.example.com:443/",
	"http://badexample.com/", "http://example.com./", "http://example.org/", "http://com/",
	"http://x/", "http://manager-1:2375/", "https://manager-1:2376/", "http://1.2.3.4.5/",
	"http://10.1.2.3.example.com/", "http://under_score.example.com/", "http://*.example.com/",
	"http://xn--bcher-kva.example/", "http://10.1.2/", "http://1/", "http://-/", "http://a..b/",
}

// What lists are made of at random.
var pieces = []string{
	"", "*", "*.", ".", "*.example.com", "*example.com", "example.com", ".example.com", "Example.COM",
	"www.example.com", "com", ".com", "org", "x", "manager-1", "localhost", "a.b", "..b", "-",
	"10.1.2.3", "10.0.0.0/8", "10.1.2.3/32", "10.1.2.3/0", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/-1",
	"10.1.2.3/+8", "10.1.2.3/08", "010.1.2.3", "10.1.2", "10.1.2/24", "192.168.1.0/25", "0.0.0.0/0",
	"127.0.0.1", "::1", "[::1]", "2001:db8::/32", "2001:db8::1", "[2001:db8::1]", "2001:DB8::1",
	"::/0", "::ffff:10.1.2.3", "::ffff:10.0.0.0/104", "::ffff:10.1.2.3/128", "::ffff:0:0/90",
	"::ffff:0:0/96", "fe80::1", "fe80::1%eth0", "fe80::/10", "2001:db8::/129", "under_score.example.com",
	"10.1.2.3.example.com", "[", "]", "[]", "[x", "x]", "[x]", "a:b", "http://example.com",
	"example.com/", "example.com.", "xn--bcher-kva.example", "1", "#", "255.255.255.255",
}

var ports = []string{"", "", "", "", ":", ":80", ":443", ":8080", ":0", ":65536", ":http", ":80:80"}

var blanks = []string{"", "", "", " ", "\t", "  "}

type line struct {
	NoProxy string `json:"no_proxy"`
	Direct  []int  `json:"direct"`
}

func record(out *json.Encoder, noProxy string) {
	config := httpproxy.Config{HTTPProxy: "http://proxy:3128", HTTPSProxy: "http://proxy:3128", NoProxy: noProxy}
	proxy := config.ProxyFunc()
	direct := []int{}
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		if to, err := proxy(u); err != nil {
			panic(err)
		} else if to == nil {
			direct = append(direct, i)
		}
	}
	if err := out.Encode(line{noProxy, direct}); err != nil {
		panic(err)
	}
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode(urls); err != nil {
		panic(err)
	}
	for _, piece := range pieces {
		for _, port := range []string{"", ":80", ":443"} {
			record(out, piece+port)
		}
	}
	random := rand.New(rand.NewSource(1))
	pick := func(from []string) string { return from[random.Intn(len(from))] }
	for range 300 {
		var items []string
		for range 1 + random.Intn(4) {
			items = append(items, pick(blanks)+pick(pieces)+pick(ports)+pick(blanks))
		}
		record(out, strings.Join(items, ","))
	}
}
