// Package redact masks the common shapes of secrets in text before it leaves a plugin. It knows
// shapes, not meanings: a key with a value, a header, a token with a known beginning, a private key.
// Names of objects (`secret "x" not found`) are evidence and stay. Masking twice is masking once.
// The families are those of the project's Rust crate agent-redact; its table of cases is this
// package's test as well.
package redact

import (
	"regexp"
	"slices"
	"strings"
)

// Mask stands where a secret stood.
const Mask = "[REDACTED]"

// maxPasses bounds the repetition of all rules, against a defect here only.
const maxPasses = 8

// pair is a match: what stood before the value, the value, what stood behind it.
type match struct{ whole, before, value, after string }

type rule struct {
	shape *regexp.Regexp
	// needles are lower-case beginnings without one of which the shape cannot match: looking for
	// them is much cheaper than the shape.
	needles []string
	// masked gives the text to put in place, or false to leave it as it is.
	masked func(match) (string, bool)
}

// Text masks the secrets in text.
func Text(text string) string {
	// One rule may bare another's match, so it goes on until nothing changes.
	for range maxPasses {
		changed := pass(text)
		if changed == text {
			break
		}
		text = changed
	}
	return text
}

// Value masks a value that stands under key, as an attribute does.
func Value(key, value string) string {
	if namesSecret(key, value) {
		return Mask
	}
	return Text(value)
}

func pass(text string) string {
	lower := folded(text)
	for _, rule := range rules {
		if !slices.ContainsFunc(rule.needles, func(n string) bool { return strings.Contains(lower, n) }) {
			continue
		}
		if replaced := rule.apply(text); replaced != text {
			text, lower = replaced, folded(replaced)
		}
	}
	return text
}

// folded is text in the one case that shapes see it in: they take a long s for an s, which ToLower leaves.
func folded(text string) string {
	return strings.ReplaceAll(strings.ToLower(text), "ſ", "s")
}

func (r rule) apply(text string) string {
	found := r.shape.FindAllStringSubmatchIndex(text, -1)
	if found == nil {
		return text
	}
	var out strings.Builder
	last := 0
	for _, at := range found {
		group := func(n int) string {
			if 2*n+1 >= len(at) || at[2*n] < 0 {
				return ""
			}
			return text[at[2*n]:at[2*n+1]]
		}
		out.WriteString(text[last:at[0]])
		masked, ok := r.masked(match{group(0), group(1), group(2), group(3)})
		if !ok {
			masked = group(0)
		}
		out.WriteString(masked)
		last = at[1]
	}
	out.WriteString(text[last:])
	return out.String()
}

func (m match) mask() (string, bool) { return m.before + Mask + m.after, true }

func whole(match) (string, bool) { return Mask, true }

// value masks unless there is no value or it is only the name of one.
func value(m match) (string, bool) {
	key := strings.ToLower(strings.TrimRight(m.before, " =:\"'"))
	isPath := strings.HasPrefix(m.value, "/") && strings.HasSuffix(key, "pwd")
	if isAbsent(m.value) || isPath {
		return "", false
	}
	return m.mask()
}

func wordedValue(m match) (string, bool) {
	word := strings.TrimRight(m.value, ".!)")
	if slices.ContainsFunc(prose, func(p string) bool { return strings.EqualFold(p, word) }) {
		return "", false
	}
	return value(m)
}

func authorization(m match) (string, bool) {
	trimmed := strings.TrimRight(m.before, " \t\r\n")
	if trimmed != m.before && !strings.HasSuffix(trimmed, ":") && !strings.HasSuffix(trimmed, "=") {
		return value(m)
	}
	return opaqueValue(m)
}

func opaqueValue(m match) (string, bool) {
	if isAbsent(m.value) || !isOpaque(m.value) || isObjectName(m.value) {
		return "", false
	}
	return m.mask()
}

func mixedValue(m match) (string, bool) {
	if has(m.value, isUpper) && has(m.value, isLower) && has(m.value, isDigit) {
		return m.mask()
	}
	return "", false
}
