package redact

import (
	"regexp"
	"strings"
)

// Words that name a secret wherever they stand before `=` or `:`.
const hard = `(?:pass(?:word|wd|phrase)|pwd|(?:api|access|secret|private|account|signing|encryption)[_.-]?key|` +
	`client[_.-]?secret|(?:auth|access|refresh|session|bearer)[_.-]?token)`

// Words that also name objects and parts of a language; before a bare `:` the value decides.
const soft = `(?:secret|token)`

const either = `(?:` + hard + `|` + soft + `)`

// Beginnings of tokens that are known by how they begin.
var known = []string{
	`A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}`,
	`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}`,
	`gh[pousr]_[A-Za-z0-9]{16,}`,
	`github_pat_[A-Za-z0-9_]{20,}`,
	`glpat-[A-Za-z0-9_-]{16,}`,
	`xox[a-z]-[A-Za-z0-9-]{8,}`,
	`xapp-[A-Za-z0-9-]{10,}`,
	`hooks\.slack\.com/services/[A-Za-z0-9/]+`,
	`[srp]k_(?:live|test)_[A-Za-z0-9]{8,}`,
	`AIza[A-Za-z0-9_-]{30,}`,
	`npm_[A-Za-z0-9]{30,}`,
	`hv[sbr]\.[A-Za-z0-9_-]{20,}`,
	`dckr_pat_[A-Za-z0-9_-]{16,}`,
	`SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`,
}

var (
	ofKeys   = []string{"pass", "pwd", "key", "secret", "token"}
	ofPEM    = []string{"private key"}
	ofTokens = []string{
		"akia", "asia", "abia", "acca", "eyj", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
		"glpat-", "xox", "xapp-", "hooks.slack", "k_live_", "k_test_", "aiza", "npm_", "hvs.", "hvb.",
		"hvr.", "dckr_pat_", "sg.",
	}
)

// Every shape with what becomes of it. Group 1 is kept, group 2 is the value, group 3 is kept.
var rules = []rule{
	// Private keys, whole, cut off at the end, or with their beginning cut off.
	shape(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\z)`, whole, ofPEM),
	shape(`(?:[A-Za-z0-9+/=]|\s|\\[nr])*-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----`, whole, ofPEM),
	// Headers.
	shape(`(?i)((?:authorization)\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|token|digest|negotiate|apikey)\s+)?)([^\s"',;\\]+)`,
		authorization, []string{"authorization"}),
	shape(`(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/-]{8,}=*)`, opaqueValue, []string{"bearer", "basic"}),
	shape(`(?i)((?:set-)?cookie\s*:\s*)([^\r\n"=]*=[^\r\n"]*)`, value, []string{"cookie"}),
	// Passwords in URLs and in data source names; a port and a path are no password.
	shape(`(?i)([a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:)([^\s/"'<>]+|[0-9]*[^\s@/0-9"'<>][^\s@"'<>]*)(@)`, value, []string{"://"}),
	shape(`([A-Za-z0-9_.-]+:)([^\s:@/()"']+)(@(?:tcp|udp|unix)\()`, value, []string{"@tcp(", "@udp(", "@unix("}),
	shape(`((?:\s-u\s+|--user[ =])[^\s:"']+:)([^\s"']+)`, value, []string{"-u", "--user"}),
	shape(`(?i)(identified by(?: password)?\s+')([^']*)(')`, value, []string{"identified by"}),
	// Tokens.
	shape(`\b(?:`+strings.Join(known, "|")+`)`, whole, ofTokens),
	shape(`(\bsk-)([A-Za-z0-9_-]{20,})`, mixedValue, []string{"sk-"}),
	shape(`(?i)(aws[^\r\n]{0,30}?[\s"'=:])([A-Za-z0-9/+]{40})`, mixedValue, []string{"aws"}),
	// A key and a quoted value: JSON, YAML, code; then JSON inside a JSON string.
	shape(`(?is)(`+either+`\\?["']?\s*(?:=>|[:=]+)\s*")((?:[^"\\]|\\.)*)("|\\?\z)`, value, ofKeys),
	shape(`(?is)(`+either+`\\?["']?\s*(?:=>|[:=]+)\s*')((?:[^'\\]|\\.|'')*)('|\\?\z)`, value, ofKeys),
	shape(`(?is)(`+either+`\\+["']?\s*[:=]\s*\\+["'])(.*?)(\\+["']\s*(?:[,}\]]|\z)|\z)`, value, ofKeys),
	// A key and a bare value: settings, query strings, command lines, YAML, headers.
	shape("(?i)("+either+`\\?["']?\s*=+\s*)((?:[^\s"'`+"`"+`,;&<>\\=]|\\[^nrt"'])(?:[^\s"'`+"`"+`,;&<>\\]|\\[^nrt"'])*)`, value, ofKeys),
	shape(`(?i)(--[a-z-]*`+either+`\s+)([^\s"'=-][^\s"']*)`, wordedValue, ofKeys),
	shape(`(?i)(`+hard+`\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)`, wordedValue, ofKeys),
	shape(`(?i)(`+soft+`\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)`, opaqueValue, ofKeys),
}

var keyShape = regexp.MustCompile(`(?i)(?:(` + hard + `|token)|` + soft + `)$`)

func shape(pattern string, masked func(match) (string, bool), needles []string) rule {
	return rule{regexp.MustCompile(pattern), needles, masked}
}
