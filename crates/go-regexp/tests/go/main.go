// Records what Go's regexp answers. See README.md.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"strings"
)

// Every pattern is tried on these.
var texts = []string{
	"", "a", "b", "ab", "ba", "aa", "aab", "abab", "aaaa", "abc", "A", "aB", "AB", "c", "-", "_", "x",
	"a b", "a\nb", "\n", "a\n", "\na", "1", "12", "a1", "foo", "foobar", "FOO", "bar", "fo|o", "a,b",
	"10.0.0.1:9100", "host-1.example.com:80", "node_exporter", "{", "a{,5}", "a{,5", "]", "[a", "^", "&", "a&&b",
	".", "\\", "$", "(", ")", "|", "é", "É", "ß", "ſ", "s", "S", "k", "K", "\u212a", "λ", "Σ", "σ", "ς",
	"日本", "\u0660", "٣", "😀", "aé", "éa", "é b", "\t", "\v", "\f", "\r", "\u00a0", "\x00", "\x07",
	"Q", "<", "a<b", "İ", "ı", "i", "I", "Ⅷ", "ǅ", "ǆ", "Ǆ", "\u0345", "\u03b9", "\u0399", "\u1fbe",
}

var patterns = []string{
	// Plain, and the anchors that stand around them.
	``, `(.*)`, `.*`, `.+`, `(.+)`, `a`, `ab`, `foo`, `foo|bar`, `(foo|bar)`, `(?:foo|bar)`, `foo|`, `|foo`, `|`, `()`, `(|a)`,
	`foo.*`, `foo(.*)`, `foo(.+)`, `(foo)(.*)`, `(.*)bar`, `(foo.*)`, `foo.+bar`, `foo(.*?)bar`, `(f)oo(.*)ba(r)`, `(fo(o))(.*)`,
	`.`, `..`, `.?`, `.*.*`, `(.*)(.*)`, `(.*?)(.*)`, `(.+)(.+)`, `f|o`, `a|ab`, `ab|a`, `(a|ab)(c|bcd|)`, `(a+)(b+)`,
	`([^:]+)(?::\d+)?`, `([^:]+):(\d+)`, `(.+):(.+)`, `(.*):9100`, `(\d+)\.(\d+)\.(\d+)\.(\d+):(\d+)`, `([^.]+)\..*`,
	`^a`, `a$`, `^a$`, `^^a$$`, `\Aa\z`, `a\z`, `(^a)`, `(a$)`, `a^b`, `a$b`, `(?m)^a$`, `(?m)a$\nb`, `(?m:^b$)`, `a\n(?m)^b`, `(?m)a$.^b`, `(?-s)a.b`, `(?-s:.*)`, `(?s-s:.)`,
	// Broken out of the group that is put around the pattern.
	`a)|(?:b`, `a)|(b`, `a)(?:b`, `a)|b|(?:c`, `a)$|^(?:b`, `)(`, `a)*(?:b`, `(?i)a)|(?:B`, `a)|(?-s:.`,
	// Repetition.
	`a*`, `a+`, `a?`, `a*?`, `a+?`, `a??`, `a**`, `a*+`, `a*?*`, `a+*`, `a??*`, `a?+`, `a{2}{3}`, `a{2}*`, `a*{2}`, `a+?+`, `(a*)*`, `(a*)+`, `(a+)*`, `(a?)*`, `(a|b)*`, `(a*|b)*`, `(|a)*`, `(|a)+`, `(a|)*`, `(a|)+`,
	`(a*?)*`, `(a??)*`, `(?:a*)*?`, `(a)*?`, `((a)|(b))*`, `((a)|b)+`, `(?:(a)|b)*`, `(a){2}`, `(a){0}`, `(a){0}(b)`, `(b)(a){0}`, `(a){0,1}`, `(a|b){2,3}`, `(a){2,}`, `a{0}`, `a{0,0}b`, `a{0,}`, `a{1}`, `a{1,}`, `a{1,1}`,
	`a{`, `a{}`, `a{,5}`, `a{,5`, `a{1`, `a{1,`, `a{1,2`, `a{a}`, `a{ 1}`, `a{1, 2}`, `a{-1}`, `a{01}`, `a{1,02}`, `a{00}`, `a{2,1}`, `a{1000}`, `a{1001}`, `a{1,1001}`, `a{0,1000}`, `a{1000,}`, `a{1001,}`, `a{99999999999999999999}`, `a{100000000}`, `a{1,99999999999999999999}`,
	`(a{500}){2}`, `(a{500}){3}`, `(?:a{10}){100}`, `(?:a{10}){101}`, `((a{10}){10}){10}`, `((a{10}){10}){11}`, `(a{0}){1000}`, `(?:(?:a{1000}){0}){1000}`, `(?:a{1000}){1}`, `(?:a{1000})*`, `(?:(?:a{1000})*){2}`, `(?:a{1000}){0,1}`, `(a{1,1000}){1,2}`, `(?:a{0,1}){1000}`,
	`*`, `+`, `?`, `{1}`, `{`, `{a`, `}`, `a}`, `(*)`, `(+)`, `(?:*)`, `|*`, `a|*`, `(|*)`, `^*`, `$*`, `^+a`, `\b*`, `(?i)*`, `a(?i)*`, `a*(?i)*`, `(?:)*`, `()*`, `(?:^)*a`, `(?:$)?`, `\Q\E*`, `a\Q\E*`, `a\Qbc\E*`, `a\Qbc\E+?`,
	`a{2}?`, `a{1,3}?`, `(a{1,3}?)(a*)`, `(a{1,3})(a*)`, `(a??)(a*)`, `(?U)(a+)(a*)`, `(?U)(a+?)(a*)`, `(?U:a{1,2})a*`, `x{2}{3}`, `x{2}{3}?`,
	// Groups.
	`(`, `)`, `(a`, `a)`, `((a)`, `(a))`, `(?`, `(?:`, `(?:a`, `(?)`, `(?i`, `(?i:`, `(?i)a`, `(?i:a)b`, `a(?i)b`, `(a(?i)b)c`, `(?i:a|B)`, `(?i)a|b`, `a|(?i)b|c`, `(?:(?i)a)b`, `(?-i)a`, `(?i-i)a`, `(?i-)a`, `(?-)a`, `(?--i)a`, `(?i--s)a`, `(?-i-s)a`, `(?ii)a`, `(?ims)a`, `(?imsU)a`, `(?imsU-imsU:a)`, `(?x)a`, `(?u)a`, `(?R)`, `(?#a)`, `(?=a)`, `(?!a)`, `(?<=a)`, `(?<!a)`, `(?>a)`, `(?|a)`, `(?'n'a)`, `(?P=n)`, `(?P>n)`, `(?Pn)`, `(?P`, `(?P<`, `(?P<n`, `(?P<n>`, `(?P<n>a`, `(?P<n>a)`, `(?<n>a)`, `(?<n>a)(?<m>b)`, `(?<n>a)|(?<n>b)`, `(?P<n>a)(?<n>b)`, `(?<>a)`, `(?P<>a)`, `(?<1>a)`, `(?<n-m>a)`, `(?<é>a)`, `(?<n m>a)`, `(?<n`, `(?<`, `(?<a_1>b)`, `(?é)`, `(?i:é)`, `(?&n)`, `\1`, `(a)\1`, `\8`, `\9`,
	// Escapes.
	`\`, `a\`, `\a`, `\b`, `\c`, `\d`, `\e`, `\f`, `\g`, `\h`, `\n`, `\p`, `\q`, `\r`, `\s`, `\t`, `\v`, `\w`, `\x`, `\z`, `\A`, `\B`, `\C`, `\D`, `\E`, `\G`, `\K`, `\N`, `\P`, `\R`, `\S`, `\W`, `\X`, `\Z`, `\_`, `\-`, `\.`, `\\`, `\/`, `\<`, `\>`, `\ `, "\\\n", `\"`, `\é`, `\{`, `\}`, `\]`, `\[`, `\(`, `\)`, `\|`, `\^`, `\$`, `\*`, `\~`, `\&`, "\\`",
	`\0`, `\00`, `\000`, `\0000`, `\01`, `\07`, `\08`, `\7`, `\10`, `\12`, `\101`, `\141`, `\123`, `\377`, `\400`, `\777`, `\1010`, `\18`, `\81`,
	`\x4`, `\x41`, `\x4g`, `\xg`, `\xé1`, `\x41b`, `\x{41}`, `\x{}`, `\x{`, `\x{4`, `\x{g}`, `\x{4g}`, `\x{10FFFF}`, `\x{110000}`, `\x{00000000000041}`, `\x{E9}`, `\xE9`, `\xe9`, `\x{d800}`, `[\x{d800}]`, `[^\x{d800}]`, `[\x{d700}-\x{e000}]`, `[\x{d800}-\x{dfff}]`, `\x{FFFD}`, `\u0041`, `\x{1F600}`,
	`\Qa.b\E`, `\Qa.b`, `\Q\E`, `\Q`, `\Q\\E`, `\Q(\E`, `a\Q{\E{2}`, `\Q*\E*`, `[\Qa]\E]`, `\Qa\Eb`, `\E`, `\Qé\E`, `(?i)\Qa\E`,
	`\bfoo\b`, `\Bfoo`, `foo\B`, `a\b b`, `a\Bb`, `a\bb`, `\b`, `\B`, `é\b.*`, `a\bé`, `a\Bé`, `\b\B`, `\b{start}`, `\<a`,
	// Classes.
	`[a]`, `[ab]`, `[a-c]`, `[^a]`, `[^a-c]`, `[]`, `[]a]`, `[^]a]`, `[^]`, `[]`, `[`, `[a`, `[^`, `[a-`, `[a-]`, `[-a]`, `[a-b-c]`, `[a--]`, `[--a]`, `[+--]`, `[---]`, `[b-a]`, `[a-\d]`, `[\d-z]`, `[\d-]`, `[a\]]`, `[\]]`, `[\[]`, `[[]`, `[[a]`, `[[a]]`, `[a&&b]`, `[a&&a]`, `[a~~b]`, `[a--b]`, `[a||b]`, `[&]`, `[\-a]`, `[.]`, `[$^]`, `[\b]`, `[\A]`, `[\z]`, `[\Q]`, `[\C]`, `[\n]`, `[\x41-\x43]`, `[\101]`, `[\0]`, `[\1]`, `[\é]`, `[é]`, `[é-ü]`, `[ü-é]`, `[日本]+`, `[^\n]`, `[^\x00-\x{10FFFF}]`, `[\x00-\x{10FFFF}]`, `[\s\S]`, `[^\s\S]`, `[^\d\D]*`, `a[^\x00-\x{10FFFF}]|b`,
	`\d+`, `\D+`, `\s+`, `\S+`, `\w+`, `\W+`, `[\d]`, `[^\d]`, `[\w-]+`, `[^\w]`, `[\D]`, `[^\D]`, `[\s]`, `[\d\s]+`, `(?i)\w`, `(?i)\W`, `(?i)[\w]`, `(?i)[^\w]`, `(?i)\d`,
	`[[:alpha:]]`, `[[:^alpha:]]`, `[^[:alpha:]]`, `[[:alnum:]]+`, `[[:ascii:]]`, `[[:blank:]]`, `[[:cntrl:]]`, `[[:digit:]]`, `[[:graph:]]`, `[[:lower:]]`, `[[:print:]]`, `[[:punct:]]`, `[[:space:]]`, `[[:upper:]]`, `[[:word:]]`, `[[:xdigit:]]`, `[[:foo:]]`, `[[:ALPHA:]]`, `[[:^foo:]]`, `[[:alpha:]`, `[[:alpha]]`, `[[:]`, `[[:]]`, `[[::]]`, `[:alpha:]`, `[[:alpha:][:digit:]]+`, `[[:alpha:]-z]`, `[a-[:alpha:]]`, `(?i)[[:lower:]]`, `(?i)[[:^lower:]]`, `(?i)[[:upper:]]`, `[[:^ascii:]]`, `[^[:^ascii:]]`,
	`\pL`, `\PL`, `\pN`, `\p{L}`, `\p{Lu}`, `\p{lu}`, `\p{LU}`, `\P{Lu}`, `\p{^Lu}`, `\P{^Lu}`, `\p^L`, `\p{Greek}`, `\p{^Greek}`, `\P{Greek}`, `\p{greek}`, `\p{Han}+`, `\p{Latin}+`, `\p{Foo}`, `\p{}`, `\p{`, `\p{L`, `\pé`, `\p{é}`, `\p`, `\P`, `\p{Any}`, `\p{any}`, `\P{Any}`, `\p{ASCII}`, `\p{Assigned}`, `\P{Assigned}`, `\p{LC}`, `\p{lc}`, `\p{Cn}`, `\p{Cs}`, `\P{Cs}`, `\p{C}`, `\pC`, `\pZ`, `\pM`, `\pS`, `\pP`, `\p{Letter}`, `\p{Uppercase_Letter}`, `\p{uppercase letter}`, `\p{Uppercase-Letter}`, `\p{ l u }`, `\p{L&}`, `\p{Alphabetic}`, `\p{Old_Italic}`, `\p{Phags_Pa}`, `\p{Nko}`, `\p{SignWriting}`, `\p{Script=Latin}`, `\p{gc=Lu}`, `\p{Latn}`, `\p{IsLatin}`, `\p{digit}`, `\p{punct}`, `\p{cntrl}`, `\p{Other}`, `\p{Surrogate}`, `\p{Private_Use}`, `\p{Common}`, `\p{Inherited}`, `\pX`, `\p1`, `\p-`, `[\pL]`, `[\PL]`, `[^\pL]`, `[^\PL]`, `[\pLa]`, `[\p{Lu}\d]+`, `[\p{Foo}]`, `[a-\pL]`, `(?i)\p{Lu}`, `(?i)\P{Lu}`, `(?i)[\p{Lu}]`, `(?i)[^\p{Lu}]`, `(?i)\p{Ll}`, `(?i)\p{Lt}`, `(?i)\p{Greek}`, `(?i)\p{Mn}`, `(?i)\p{ASCII}`, `(?i)\p{Nl}`, `(?i)\P{Any}`, `(?i)\p{Cs}`,
	// Case.
	`(?i)k`, `(?i)K`, "(?i)\u212a", `(?i)s`, `(?i)ſ`, `(?i)ß`, `(?i)é`, `(?i)σ`, `(?i)ς`, `(?i)i`, `(?i)İ`, `(?i)ı`, `(?i)ǆ`, `(?i)ǅ`, `(?i)[a-z]`, `(?i)[^k]`, `(?i)[^a-z]`, `(?i)[j-l]`, `(?i)[К-М]`, `(?i)foo`, `(?i)fOo(.*)`, `(?i)[é]`, `(?i)\x{e9}`, "(?i)\u0345", "(?i)\u1fbe", `(?i)ⅷ`, `(?i).`, `(?i)\Qk\E`, `(?i)[[:^word:]]`, `(?i)日`, `(?i)[A-\x{1E943}]`, `(?i)[\x00-\x{10FFFF}]`, `(?i)[a&&K]`,
	// Alternations that share something.
	`abc|abd`, `abc|abd|aef|bcx|bcy`, `a+b|a+c`, `.a|.b`, `(?:a|b)|(?:c|d)`, `(?i:a)|a`, `foo|foobar`, `foobar|foo`, `(foo|foobar)(bar)?`, `(foobar|foo)(bar)?`, `(?:foo|foobar)(.*)`, `(a|ab|abc)(.*)`, `a||b`, `(a||b)*`, `[ab]|[cd]`, `a|b|c|-`, `(?:|)+`, `x*`, `(?:(?:a|b)*c)*`, `((a*)(b*))*`, `(a*)(a|aa)`, `(a*?)(ab)*(b?)`,
}

// Patterns, with templates and texts to expand them with.
var expansions = []struct {
	pattern   string
	templates []string
	texts     []string
}{
	{`(.*)`, []string{`$1`, `${1}`, `$0`, `$2`, `$1x`, `${1}x`, `$$`, `$$1`, `$$$1`, `$`, `a$`, `$ 1`, `${`, `${}`, `${1`, `${1x}`, `$-`, `$_`, `$01`, `$00`, `$10`, `$1$1`, `a`, ``, `$é`, `$1é`, `$1²`, `$1٣`, `$1-`, `$1.$1`, `\1`, `$1_`, `${1}_`, `$99999999999999999999`, `$100000000`, `${ 1}`, `${1 }`, `$é1`, `$日`, `$Ⅷ`, "$1\u0301", `$aª`, `$1ⅷ`, `$1😀`}, []string{"", "a", "a$1b", "é", "a\nb"}},
	{`(?P<name>a+)(?<b>b*)(c)?`, []string{`$name`, `${name}`, `$names`, `${name}s`, `$b`, `$1$2$3`, `$3`, `${3}`, `$c`, `$name$b`, `$NAME`, `$name-$b`}, []string{"a", "aab", "abc", "x"}},
	{`(?<n>a)|(?<n>b)|(c)`, []string{`$n`, `${n}!`, `$1|$2|$3`, `$4`}, []string{"a", "b", "c", "d"}},
	{`(?<n>a?)(?<n>b)`, []string{`$n`}, []string{"b", "ab"}},
	{`(?<1>a)(b)`, []string{`$1`, `$2`, `${1}`, `$01`}, []string{"ab"}},
	{`a|b)|(?:c+`, []string{`<$0>`, `$1`, ``}, []string{"abc", "cab", "a", "ccac", "xcc", ""}},
	{`a)|(b*`, []string{`<$0>`, `<$1>`, ``}, []string{"abbab", "aab", "ba", "", "é"}},
	{`)|(?:`, []string{`-`}, []string{"", "a", "ab", "éa"}},
	{`x)|(?:\B`, []string{`-`}, []string{"", "abc", "é日", "-"}},
	{`)|()|(`, []string{`-`, `$1-`}, []string{"", "ab", "日本"}},
	{`__meta_(.+)`, []string{`$1`, `x_${1}`, `x_$1`, `x$1_y`}, []string{"__meta_foo", "__meta_", "foo"}},
	{``, []string{`a`, `$0`, `$1`}, []string{"", "a"}},
	{`([^:]+)(?::\d+)?;(\d+)`, []string{`$1:$2`, `${1}:${2}`}, []string{"host:80;9100", "host;9100", "::1;1", "host:80;x"}},
	{`(a)?(b)?(c)?`, []string{`[$1][$2][$3]`}, []string{"", "a", "b", "c", "ac", "abc"}},
	{`((a)|(b))*`, []string{`[$1][$2][$3]`}, []string{"", "a", "b", "ab", "ba", "aba"}},
}

type answer struct {
	Pattern string       `json:"pattern"`
	Error   string       `json:"error,omitempty"`
	Found   [][]int      `json:"found,omitempty"`
	Expand  [][4]*string `json:"expand,omitempty"`
}

func ask(pattern string) (*regexp.Regexp, answer) {
	re, err := regexp.Compile("^(?s:" + pattern + ")$")
	if err != nil {
		return nil, answer{Pattern: pattern, Error: err.Error()}
	}
	a := answer{Pattern: pattern}
	for i, text := range texts {
		if bounds := re.FindStringSubmatchIndex(text); bounds != nil {
			a.Found = append(a.Found, append([]int{i}, bounds...))
		}
	}
	return re, a
}

// The pieces of which random patterns are made. Few, so that they meet in many ways.
var pieces = strings.Fields(`a b a b ab . .* .+ .? a* b+ a? a*? b+? a?? ( ( ) ) (?: (?i) (?i: | | | [ab] [^a] [a-c]* \w \W \b \B ^ $ () (a) (b)* (a|b) (a*) (b?)
	{2} {0} {1,2} {0,1}? {2,} * + ? *? \d [[:alpha:]] \pL (?<n>a) (?m) (?m:^ (?-s) (?U) \Qa*\E \n A é -`)

func randomPattern(random *rand.Rand) string {
	var b strings.Builder
	for range 1 + random.Intn(7) {
		b.WriteString(pieces[random.Intn(len(pieces))])
	}
	return b.String()
}

// closed adds the parentheses that are missing, so that more patterns compile.
func closed(pattern string) string {
	open := 0
	for _, c := range pattern {
		switch {
		case c == '(':
			open++
		case c == ')' && open > 0:
			open--
		}
	}
	return pattern + strings.Repeat(")", open)
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	write := func(v any) {
		if err := out.Encode(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	write(texts)
	for _, pattern := range patterns {
		_, a := ask(pattern)
		write(a)
	}
	deep := strings.Repeat("(", 997) + "a" + strings.Repeat(")", 997)
	for _, pattern := range []string{deep, "(" + deep + ")", "((" + deep + "))", "(((" + deep + ")))", strings.Repeat("(?:", 2000) + "a" + strings.Repeat(")", 2000), strings.Repeat("(?:a|(?:", 500) + "ab" + strings.Repeat("))", 500), strings.Repeat("(?:b|a(?:", 600) + "ab" + strings.Repeat("))", 600), strings.Repeat("(?:", 1200) + "a" + strings.Repeat(")?", 1200), `((((((((((x{2}){2}){2}){2}){2}){2}){2}){2}){2}))`, `(?:(?:\pL{5}){5}|[a-z]{2}){2}`, `(?:(?:(?:a*){50}b{10}){10}(?:c?){500}){2}`} {
		_, a := ask(pattern)
		write(a)
	}
	for _, e := range expansions {
		re, a := ask(e.pattern)
		for _, template := range e.templates {
			for _, text := range e.texts {
				var expanded *string
				if bounds := re.FindStringSubmatchIndex(text); bounds != nil {
					s := string(re.ExpandString(nil, template, text, bounds))
					expanded = &s
				}
				replaced := re.ReplaceAllString(text, template)
				a.Expand = append(a.Expand, [4]*string{&template, &text, expanded, &replaced})
			}
		}
		write(a)
	}
	random := rand.New(rand.NewSource(1))
	seen := map[string]bool{}
	for compiled := 0; compiled < 600; {
		pattern := closed(randomPattern(random))
		if seen[pattern] {
			continue
		}
		seen[pattern] = true
		re, a := ask(pattern)
		if re != nil {
			compiled++
		}
		write(a)
	}
}
